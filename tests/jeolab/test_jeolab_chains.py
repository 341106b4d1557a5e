"""Chains in the original's words: mutation, bands, values, colours, and the map."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipyleaflet
import ipywidgets
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from earthloom.base.errors import EmptySelection, InvalidArgument, NotFound
from earthloom.chain.build import Chain
from earthloom.chain.session import current
from earthloom.jeolab import Collection, ImageCollection, ImageProcess, Map, S2_LandWater, inter
from earthloom.lab.map import ChainLayer


@pytest.fixture
def coll() -> ImageCollection:
    return Collection("sentinel2-coast")


Values = Callable[[ImageProcess], NDArray[np.float32]]


def test_every_step_changes_the_chain_and_gives_it_back(coll: ImageCollection, values: Values) -> None:
    p = coll.process()
    steps = [
        p.band("B04"),
        p.maskLT(800),
        p.math("*", 2),
        p.scale(800, 3000),
        p.colorCustom(["red", "yellow"]),
        p.opacity(128),
    ]
    assert all(step is p for step in steps)
    assert [node["process_id"] for node in p.chain.graph.values()][-1] == "color"


def test_two_chains_of_a_collection_are_independent_and_later_filters_do_not_reach_them(
    coll: ImageCollection, values: Values
) -> None:
    first, second = coll.process(), coll.process()
    key = second.band("B04").toLayer()
    first.band("B08").maskLT(100)
    coll.filterOnDay(1999, 1, 1)
    assert second.toLayer() == key
    assert values(second).size


def test_values_are_digital_numbers(coll: ImageCollection, values: Values, pack: Path) -> None:
    numbers = values(coll.process().band("B04"))
    with rasterio.open(pack / "sentinel2-coast/T18S_coast_B04.tif") as file:
        assert np.array_equal(numbers, file.read(1))


def test_bands_by_name_place_and_combination(
    coll: ImageCollection, values: Values, capsys: pytest.CaptureFixture[str]
) -> None:
    red = values(coll.process().band("B04"))
    chosen = coll.processMulti(["B08", "B04"])
    assert np.array_equal(values(chosen.band(1)), red)
    assert np.array_equal(values(chosen.band(0)), red)
    three = coll.process().bands("B04", "B03", "B02")
    assert np.array_equal(values(three)[0], red)
    assert three.bands(2, 1, 0).toLayer() == coll.process().bands("B02", "B03", "B04").toLayer()
    assert coll.processMulti(["B08", "B04"]).band("B04").toLayer() == coll.process().band("B04").toLayer()
    assert coll.process().bands(S2_LandWater).toLayer() == coll.process().bands("B08", "B11", "B04").toLayer()
    assert capsys.readouterr().out == ""


def test_a_band_that_is_gone_starts_the_chain_again_with_a_notice(
    coll: ImageCollection, capsys: pytest.CaptureFixture[str]
) -> None:
    p = coll.process().band("B04").maskLT(800).scale(0, 1).colorCustom(["Lime"])
    assert p.bands(S2_LandWater) is p
    assert "starts again from sentinel2-coast with B08 B11 B04" in capsys.readouterr().out
    assert p.toLayer() == coll.process().bands(S2_LandWater).toLayer()
    p.maskLT(100).band("B08")
    assert capsys.readouterr().out == ""
    p.band("B02")
    assert "with B02" in capsys.readouterr().out
    assert p.toLayer() == coll.processMulti(["B02"]).band(0).toLayer()


def test_arithmetic_and_masks_equal_numpy(coll: ImageCollection, values: Values) -> None:
    red, green = values(coll.process().band("B04")), values(coll.process().band("B03"))
    p = coll.process().band("B04").math("+", coll.process().band("B03")).math("*", 0.5)
    assert np.array_equal(values(p), ((red + green) * np.float32(0.5)))

    for name, hidden in {
        "maskLT": red < 800,
        "maskLE": red <= 800,
        "maskGT": red > 800,
        "maskGE": red >= 800,
        "maskEQ": red == 800,
        "maskNE": red != 800,
    }.items():
        masked = values(getattr(coll.process().band("B04"), name)(800))
        assert hidden.any()
        assert np.array_equal(masked, np.where(hidden, np.nan, red), equal_nan=True), name


def test_mask_keeps_where_another_chain_is_opaque(coll: ImageCollection, values: Values) -> None:
    red, green, nir = (values(coll.process().band(band)) for band in ("B04", "B03", "B08"))
    bright = coll.process().band("B08").maskLT(1500)
    kept = values(coll.process().band("B04").mask(bright))
    assert np.array_equal(kept, np.where(nir >= 1500, red, np.nan), equal_nan=True)

    zero = coll.process().band("B08").math("-", float(nir.max())).colorCustom(["red"])
    assert np.array_equal(values(coll.process().band("B04").mask(zero)), np.where(nir < nir.max(), red, np.nan), True)

    three = coll.process().bands("B04", "B03", "B02")
    kept = values(three.mask(coll.process().bands("B08", "B03", "B04").maskLT(700)))
    assert np.array_equal(np.isnan(kept), np.broadcast_to((nir < 700) | (green < 700) | (red < 700), kept.shape))


def pixels(p: ImageProcess) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(p.chain.preview(128).png)).convert("RGBA"))


def test_one_colour_leaves_zero_transparent(coll: ImageCollection) -> None:
    lime = pixels(coll.process().band("B08").math("*", 0).scale(0, 1).colorCustom(["Lime"]))
    assert not lime[..., 3].any()
    lime = pixels(coll.process().band("B08").math("*", 0).math("+", 1).scale(0, 1).colorCustom(["Lime"]))
    assert {tuple(c) for c in lime.reshape(-1, 4)} <= {(0, 255, 0, 255), (0, 0, 0, 0)}
    assert lime[64, 64].tolist() == [0, 255, 0, 255]


def test_scale_spreads_the_colours(coll: ImageCollection) -> None:
    p = (
        coll.process()
        .band("B04")
        .math("*", 0)
        .math("+", 1500)
        .scale(1000, 2000)
        .colorCustom(["red", "#ffff00", "green"])
    )
    assert pixels(p)[64, 64].tolist() == [255, 255, 0, 255]
    p.scale(1500, 2000)
    assert pixels(p)[64, 64].tolist() == [255, 0, 0, 255]
    grey = coll.process().band("B04").math("*", 0).scale(0, 10)
    assert pixels(grey)[64, 64].tolist() == [0, 0, 0, 255]


def test_six_numbers_scale_red_green_and_blue(coll: ImageCollection) -> None:
    p = coll.process().bands(S2_LandWater).math("*", 0).math("+", 500)
    p.scale(0, 1000, 500, 1000, 0, 500)
    assert pixels(p)[64, 64].tolist() == [128, 0, 255, 255]
    p.scale(0, 1000)
    assert pixels(p)[64, 64].tolist() == [128, 128, 128, 255]


def test_without_a_scale_the_range_comes_from_the_statistics(coll: ImageCollection) -> None:
    bands = current().collection("sentinel2-coast")["bands"]
    known = next(band["statistics"] for band in bands if band["name"] == "B04")
    low, high = coll.process().band("B04").maskLT(100).chain.legend()["range"]
    assert low == pytest.approx(max(known["mean"] - 2 * known["stddev"], known["minimum"]) * 10000)
    assert high == pytest.approx((known["mean"] + 2 * known["stddev"]) * 10000)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p: p.band("B4"), 'No band "B4".*B04'),
        (lambda p: p.band(13), "13 bands, 0 to 12"),
        (lambda p: p.band(["B04"]), "a name or a place"),
        (lambda p: p.band(), r"band\(band\)"),
        (lambda p: p.bands("B04"), r"three bands or a combination.*bands\(S2_LandWater\)"),
        (lambda p: p.bands("B04", "B03", "B1"), 'No band "B1"'),
        (lambda p: p.math("%", 2), r"\+ - \* /"),
        (lambda p: p.math("+", "B04"), "other is a number or another chain"),
        (lambda p: p.maskLT("800"), "value is a number"),
        (lambda p: p.mask(3), "another chain"),
        (lambda p: p.scale(1, 2, 3), r"two numbers \(min, max\) or six"),
        (lambda p: p.colorCustom("red"), "list of colours"),
        (lambda p: p.opacity(256), "0 to 255"),
        (lambda p: p.toLayer(), r'the chain has 13.*band\("B04"\)'),
        (lambda p: p.band("B04").scale(1, 2, 3, 4, 5, 6).toLayer(), "Give two"),
        (lambda p: p.bands("B04", "B03", "B02").colorCustom(["red"]).toLayer(), "one band"),
        (lambda p: p.band("B04").colorCustom(["lyme"]).toLayer(), "lime"),
    ],
)
def test_a_wrong_call_names_what_is_accepted(coll: ImageCollection, call: Any, told: str) -> None:
    with pytest.raises((InvalidArgument, NotFound), match=told):
        call(coll.process())


def test_a_chain_looks_into_itself(coll: ImageCollection, capsys: pytest.CaptureFixture[str]) -> None:
    p = coll.process().band("B04").scale(0, 3000)
    graph = json.loads(p.toJson())
    assert Chain.from_graph(graph).key == p.toLayer()
    p.printProcess()
    assert "digital_numbers" in capsys.readouterr().out
    assert "digital_numbers" in repr(coll.process())
    assert "sentinel2-coast" in p._repr_html_()


@pytest.fixture
def m() -> Iterator[Map]:
    made = Map(center=(37.7, -75.6), zoom=12)
    yield made
    made.close()


def names(m: Map) -> list[str]:
    return [layer.name for layer in m.layers if not layer.base]


def test_layers_by_chain_and_by_key(m: Map, coll: ImageCollection) -> None:
    p = coll.process().band("B04").scale(0, 3000).opacity(51)
    layer = m.addLayer(p, name="red")
    assert isinstance(layer, ChainLayer)
    assert layer.opacity == 0.2
    assert p.toLayer() in layer.url
    assert m.addLayer(p.toLayer(), name="again").opacity == 0.2
    assert m.addLayer(str(p.toLayer()), name="as text").opacity == 1
    m.addLayer(p.band("B08"), name="red")
    assert names(m) == ["red", "again", "as text"]
    with pytest.raises(NotFound):
        m.addLayer("0" * 32)


def test_layers_go_by_name_and_all_but_the_base(m: Map, coll: ImageCollection) -> None:
    p = coll.process().band("B04")
    m.addLayer(p, name="a")
    m.addLayer(p, name="b")
    m.addLayer(ipyleaflet.Marker(location=(37.7, -75.6)))
    m.removeLayerByName("a")
    assert "b" in names(m)
    with pytest.raises(NotFound, match='"a"'):
        m.removeLayerByName("a")
    controls = m.controls
    m.clear()
    assert [layer.base for layer in m.layers] == [True]
    assert m.controls == controls


def test_the_map_looks_at_the_images_of_a_chain(m: Map, coll: ImageCollection) -> None:
    far = Collection("sentinel2-series").process().band("B04")
    assert m.zoomToImageExtent(far) is m
    assert m.center == pytest.approx([45.205, 22.152], abs=0.01)
    m.zoomToImageExtent(coll.process().band("B04").toLayer())
    assert m.center == pytest.approx([37.697, -75.611], abs=0.01)
    with pytest.raises(EmptySelection):
        m.zoomToImageExtent(coll.filterOnDay(1999, 1, 1).process().band("B04"))


def test_a_map_with_a_side_title_shows_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Map(layout=ipywidgets.Layout(height="300px"))
    assert plain.layout.height == "300px"
    assert capsys.readouterr().out == ""
    titled = inter.Map(center=(37.7, -75.6), zoom=10, side="StubbleBurning")
    assert "Map" in capsys.readouterr().out
    assert titled.layout.height == "400px"
    assert any(
        getattr(c, "widget", None) and getattr(c.widget, "value", "") == "StubbleBurning" for c in titled.controls
    )
    with pytest.raises(InvalidArgument, match="400px"):
        Map(layout=ipywidgets.Layout(height="50%"))
