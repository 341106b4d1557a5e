"""The tutorials as a newcomer sees them: the real demo, JupyterLab, Chromium, and the pixels of the picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[[str], Any]


def picture(place: Locator, path: Path) -> NDArray[np.int16]:
    """A screenshot as red, green, blue, (y, x, 3); the file is kept for eyes."""
    png = place.screenshot(path=path)
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(np.int16)


def rgb(css: str) -> NDArray[np.int16]:
    """A computed CSS colour as bytes."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", css)][:3]
    return np.array([255 * n if css.startswith("color(") else n for n in numbers]).round().astype(np.int16)


def hide_parts(notebook: Any) -> None:
    """Only tiles stay on the map: its controls would be counted as pixels."""
    notebook.page.add_style_tag(content=".leaflet-control-container, .el-pin { visibility: hidden !important }")


def test_first_chain(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook("01-first-chain.ipynb")
    notebook.run_all()
    notebook.wait_for_tiles(layers=2)
    picture(notebook.map, tmp_path / "first-chain.png")

    assert notebook.map.locator(".el-layer .name").all_inner_texts() == ["red, dark pixels out", "Blue Marble"]
    expect(notebook.map.locator(".el-notice")).to_have_count(0)
    expect(notebook.map.locator(".el-ramp")).to_have_count(1)
    expect(notebook.map.locator(".leaflet-control-attribution")).to_contain_text("Copernicus")
    # Nothing of another host: it works without the internet.
    assert {host for host in notebook.hosts if host} <= {"127.0.0.1", "localhost"}

    hide_parts(notebook)
    shown = picture(notebook.map, tmp_path / "first-chain-tiles.png")
    red, green, blue = (shown[..., i] for i in range(3))
    # A ramp from red over yellow to green has no blue; Blue Marble's forest is dark in all three.
    ramp = (blue < 40) & (np.maximum(red, green) > 120)
    ours = ramp.mean()
    assert 0.1 < ours < 0.9
    rows, columns = np.nonzero(ramp)
    assert shown.shape[0] * 0.3 < rows.mean() < shown.shape[0] * 0.7  # the map has gone to the layer
    assert shown.shape[1] * 0.3 < columns.mean() < shown.shape[1] * 0.7
    assert (ramp & (red > 200) & (green < 100)).mean() > 0.05  # the forest
    assert (ramp & (red > 200) & (green > 150)).mean() > 0.001  # the track through it
    corner = shown[6:60, 6:60].reshape(-1, 3)
    assert not (corner > 250).all(axis=1).any()  # the basemap lies under all of it
    assert corner.std(axis=0).max() < 30


def test_a_value_under_a_click(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook("01-first-chain.ipynb")
    notebook.run_all()
    notebook.wait_for_tiles(layers=2)
    box = notebook.map.bounding_box()
    shown = picture(notebook.map, tmp_path / "before.png")
    found = 0
    for x, y in [(0.42, 0.45), (0.5, 0.5), (0.45, 0.6), (0.55, 0.4), (0.48, 0.35), (0.5, 0.3)]:
        column, row = round(box["width"] * x), round(box["height"] * y)
        notebook.page.mouse.click(box["x"] + column, box["y"] + row)
        notebook.map.locator(".el-inspect:not(.wait) tr").wait_for()
        notebook.page.wait_for_timeout(300)
        value = notebook.map.locator(".el-inspect tr b")
        drawn = shown[row, column]
        if value.count() == 0:
            expect(notebook.map.locator(".el-inspect tr")).to_contain_text("masked or no data")
            assert drawn.max() < 100  # the basemap shows through
            continue
        found += 1
        assert 0.03 <= float(value.inner_text()) < 1  # `where` keeps what is not dark
        # The colour that the legend gives to this value is the colour on the map.
        swatch = notebook.map.locator(".el-inspect .sw").evaluate("(box) => getComputedStyle(box).backgroundColor")
        assert np.abs(drawn - rgb(swatch)).max() <= 4, (drawn, swatch)
    assert found >= 3
    expect(notebook.map.locator(".el-ramp .here")).to_be_attached()

    notebook.page.keyboard.press("Escape")
    expect(notebook.map.locator(".el-pin")).to_be_hidden()

    notebook.page.mouse.click(box["x"] + 150, box["y"] + 30)
    expect(notebook.map.locator(".el-inspect tr")).to_contain_text("outside the data")


def test_cloud_free_ndvi(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook("02-cloud-free-ndvi.ipynb")
    notebook.run_all()
    notebook.wait_for_tiles(layers=3)
    picture(notebook.map, tmp_path / "ndvi.png")
    expect(notebook.map.locator(".el-notice")).to_have_count(0)
    notebook.map.get_by_role("button", name="Hide a cloudy day").click()
    notebook.wait_for_tiles(layers=3)
    hide_parts(notebook)
    shown = picture(notebook.map, tmp_path / "ndvi-tiles.png")
    red, green, blue = (shown[..., i] for i in range(3))
    forest = (green > red + 40) & (green > blue + 10) & (green > 80)
    assert forest.mean() > 0.1


def test_your_own_python(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook("03-your-own-python.ipynb")
    notebook.run_all()
    notebook.wait_for_tiles(layers=4)
    notebook.page.screenshot(path=tmp_path / "own-python-page.png")
    picture(notebook.map, tmp_path / "own-python.png")
    names = notebook.map.locator(".el-layer .name").all_inner_texts()
    assert names == ["edges in B08", "stubble?", "B11 B08 B04", "Blue Marble"]
    expect(notebook.map.locator(".el-notice")).to_have_count(0)
    expect(notebook.map.locator(".el-layer .printed").first).to_contain_text("lines printed")

    notebook.map.get_by_role("button", name="Hide edges in B08").click()
    notebook.wait_for_tiles(layers=4)
    hide_parts(notebook)
    shown = picture(notebook.map, tmp_path / "stubble.png")
    lime = (shown[..., 0] < 60) & (shown[..., 1] > 220) & (shown[..., 2] < 60)
    assert 0.0005 < lime.mean() < 0.1


@pytest.fixture
def broken_red(demo: Any) -> Iterator[None]:
    """The red band of the coast is cut short, for one test: the demo is everybody's."""
    file = demo.pack / "sentinel2-coast" / "T18S_coast_B04.tif"
    whole = file.read_bytes()
    file.write_bytes(whole[:3000])
    yield
    file.write_bytes(whole)


@pytest.mark.usefixtures("broken_red")
def test_a_broken_file_is_told_on_the_map(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook("broken.ipynb")
    notebook.run_all()
    notebook.wait_for_tiles(layers=2)
    picture(notebook.map, tmp_path / "broken.png")

    notice = notebook.map.locator(".el-notice.bad")
    expect(notice).to_contain_text(re.compile(r"\d+ tiles? failed: .*B04"))
    expect(notice).to_contain_text("S2A_T18S_coast_L1C")
    expect(notice).not_to_contain_text("other reason")  # many blocks, one file
    assert notebook.map.locator('img[src^="data:image/svg+xml"]').count() > 0
