"""How a user's function is called, and what it may return."""

import math
from typing import Any

import numpy as np
import pytest

from earthloom.base.tilecontext import FunctionProblem, TileContext, context_json, from_json, to_json
from earthloom.base.tilefunction import TileFunction, namespace
from earthloom.base.tileresult import checked, result_dims

IMG = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def load(source: str, name: str = "f") -> TileFunction:
    names = namespace()
    exec(source, names)
    return TileFunction.find(names, name)


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "a", [1, [2]], {"a": {"b": [None]}}, float("inf"), float("-inf"), {"a": [float("inf")]}],
)
def test_arguments_travel_and_come_back(value: Any):
    assert from_json(to_json(value)) == value


def test_nan_numpy_scalars_tuples_and_small_arrays_travel():
    assert math.isnan(from_json(to_json(float("nan"))))
    assert to_json(np.float32(0.5)) == 0.5
    assert to_json((1, 2)) == [1, 2]
    array = np.array([[1.5, np.nan]], np.float32)
    back = from_json(to_json(array))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (object(), "object"),
        (2**60, r"2\*\*53"),
        ({1: 2}, "key 1"),
        (np.zeros(5000), "5000 values"),
        (np.array(["a"]), "array of <U1"),
        ([1, {"x": {2, 3}}], r"argument\[1\]\['x'\] is of type set"),
    ],
)
def test_what_cannot_travel_is_named(value: Any, word: str):
    with pytest.raises(FunctionProblem, match=word):
        to_json(value)


def test_a_function_returns_its_result_or_changes_the_array():
    assert load("def f(img, n): return img[0] > n").call(IMG.copy(), {"n": 3}).dtype == bool
    result = load("def f(img, n): img[img <= n] = 0").call(IMG.copy(), {"n": 3})
    np.testing.assert_array_equal(result, np.where(IMG <= 3, 0, IMG))


def test_the_convention_of_globals():
    f = load("def f(v=2):\n    global img\n    img = numpy.ones_like(band0)\n    img[band1 > v] = 0\n")
    assert f.convention == "globals"
    np.testing.assert_array_equal(f.call(IMG, {"v": 15}), (IMG[1] <= 15).astype(np.uint16))


def test_star_arguments_keyword_only_and_positional_only():
    f = load("def f(img, /, a, *rest, k=1, **more): return img[0] * a + sum(rest) + k + more['z']")
    result = f.call(IMG, {"a": 2, "rest": [3, 4], "k": 5, "more": {"z": 6}})
    np.testing.assert_array_equal(result, IMG[0] * 2 + 18)


def test_context_gives_coordinates_dates_and_mask():
    document = context_json(
        "EPSG:3857", (-100.0, 10.0, 4, 4), (50.0, -10.0, 2, 3), ([9.0] * 3, [9.5] * 3), ("bands", "y", "x"),
        bands=("B04", "B08"), nodata=0, margin=1,
    )  # fmt: skip
    f = load("def f(img, context): return context.mask[0] * context.x + context.y[:, None]")
    assert f.wants_context
    mask = np.ones(IMG.shape, bool)
    mask[0, 0, 0] = False
    context = TileContext.from_json(document, IMG, mask)
    assert (context.bands, context.nodata, context.margin) == (("B04", "B08"), 0, 1)
    assert context.resolution[1].shape == (3, 1)
    result = f.call(IMG, {}, context)
    np.testing.assert_array_equal(result[0], [25.0, -45.0 + 25, -35.0 + 25, -25.0 + 25])


@pytest.mark.parametrize(
    ("source", "name", "word"),
    [
        ("def g(img): return img", "f", 'no function "f"'),
        ("f = 3", "f", "int, and cannot be called"),
        ("def f(): return 1", "f", "takes no array"),
        ("def f(img): return img", "", "no openEO function"),
    ],
)
def test_what_is_no_function_is_told(source: str, name: str, word: str):
    with pytest.raises(FunctionProblem, match=word):
        load(source, name)


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (3, "returned int"),
        (np.float32(3), "returned float32"),
        (np.ma.masked_array(IMG[0]), "MaskedArray"),
        (IMG[0].astype(object), "array of object"),
        (IMG[0].astype(complex), "array of complex128"),
        (IMG[0, :2], r"shape \(2, 4\)"),
        (IMG[None, None], "5 dimensions"),
        (IMG[0, 0], r"shape \(4,\)"),
    ],
)
def test_what_is_no_result_is_told(result: Any, word: str):
    with pytest.raises(FunctionProblem, match=word):
        checked(result, IMG, 0)


def test_a_margin_is_cut_off_and_byte_order_made_native():
    img = np.zeros((2, 6, 7))
    assert checked(np.zeros((6, 7), ">f4"), img, 1).shape == (4, 5)
    assert checked(np.zeros((3, 4, 5), ">f4"), img, 1).dtype == np.dtype("=f4")


def test_names_of_a_results_axes():
    assert result_dims(("bands", "y", "x"), (4, 8, 8), (8, 8)) == ("y", "x")
    assert result_dims(("bands", "y", "x"), (4, 8, 8), (3, 8, 8)) == ("bands", "y", "x")
    assert result_dims(("t", "y", "x"), (4, 8, 8), (4, 8, 8)) == ("t", "y", "x")
    assert result_dims(("t", "y", "x"), (4, 8, 8), (3, 8, 8)) == ("bands", "y", "x")
    assert result_dims(("t", "bands", "y", "x"), (4, 2, 8, 8), (4, 1, 8, 8)) == ("t", "bands", "y", "x")


SERIES = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2)
SERIES_CONTEXT = context_json(
    "EPSG:3857", (0.0, 10.0, 0, 2), (0.0, -10.0, 0, 2), ([9.0] * 2, [9.0] * 2), ("t", "bands", "y", "x"),
    bands=("B04", "B08"), dates=("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z"),
)  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "import xarray\ndef apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:\n"
        "    return cube.mean('t') * context['factor']",
        "from openeo.udf import XarrayDataCube\n"
        "def apply_datacube(cube: XarrayDataCube, context: dict) -> XarrayDataCube:\n"
        "    return XarrayDataCube(cube.get_array().mean('t') * context['factor'])",
        "from openeo.udf import UdfData, XarrayDataCube\ndef apply_udf_data(data: UdfData):\n"
        "    array = data.get_datacube_list()[0].get_array().mean('t')\n"
        "    data.set_datacube_list([XarrayDataCube(array * data.user_context['factor'])])",
    ],
)
def test_openeos_own_signatures(source: str, monkeypatch: pytest.MonkeyPatch):
    import sys

    from earthloom.base import openeo_udf

    for name in ("openeo", "openeo.udf"):
        monkeypatch.setitem(sys.modules, name, None)
    openeo_udf.install()
    f = load(source, "")
    context = TileContext.from_json(SERIES_CONTEXT, SERIES, None)
    np.testing.assert_array_equal(f.call(SERIES.copy(), {}, context, {"factor": 2}), SERIES.mean(axis=0) * 2)


def test_apply_timeseries_gets_each_pixels_series():
    f = load("def apply_timeseries(series, context):\n    return series.rolling(2, min_periods=1).mean()", "")
    result = f.call(SERIES.copy(), {}, TileContext.from_json(SERIES_CONTEXT, SERIES, None), {})
    np.testing.assert_array_equal(result[0], SERIES[0])
    np.testing.assert_array_equal(result[2], (SERIES[1] + SERIES[2]) / 2)
