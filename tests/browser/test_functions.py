"""Your own function on the map of a real JupyterLab: what it prints, a slider, an error with its line, the repair."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_function_is_shown_moved_broken_and_mended(open_notebook: Callable[[str], Any], tmp_path: Path) -> None:
    notebook = open_notebook("functions.ipynb")
    page = notebook.page

    notebook.run_cell(0)
    notebook.wait_for_tiles(layers=2)
    tiles = notebook.map.locator("img.leaflet-tile-loaded[src*='/tiles/']")
    printed = notebook.map.locator(".el-layer .printed button").first
    expect(printed).to_have_text(re.compile(r"^\d+ lines printed$"))
    printed.click()
    read = notebook.map.locator(".el-reader")
    expect(read.locator("tr").last).to_have_text(re.compile(r"^[\d:]{8}\d+/\d+/\d+\d+% has data$"))
    notebook.map.screenshot(path=tmp_path / "printed.png")

    notebook.run_cell(1)
    keys = set(tiles.evaluate_all("(images) => images.map((image) => image.src.split('/')[4])"))
    slider = notebook.cells.nth(1).locator(".noUi-handle")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(notebook.cells.nth(1).locator(".widget-readout")).to_have_text("0.25")
    notebook.wait_for_tiles(layers=2)
    moved = set(tiles.evaluate_all("(images) => images.map((image) => image.src.split('/')[4])"))
    assert len(moved) == 2  # the basemap's, and that of the slider's last value
    assert len(moved - keys) == 1
    expect(notebook.map.locator(".el-layer .name")).to_have_count(2)
    expect(read).to_be_visible()  # who reads the lines goes on reading

    notebook.run_cell(2)
    notice = notebook.map.locator(".el-notice.bad")
    expect(notice).to_contain_text(
        re.compile(r"Your function failed in greenness, line 3: ZeroDivisionError: division by zero\. \d+ tiles?\.")
    )
    assert notebook.map.locator('img[src^="data:image/svg+xml"]').count() > 0
    notice.get_by_text("Show line").click()
    expect(read.locator("pre")).to_contain_text("half = 1 / int(context.x[0] < -8417000)  # fails in the east")
    expect(read.locator("pre")).not_to_contain_text("site-packages")
    notebook.map.screenshot(path=tmp_path / "line.png")
    read.get_by_role("button", name="Close").click()

    notebook.run_cell(3)
    expect(notice).to_have_count(0)
    notebook.wait_for_tiles(layers=2)
    assert notebook.map.locator('img[src^="data:image/svg+xml"]').count() == 0
    expect(notebook.map.locator(".el-layer .printed").first).to_be_hidden()
    notebook.map.screenshot(path=tmp_path / "mended.png")
    assert {host for host in notebook.hosts if host} <= {"127.0.0.1", "localhost"}
