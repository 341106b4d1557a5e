"""The original's own notebooks, run as text in a fresh namespace; their pixels against plain numpy."""

from __future__ import annotations

import io
import linecache
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from earthloom.base.errors import EarthloomError, FunctionFailed, InvalidArgument
from earthloom.jeolab import Collection, ImageCollection, ImageProcess, inter

# The slide "An example: stubble burning mapping"; its last line was broken without a backslash.
RETURNING = """
def stubble(img, v4, v6, v8, v11min, v11max):
    b4,b6,b8,b11 = img[0],img[1],img[2],img[3]
    res = numpy.ones_like(b4)
    res[b4>=v4] = 0
    res[b6>=v6] = 0
    res[b8>=v8] = 0
    res[numpy.logical_or(b11<=v11min,
                        b11>=v11max)] = 0
    return res

p = coll.processMulti(["B04", "B06", "B08", "B11"]).execute(stubble, 1000, 1200, 1200, 500, 1600).band(0).scale(0, 1).colorCustom(["Lime"])
"""  # noqa: E501

# The notebook "ExecuteStubbleBurning", cell by cell; place and date are those of the demo data.
NOTEBOOK = [
    """map = Map(center=(37.70,-75.61), zoom=13, side='StubbleBurning')
coll = Collection(collections.EarthObservation.Copernicus.Sentinel2.Level1C)""",
    """coll = coll.filterOnDay(2016,1,13)
coll = coll.filterOnRect(-75.64, 37.68, -75.60, 37.70)""",
    """def stubble(v4=1000, v6=1200, v8=1200, v11_1=500, v11_2=1600):
    global img
    img = numpy.ones_like(band0)
    img[band0>v4] = 0
    img[band1>v6] = 0
    img[band2>v8] = 0
    img[numpy.logical_or(band3<v11_1, band3>v11_2)] = 0""",
    """testExecute(stubble,1000,1200,1200,500,1600)""",
    """bands = ["B04","B06","B08","B11"]
pStubble = coll.processMulti(bands).execute(stubble,1000,1200,1200,500,1600)\\
    .band(0).scale(0,1).colorCustom(["Lime"])""",
    """map.clear()
pStubble = pStubble.bands(S2_LandWater)\\
    .scale(1006, 4318, 1027, 4242, 283, 2109)
map.addLayer(pStubble, name='Stubble Burning areas')""",
]
Values = Callable[[ImageProcess], NDArray[np.float32]]
MASKPY = "def maskpy(img, n):\n    return img[img<=n] = 0\n"


def run(text: str, names: dict[str, Any], count: list[int] = [0]) -> None:  # noqa: B006
    """Run a cell as a notebook does: its text can be found again."""
    count[0] += 1
    file = f"<cell {count[0]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), names)


@pytest.fixture
def fresh() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    run("from earthloom.jeolab import *", names)
    return names


@pytest.fixture
def coll() -> ImageCollection:
    return Collection("sentinel2-coast")


@pytest.fixture(scope="module")
def scene(pack: Path) -> list[NDArray[np.uint16]]:
    """B04, B06, B08, B11 as the files hold them, on the grid of 10 m."""
    read = []
    for band in ("B04", "B06", "B08", "B11"):
        with rasterio.open(pack / f"sentinel2-coast/T18S_coast_{band}.tif") as file:
            values = file.read(1)
            read.append(np.repeat(np.repeat(values, 2, 0), 2, 1) if values.shape == (270, 270) else values)
    return read


def returning(b4: Any, b6: Any, b8: Any, b11: Any) -> NDArray[np.uint16]:
    """What the slide's function gives: pixels on a threshold are dropped."""
    kept = (b4 < 1000) & (b6 < 1200) & (b8 < 1200) & (b11 > 500) & (b11 < 1600)
    return kept.astype(np.uint16)


def by_globals(b4: Any, b6: Any, b8: Any, b11: Any) -> NDArray[np.uint16]:
    """What the notebook's function gives: pixels on a threshold are kept."""
    kept = (b4 <= 1000) & (b6 <= 1200) & (b8 <= 1200) & (b11 >= 500) & (b11 <= 1600)
    return kept.astype(np.uint16)


def test_the_slide_runs_and_equals_numpy(fresh: dict[str, Any], values: Values, scene: list[Any]) -> None:
    run("coll = Collection(collections.sentinel2_coast)", fresh)
    run(RETURNING, fresh)
    got = np.nan_to_num(values(fresh["p"]))  # a single colour leaves 0 transparent
    assert np.array_equal(got, returning(*scene))
    assert not np.array_equal(got, by_globals(*scene))


def test_the_notebook_runs_and_equals_numpy(
    fresh: dict[str, Any], values: Values, scene: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in NOTEBOOK[:4]:
        run(cell, fresh)
    assert "sentinel2-coast: band0 is B01, band1 is B02, band2 is B03, band3 is B04." in capsys.readouterr().out
    run(NOTEBOOK[4], fresh)
    stubble = fresh["pStubble"]
    got = np.nan_to_num(values(stubble))
    assert np.array_equal(got, by_globals(*scene))
    assert not np.array_equal(got, returning(*scene))
    legend = stubble.chain.legend()
    assert (legend["kind"], legend["range"]) == ("ramp", [0, 1])

    run(NOTEBOOK[5], fresh)
    assert "starts again from sentinel2-coast with B08 B11 B04" in capsys.readouterr().out
    layer = fresh["map"].layers[-1]
    assert layer.name == "Stubble Burning areas"
    assert fresh["pStubble"].chain.key in layer.url
    assert [fresh["map"].layers[0].base, len(fresh["map"].layers)] == [True, 2]


def test_lime_where_the_function_gives_one_and_nothing_elsewhere(fresh: dict[str, Any]) -> None:
    run("coll = Collection(collections.sentinel2_coast)", fresh)
    run(RETURNING, fresh)
    picture = np.asarray(Image.open(io.BytesIO(fresh["p"].chain.preview(256).png)).convert("RGBA"))
    colours = {tuple(int(c) for c in colour) for colour in np.unique(picture.reshape(-1, 4), axis=0)}
    assert colours == {(0, 255, 0, 255), (0, 0, 0, 0)}


def test_after_process_multi_the_test_takes_its_bands(
    fresh: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run("coll = Collection(collections.sentinel2_coast)", fresh)
    run(NOTEBOOK[2] + "\np = coll.processMulti(['B04', 'B06', 'B08', 'B11'])", fresh)
    capsys.readouterr()
    run("testExecute(stubble, 1000, 1200, 1200, 500, 1600)", fresh)
    run("tried = p.testExecute(stubble, v4=900, place=(-75.61, 37.70), zoom=13)", fresh)
    tried = fresh["tried"]
    assert tried.equal
    assert (tried.input.dtype, tried.input.shape[0]) == (np.uint16, 4)
    assert set(np.unique(tried.result)) >= {0, 1}
    out = capsys.readouterr().out
    assert "band0 is B04, band1 is B06, band2 is B08, band3 is B11.\n" in out
    run("testExecute(stubble, 1000, 1200, 1200, 500, 1600, bands=['B02', 'B03', 'B04', 'B08'])", fresh)
    assert "band3 is B08." in capsys.readouterr().out


def test_test_execute_without_a_collection_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earthloom.jeolab.collection._in_use", [])
    with pytest.raises(InvalidArgument, match="no collection yet"):
        inter.testExecute("def f(img): return img")


def test_numbers_come_as_they_are_and_the_type_stays(coll: ImageCollection, values: Values, scene: list[Any]) -> None:
    p = coll.processMulti(["B04", "B06", "B08", "B11"])
    text = "def f(img):\n    assert img.dtype == numpy.uint16, img.dtype\n    assert img.ndim == 3\n    return img[0]"
    assert np.array_equal(values(p.execute(text)), scene[0])
    flat = "def f(img):\n    assert img.dtype == numpy.uint16 and img.ndim == 2\n    return img - 1"
    assert np.array_equal(values(coll.process().band("B08").execute(flat)), scene[2] - 1)
    later = "def f(img):\n    assert img.dtype == numpy.float32\n    return img"
    masked = coll.process().band("B08").maskLT(1000).execute(later)
    want = np.where(scene[2] < 1000, np.nan, scene[2])
    assert np.array_equal(values(masked), want, equal_nan=True)


def test_a_result_of_three_dimensions_is_picked_by_place(
    coll: ImageCollection, values: Values, scene: list[Any]
) -> None:
    both = "def f(img):\n    return img[::-1]"
    p = coll.processMulti(["B04", "B06", "B08"]).execute(both)
    assert np.array_equal(values(p.band(2)), scene[0])
    assert p.band(0) is p
    with pytest.raises(InvalidArgument, match="one band, 0"):
        p.band(1)
    rgb = coll.processMulti(["B04", "B06", "B08"]).execute(both).bands(2, 1, 0).scale(0, 3000)
    assert np.array_equal(values(rgb)[0], scene[0])
    with pytest.raises(InvalidArgument, match="3 bands, 0 to 2"):
        coll.processMulti(["B04", "B06", "B08"]).execute(both).band(3)


def test_steps_follow_one_another(coll: ImageCollection, values: Values, scene: list[Any]) -> None:
    p = coll.process().band("B04").execute("def f(img, n):\n    return img * n", 2)
    p.execute("def g(img):\n    return img + 1").math("-", 1).maskGT(2000)
    twice = scene[0].astype(np.float32) * 2
    assert np.array_equal(values(p), np.where(twice > 2000, np.nan, twice), equal_nan=True)


def test_the_printed_maskpy_is_answered_with_its_repair(coll: ImageCollection) -> None:
    with pytest.raises(FunctionFailed) as caught:
        coll.process().band("B04").execute(MASKPY, 800)
    assert caught.value.where["reason"] == "syntax"
    assert caught.value.where["line"] == 2
    assert '"img[img<=n] = 0" and "return img"' in str(caught.value)


@pytest.mark.parametrize("end", ["\n    return img", ""])
def test_both_repaired_forms_of_maskpy_run(coll: ImageCollection, values: Values, scene: list[Any], end: str) -> None:
    p = coll.process().band("B04").execute(f"def maskpy(img, n):\n    img[img<=n] = 0{end}", 800)
    assert np.array_equal(values(p), np.where(scene[0] <= 800, 0, scene[0]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(img:\n    return img", "not Python"),
        ("x = 3", "defines no function"),
        ("def f(img):\n    return img[1:]", "shape"),
        ("def f(img):\n    return img / nothing", "nothing"),
        ("def f(img):\n    raise ValueError('too dry')", "too dry"),
        ("def f(img, n):\n    return img", "n"),
    ],
)
def test_a_wrong_function_is_told_in_its_cell(coll: ImageCollection, text: str, told: str) -> None:
    p = coll.process().band("B04")
    before = p.chain.key
    with pytest.raises((EarthloomError, TypeError), match=told):
        p.execute(text)
    assert p.chain.key == before


def test_the_how_to_runs(fresh: dict[str, Any]) -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/jeolab.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    run(next(block for block in blocks if "def stubble" in block), fresh)
    assert [layer.name for layer in fresh["map"].layers[1:]] == ["land and water", "Stubble Burning areas"]
    assert fresh["pStubble"].chain.legend()["kind"] == "ramp"
