"""The terrain panel in a real JupyterLab, light and dark: its modes, its settings, and the marker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_panel_changes_the_map_and_the_marker_tells_values(
    open_notebook: Callable[[str], Any], tmp_path: Path
) -> None:
    notebook = open_notebook("terrain.ipynb")
    page = notebook.page
    notebook.run_cell(0)
    notebook.run_cell(1)
    panel = page.locator(".el-terrain")
    expect(panel.get_by_role("heading", name="Terrain")).to_be_visible()
    notebook.wait_for_tiles(layers=3)

    def keys() -> set[str]:
        tiles = notebook.map.locator("img.leaflet-tile-loaded[src*='/tiles/']")
        return set(tiles.evaluate_all("(images) => images.map((image) => image.src.split('/tiles/')[1].split('/')[0])"))

    def picture(name: str) -> None:
        notebook.map.screenshot(path=tmp_path / f"map-{name}.png")
        panel.screenshot(path=tmp_path / f"panel-{name}.png")

    picture("elevation")
    before = keys()
    assert len(before) == 3  # basemap, elevation, shadows
    pictures = panel.locator(".el-terrain-modes button").evaluate_all(
        "(all) => all.map((button) => getComputedStyle(button, '::before').backgroundImage)"
    )
    assert len({text for text in pictures if "/tiles/" in text}) == 4

    panel.get_by_role("button", name="Hillshade").click()
    expect(panel.get_by_text("315° NW")).to_be_visible()
    notebook.wait_for_tiles(layers=2)
    picture("hillshade")
    assert len(keys() - before) == 1
    sun = panel.locator(".noUi-handle").first
    sun.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(panel.get_by_text("330° N")).to_be_visible()

    panel.get_by_role("button", name="Slope").click()
    panel.get_by_role("button", name="Per cent").click()
    expect(panel.get_by_text("120\u202f%")).to_be_visible()
    notebook.wait_for_tiles(layers=2)
    picture("slope")
    panel.get_by_role("button", name="Aspect").click()
    expect(panel.get_by_text("Flat below")).to_be_visible()
    notebook.wait_for_tiles(layers=2)

    panel.get_by_role("button", name="Identify").click()
    card = notebook.map.locator(".el-terrain-card")
    expect(card).to_contain_text("elevation")
    first = card.inner_text()
    marker = notebook.map.locator(".leaflet-marker-icon")
    box = marker.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 13, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + 80, box["y"] - 40, steps=8)
    page.mouse.up()
    expect(card).not_to_have_text(first)
    expect(card).to_contain_text("elevation")
    panel.get_by_text("The chain behind this picture").click()
    expect(panel.locator("pre")).to_contain_text("aspect")
    picture("aspect")

    panel.get_by_role("button", name="Elevation").click()
    panel.get_by_role("button", name="Fit to this view").click()
    notebook.wait_for_tiles(layers=3)
    assert panel.locator(".el-notice").count() == 0
    assert {host for host in notebook.hosts if host} <= {"127.0.0.1", "localhost"}


def test_the_panel_is_dark_in_a_dark_jupyterlab(open_notebook: Callable[..., Any], tmp_path: Path) -> None:
    notebook = open_notebook("terrain.ipynb", dark=True)
    page = notebook.page
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    notebook.run_cell(0)
    notebook.run_cell(1)
    panel = page.locator(".el-terrain")
    panel.get_by_role("button", name="Identify").click()
    notebook.wait_for_tiles(layers=3)
    for part in (panel, notebook.map.locator(".el-terrain-card"), panel.locator("select").first):
        surface, ink = part.evaluate("(e) => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
        assert brightness(surface) < 0.3
        assert brightness(ink) > 0.7
    notebook.map.screenshot(path=tmp_path / "map-dark.png")
    panel.screenshot(path=tmp_path / "panel-dark.png")


def brightness(css: str) -> float:
    """Mean of red, green and blue of a computed `rgb(...)`, 0 to 1."""
    parts = css[css.index("(") + 1 : css.index(")")].split(",")[:3]
    return sum(map(float, parts)) / 765
