"""The original's first examples, run as text in a fresh namespace: only collection, place and dates are changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.chain.session import current
from earthloom.jeolab import Collection, ImageCollection, ImageProcess, Map, inter
from earthloom.lab.apps.dem import Terrain

IMPORT = "from earthloom.jeolab import *"
# The slide of the first chain.
SEED_1 = """
coll = inter.ImageCollection(collections.Sentinel2.Level2A)
coll.filterOnGeoName("Caras-Severin")
coll.filterOnDay(2020,6,25)

p = coll.process().band("B04").maskLT(800).colorCustom(["red","yellow","green"])
map.addLayer(p)
"""
# The slide of the app for people who do not program, two cells.
SEED_2 = ["map = Map()\nmap", 'inter.gui("DEM",map)']
# The manual, page 3.4, two cells.
CHAINS = """
coll = inter.ImageCollection("sentinel2-series")
coll = coll.filterOnGeoName("Resita", 1, "RO")
coll = coll.filterOnDate(2020,1,1, 2020,12,31)
coll = coll.filterOn("cloudcover", "<=", 5)
coll = coll.filterOn("jrc_filepath", "<>", "")
coll.limit(4)
coll.sort("cloudcover",True)
p = coll.process().bands("B04","B03","B02",2)
map.zoomToImageExtent(p)
map.addLayer(p.toLayer())
"""
ARITHMETIC = """
p1 = coll.process().band("B04")
p2 = coll.process().band("B03")
p1 = p1.math("+",p2).math("*",0.5).maskLT(600)
p1.scale(600,1500)
colors = ["Green", "Yellow", "Red"]
p1.colorCustom(colors)
p1.opacity(255)
map.clear()
map.addLayer(p1.toLayer())
"""


@pytest.fixture
def run() -> Callable[[str], dict[str, Any]]:
    """The function that runs a cell in a namespace that begins empty; the namespace."""
    names: dict[str, Any] = {}
    exec(IMPORT, names)

    def cell(text: str) -> dict[str, Any]:
        exec(compile(text, "<cell>", "exec"), names)
        return names

    return cell


def layers(map: Map) -> list[Any]:
    return [layer for layer in map.layers if not layer.base]


def series(p: ImageProcess) -> NDArray[np.float32]:
    return p.chain.compute().to_numpy()


def test_seed_1_the_first_chain(run: Callable[[str], dict[str, Any]]) -> None:
    run("map = Map()")
    names = run(SEED_1)
    (layer,) = layers(names["map"])
    assert names["p"].toLayer() in layer.url
    assert names["coll"].count() == 1
    values = series(names["p"])
    plain = series(ImageCollection("sentinel2-series").filterOnDay(2020, 6, 25).process().band("B04"))
    assert (plain < 800).any()
    assert np.array_equal(values, np.where(plain < 800, np.nan, plain), equal_nan=True)


def test_seed_2_the_app(run: Callable[[str], dict[str, Any]]) -> None:
    run(SEED_2[0])
    panel = eval(SEED_2[1], run(""))
    assert isinstance(panel, Terrain)
    assert [layer.name for layer in layers(panel.map)] == ["Terrain", "Shaded relief"]
    with pytest.raises(NotFound, match="DEM"):
        inter.gui("dem", panel.map)
    with pytest.raises(InvalidArgument, match=r"gui\(name, map\)"):
        inter.gui("DEM")


def test_manual_3_4_chains(run: Callable[[str], dict[str, Any]]) -> None:
    run("map = Map()")
    names = run(CHAINS)
    (layer,) = layers(names["map"])
    assert names["map"].center == pytest.approx([45.205, 22.152], abs=0.01)
    coll = names["coll"]
    covers = [item["properties"]["eo:cloud_cover"] for item in coll.items.items()]
    assert len(covers) == 4
    assert covers == sorted(covers)
    bands = {band["name"]: band["statistics"] for band in current().collection("sentinel2-series")["bands"]}
    legend = names["p"].chain.legend()
    for channel, name in zip(legend["channels"], ("B04", "B03", "B02"), strict=True):
        known = bands[name]
        low = max(known["mean"] - 2 * known["stddev"], known["minimum"])
        assert channel["range"] == pytest.approx([low * 10000, (known["mean"] + 2 * known["stddev"]) * 10000])

    run(ARITHMETIC)
    (after,) = layers(names["map"])
    assert names["p1"].toLayer() in after.url
    assert after.url != layer.url
    assert after.opacity == 1
    red, green = (series(coll.process().band(band)) for band in ("B04", "B03"))
    mean = (red + green) * np.float32(0.5)
    assert np.array_equal(series(names["p1"]), np.where(mean < 600, np.nan, mean), equal_nan=True)
    assert names["p1"].chain.legend()["range"] == [600, 1500]


def test_a_stretch_is_that_of_the_bands_chosen_last_and_a_scale_comes_before_it() -> None:
    coll = Collection("sentinel2-coast")
    narrow, wide = (coll.process().bands("B04", "B03", "B02", k).chain.legend()["channels"] for k in (0.5, 2.0))
    assert all(n["range"][1] < w["range"][1] for n, w in zip(narrow, wide, strict=True))
    p = coll.process().bands("B04", "B03", "B02", 2)
    assert p.bands("B08", "B03", "B02").toLayer() == coll.process().bands("B08", "B03", "B02").toLayer()
    p.bands(inter.S2_LandWater, 2).scale(0, 3000)
    assert p.toLayer() == coll.process().bands(inter.S2_LandWater).scale(0, 3000).toLayer()
    p = coll.process().bands("B04", "B03", "B02", 2).band("B04")
    assert p.toLayer() == coll.process().band("B04").toLayer()


def test_bands_alone_are_those_of_the_collection() -> None:
    coll = Collection("sentinel2-coast")
    assert coll.process().bands().toLayer() == coll.process().bands("B04", "B03", "B02").toLayer()
    assert coll.process().band("B08").maskLT(1).bands().toLayer() == coll.process().bands().toLayer()
    landsat = Collection("landsat7-olinda").process()
    assert landsat.bands().toLayer() == Collection("landsat7-olinda").process().bands("ETM3", "ETM2", "ETM1").toLayer()
    assert Collection("DEM").process().bands().chain.legend()["quantity"] == "elevation"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p: p.bands("B04", "B03", "B02", "2"), "number of standard deviations"),
        (lambda p: p.bands("B04", "B03", "B02", 0), "greater than 0, not 0"),
        (lambda p: p.bands("B04", "B03", "B02", 2, 3), r"not 5 arguments.*bands\(\)"),
        (lambda p: p.parameter("mode", "hillshade"), "the chain has 13"),
        (lambda p: p.band("B04").parameter("mode", "hillshad"), "hillshade"),
        (lambda p: p.parameter("modus", "slope"), "mode"),
        (lambda p: p.parameter("interpolate", "Cubic"), "BILINEAR"),
        (lambda p: p.band("B04").maskLT(1).parameter("interpolate", "Bilinear"), r"right after process\(\)"),
    ],
)
def test_a_wrong_call_tells_what_is_taken(call: Callable[[ImageProcess], Any], told: str) -> None:
    with pytest.raises((InvalidArgument, NotFound), match=told):
        call(Collection("sentinel2-coast").process())


def test_the_modes_of_a_dem_are_the_terrain_of_the_vocabulary() -> None:
    p = inter.ImageCollection("DEM").filterOnLocation(5.7, 45.2).process()
    plain = p.copyTo()
    assert p.parameter("interpolate", "Bilinear") is p.parameter("mode", "hillshade") is p
    area = (5.6, 45.1, 5.7, 45.2)
    heights = plain.parameter("interpolate", "Bilinear")._values
    shade = p.chain.compute(area).to_numpy()
    assert np.isfinite(shade).any()
    assert np.array_equal(shade, heights.hillshade().compute(area).to_numpy(), equal_nan=True)
    stairs = inter.ImageCollection("DEM").filterOnLocation(5.7, 45.2).process().parameter("mode", "hillshade")
    assert "bilinear" in repr(p)
    assert p.toLayer() != stairs.toLayer()
    p.parameter("mode", "slope")  # the last mode counts
    assert p.chain.key == heights.slope().key
    assert p.parameter("mode", "elevation").chain.key == plain.chain.key


def test_copies_are_not_reached_by_later_calls() -> None:
    coll = Collection("sentinel2-series")
    copied = coll.copyTo()
    coll.filterOnDay(1999, 1, 1)
    assert (coll.count(), copied.count()) == (0, 34)
    p = copied.process().band("B04")
    again = p.copyTo()
    p.maskLT(800)
    assert again.toLayer() == copied.process().band("B04").toLayer() != p.toLayer()


def test_a_location_is_a_point() -> None:
    coll = Collection("DEM")
    assert coll.filterOnLocation(5.7, 45.2).count() == 1
    assert coll.items.items()[0]["id"] == "copdem_grenoble"
    assert coll.filterOnLocation(40.3, 39.5).items.items()[0]["id"] == "srtm_munzur"
    assert coll.filterOnLocation(0, 0).count() == 0


def test_lists_and_search_print(capsys: pytest.CaptureFixture[str]) -> None:
    inter.listImageCollections()
    listed = capsys.readouterr().out
    assert "collections.sentinel2_coast  Sentinel-2 L1C, Eastern Shore" in listed
    assert inter.collectionsSearch("carpathians", True) == 1
    found = capsys.readouterr().out
    assert found.splitlines()[1].strip() == "coll = inter.ImageCollection(collections.sentinel2_series)"
    exec(found.splitlines()[1].strip(), {"inter": inter, "collections": inter.collections})
    assert inter.collectionsSearch("nowhere") == 0
