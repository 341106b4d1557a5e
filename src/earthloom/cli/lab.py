"""JupyterLab as a child that ends with its parent: `python -m earthloom.cli.lab PARENT_PID [options of jupyter]`."""

from __future__ import annotations

import sys


def main() -> None:
    """Watch the parent, then become JupyterLab."""
    from jupyterlab.labapp import main as jupyterlab  # type: ignore[import-untyped]

    from earthloom.cli.parent import end_with

    end_with(int(sys.argv.pop(1)))
    jupyterlab()


if __name__ == "__main__":
    main()
