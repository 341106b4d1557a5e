from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from earthloom.base.cube import Cube
from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.base.grid import Grid, Lattice
from earthloom.engine.paint import paint, warm
from earthloom.engine.style import RgbStyle, class_style, ramp_style

LATTICE = Lattice(32632, 10.0, 10.0)
RAMP = ramp_style(["black", "white"], 0.0, 254.0)
RGB = RgbStyle(("B04", "B03", "B02"), ((0.0, 255.0), (0.0, 255.0), (0.0, 51.0)))
NAN, INF = float("nan"), float("inf")


def cube(values, bands=(), times=(), dtype=np.float32):
    values = np.asarray(values, dtype)
    labels = {dim: names for dim, names in (("t", times), ("bands", bands)) if names}
    grid = Grid(LATTICE, 0, 0, values.shape[-1], values.shape[-2])
    return Cube(values, (*labels, "y", "x"), grid, labels)


def ramp_by_numpy(values, style):
    """The documented formula, written another way."""
    v = np.asarray(values, np.float64)
    place = np.clip(v - style.vmin, 0.0, style.vmax - style.vmin) * (254 / (style.vmax - style.vmin))
    return np.where(np.isnan(v), 0, 1 + np.floor(np.nan_to_num(place) + 0.5)).astype(np.uint8)


def test_a_ramp_rounds_half_up_and_holds_what_is_beyond():
    values = [[NAN, -INF, -1, 0, 0.49, 0.5, 1.5, 253.49, 253.5, 254, 300, INF]]
    picture = paint(cube(values), RAMP)
    assert picture.index.tolist() == [[0, 1, 1, 1, 1, 2, 3, 254, 255, 255, 255, 255]]
    assert picture.palette.shape == (256, 4)
    assert picture.palette[[0, 1, 255]].tolist() == [[0, 0, 0, 0], [0, 0, 0, 255], [255, 255, 255, 255]]
    assert picture.rgba is None


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.floats(-1e6, 1e6, width=32) | st.just(NAN),
    ),
    st.floats(-1000, 1000),
    st.floats(1e-3, 1e5),
)
def test_a_ramp_follows_its_formula(values, vmin, width):
    style = ramp_style("viridis", vmin, vmin + width)
    assert np.array_equal(paint(cube(values, dtype=values.dtype), style).index, ramp_by_numpy(values, style))


def test_a_range_of_one_value_parts_what_lies_below_and_above():
    for value in (5.0, 0.0):
        picture = paint(cube([[value - 1, value, value + 1, NAN]]), replace(RAMP, vmin=value, vmax=value))
        assert picture.index.tolist() == [[1, 128, 255, 0]]


def test_a_range_too_narrow_or_too_wide_for_arithmetic_gives_a_colour_still():
    narrow = paint(cube([[0.0, 5e-324, 1.0, -1.0, NAN]], dtype=np.float64), replace(RAMP, vmax=5e-324))
    assert narrow.index.tolist() == [[1, 1, 255, 1, 0]]
    wide = paint(cube([[-INF, 0.0, INF, NAN]]), replace(RAMP, vmin=-1.7e308, vmax=1.7e308))
    assert wide.index[0, -1] == 0
    assert (wide.index[0, :3] > 0).all()


def test_the_colour_of_a_pixel_does_not_depend_on_the_cut():
    values = np.random.default_rng(1).normal(0.4, 0.3, (64, 96))
    style = ramp_style("RdYlGn", -0.2, 0.9)
    whole = paint(cube(values), style).index
    for rows, cols in ((slice(0, 31), slice(3, 50)), (slice(31, 64), slice(50, 96)), (slice(7, 8), slice(9, 10))):
        assert np.array_equal(paint(cube(values[rows, cols]), style).index, whole[rows, cols])


def test_classes_take_equal_values_only():
    style = class_style([(3, "shadow", "black"), (0.1, "tenth", "#ff000080"), (-9999, "low", "blue")])
    picture = paint(cube([[3, 0.1, 3.0001, -9999, NAN, 0, INF]]), style)
    assert picture.index.tolist() == [[1, 2, 0, 3, 0, 0, 0]]
    assert picture.palette.tolist() == [[0, 0, 0, 0], [0, 0, 0, 255], [255, 0, 0, 128], [0, 0, 255, 255]]
    assert not picture.opaque


def test_255_classes_fit_and_the_first_of_two_that_the_type_cannot_tell_apart_wins():
    values = np.arange(255, dtype=np.float32).reshape(15, 17)
    picture = paint(cube(values), class_style([(i, "", "red") for i in range(255)]))
    assert np.array_equal(picture.index, values + 1)
    twins = class_style([(0.1, "", "red"), (0.1 + 1e-12, "", "blue")])
    assert paint(cube([[0.1]]), twins).index.tolist() == [[1]]


def test_empty_and_opaque():
    classes = class_style([(1, "", "red")])
    rgb = replace(RGB, bands=("a", "b", "c"))
    for style, full, none in ((RAMP, 1.0, NAN), (classes, 1.0, 2.0), (rgb, 1.0, NAN)):
        shape, bands = ((3, 2, 2), ("a", "b", "c")) if style is rgb else ((2, 2), ())
        part = np.full(shape, full)
        part[..., 0, 0] = none
        for values, flags in ((np.full(shape, full), (False, True)), (part, (False, False))):
            picture = paint(cube(values, bands), style)
            assert (picture.empty, picture.opaque) == flags
            assert picture.shape == (2, 2)
        picture = paint(cube(np.full(shape, none), bands), style)
        assert (picture.empty, picture.opaque) == (True, False)
    glass = ramp_style(["#ffffff00", "white"], 0.0, 1.0)
    assert not paint(cube([[1.0]]), glass).opaque


def test_rgb_takes_its_bands_by_name():
    values = [[[10]], [[20]], [[30]], [[99]]]
    picture = paint(cube(values, ("B02", "B03", "B04", "B08")), RGB)
    assert picture.rgba.tolist() == [[[30, 20, 50, 255]]]
    assert picture.index is None


def test_rgb_without_one_band_is_transparent():
    values = np.full((3, 1, 4), 7.0)
    values[[0, 1, 2], 0, [0, 1, 2]] = NAN
    rgba = paint(cube(values, RGB.bands), RGB).rgba
    assert rgba[0].tolist() == [[0, 0, 0, 0]] * 3 + [[7, 7, 35, 255]]


@pytest.mark.parametrize("gamma", [0.5, 1.25, 2.2])
def test_gamma_follows_its_formula(gamma):
    values = np.linspace(-10, 265, 3 * 500).reshape(3, 5, 100)
    style = replace(RGB, ranges=((0.0, 255.0),) * 3, gamma=gamma)
    rgba = paint(cube(values, RGB.bands, dtype=np.float64), style).rgba
    exact = 255 * np.clip(values / 255, 0, 1) ** (1 / gamma)
    assert np.abs(np.moveaxis(rgba[..., :3], -1, 0) - exact).max() <= 0.52  # half a level, and a little of the steps


def test_a_view_of_a_larger_array_is_painted():
    values = np.arange(3 * 6 * 8, dtype=np.float32).reshape(3, 6, 8)
    cut = values[:, 1:4, 2:7]
    assert np.array_equal(paint(cube(cut, RGB.bands), RGB).rgba, paint(cube(cut.copy(), RGB.bands), RGB).rgba)
    assert np.array_equal(paint(cube(cut[0]), RAMP).index, cut[0].astype(np.uint8) + 1)


@pytest.mark.parametrize(
    ("given_cube", "style", "message"),
    [
        (cube(np.zeros((3, 1, 1)), ("B02", "B03", "B04")), RAMP, r'\["B02"\].*rgb\("B02", "B03", "B04"\)'),
        (cube(np.zeros((2, 1, 1)), ("B02", "B03")), class_style([(1, "", "red")]), r'2: B02, B03.*\["B02"\]\.$'),
        (cube(np.zeros((5, 1, 1)), times=tuple("abcde")), RAMP, r'has 5.*median\("t"\)'),
        (cube(np.zeros((2, 3, 1, 1)), ("B02", "B03", "B04"), ("a", "b")), RGB, r"one date.*has 2"),
        (cube(np.zeros((1, 1))), RGB, "three bands"),
    ],
)
def test_other_dimensions_are_refused_with_the_way_out(given_cube, style, message):
    with pytest.raises(InvalidArgument, match=message):
        paint(given_cube, style)


def test_an_rgb_band_that_is_not_there_is_named():
    with pytest.raises(NotFound, match="B02") as caught:
        paint(cube(np.zeros((3, 1, 1)), ("B04", "B03", "B2")), RGB)
    assert caught.value.near[0] == "B2"


def test_painting_a_tile_is_quick():
    warm()
    tile = cube(np.random.default_rng(0).random((256, 256)))
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        paint(tile, RAMP)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5e-3  # measured 0.03 ms; a loop that does not vectorise takes several times as long
