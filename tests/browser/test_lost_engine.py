"""The map of a real JupyterLab whose engine is killed: it says so, the kernel starts another, the tiles come."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_engine_that_was_killed_is_started_again(open_notebook: Callable[[str], Any], tmp_path: Path) -> None:
    notebook = open_notebook("lost.ipynb")
    notebook.run_cell(0)
    notebook.wait_for_tiles(layers=2)
    tiles = notebook.map.locator("img.leaflet-tile-loaded[src*='/tiles/']")

    def served_by() -> set[str]:
        return set(tiles.evaluate_all("(images) => images.map((image) => new URL(image.src).origin)"))

    (before,) = served_by()
    notebook.run_cell(1)
    notebook.map.get_by_role("button", name="Closer (+)").click()
    notice = notebook.map.locator(".el-notice.bad")
    expect(notice).to_contain_text(re.compile(r"The server has not answered since \d\d:\d\d\. What is drawn stays\."))
    notebook.map.screenshot(path=tmp_path / "lost.png")

    expect(notice).to_have_count(0, timeout=60_000)
    notebook.wait_for_tiles(layers=2)
    assert notebook.map.locator('img[src^="data:image/svg+xml"]').count() == 0
    assert before not in served_by()
    notebook.map.screenshot(path=tmp_path / "found.png")

    assert re.fullmatch(r"\d+", notebook.run_cell(2).strip())
    box = notebook.map.bounding_box()
    assert box is not None
    saved = Image.open(notebook.demo.pack.parents[1] / ".demo" / "notebooks" / "map.png")
    assert saved.size == pytest.approx((box["width"], box["height"]), abs=1)  # as large as the map in the browser
    saved.save(tmp_path / "saved.png")
