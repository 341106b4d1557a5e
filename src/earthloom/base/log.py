"""The project's logger: one name, one format."""

from __future__ import annotations

import logging

log = logging.getLogger("earthloom")


def to_terminal(level: int = logging.INFO) -> None:
    """Show our messages in the terminal, through rich; on stderr, for stdout belongs to the commands' results."""
    from rich.console import Console
    from rich.logging import RichHandler

    if not log.handlers:
        console = Console(stderr=True)
        log.addHandler(RichHandler(console=console, show_path=False, markup=False, log_time_format="%H:%M:%S"))
    log.setLevel(level)
