"""The tutorial notebooks as files: clean, and with the very lines that the README promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def code(name: str) -> str:
    cells = json.loads((EXAMPLES / name).read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_outputs_are_kept(path: Path) -> None:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))

    for cell in document["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_code_parses(path: Path) -> None:
    compile(code(path.name), path.name, "exec")


def test_the_lines_of_the_first_chain() -> None:
    text = code("01-first-chain.ipynb")

    assert 'm.add(red.where(red >= 0.03).color(["red", "yellow", "green"]), name="red, dark pixels out")' in text


def test_the_lines_of_the_cloud_free_ndvi() -> None:
    text = code("02-cloud-free-ndvi.ipynb")

    assert 'ndvi = (s2["B08"] - s2["B04"]) / (s2["B08"] + s2["B04"])' in text
    assert '.median("t").color("RdYlGn", vmin=0, vmax=0.9), name="cloud-free NDVI")' in text
