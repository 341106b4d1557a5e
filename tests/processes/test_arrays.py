"""Reducers against numpy, and the bits of one pixel against those of a whole tile."""

import numpy as np
import pytest

from earthloom.base.grid import Grid
from earthloom.processes import arrays
from earthloom.processes.context import Context

NUMPY = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "min": np.nanmin,
    "max": np.nanmax,
    "sum_": np.nansum,
    "sd": lambda a, axis: np.nanstd(a, axis=axis, ddof=1),
    "variance": lambda a, axis: np.nanvar(a, axis=axis, ddof=1),
}


def stack(dates=11, size=16, seed=3):
    random = np.random.default_rng(seed)
    values = random.normal(0.3, 0.1, (dates, size, size)).astype(np.float32)
    values[random.random(values.shape) < 0.3] = np.nan
    return values


def ctx(labels=()):
    return Context(Grid.tile(0, 0, 0), axis=-3, labels=labels)


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("dates", [10, 11])
def test_a_reducer_equals_numpy(name, dates):
    values = stack(dates)
    got = getattr(arrays, name)(values, ctx=ctx())
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, NUMPY[name](values.astype(np.float64), axis=0), rtol=2e-6)


@pytest.mark.parametrize("name", [*NUMPY, "first", "last", "count"])
def test_a_window_of_one_pixel_has_the_bits_of_the_whole(name):
    values = stack(40, 32)
    reduce = getattr(arrays, name)
    with np.errstate(all="ignore"):
        whole = reduce(values, ctx=ctx())
        for y, x in [(0, 0), (5, 9), (31, 31)]:
            one = reduce(np.ascontiguousarray(values[:, y : y + 1, x : x + 1]), ctx=ctx())
            assert one.tobytes() == whole[y : y + 1, x : x + 1].tobytes()


@pytest.mark.parametrize("name", [*NUMPY, "first", "last"])
def test_all_missing_gives_missing(name):
    empty = np.full((4, 2, 2), np.nan, np.float32)
    with np.errstate(all="ignore"):
        assert np.isnan(getattr(arrays, name)(empty, ctx=ctx())).all()


@pytest.mark.parametrize("name", [*NUMPY, "first"])
def test_one_missing_value_counts_when_it_is_not_ignored(name):
    values = np.ones((3, 1, 1), np.float32)
    values[0] = np.nan
    with np.errstate(all="ignore"):
        assert np.isnan(getattr(arrays, name)(values, ignore_nodata=False, ctx=ctx())).all()


def test_first_and_last_skip_missing_values():
    values = np.array([np.nan, 1, 2, np.nan], np.float32).reshape(4, 1, 1)
    assert arrays.first(values, ctx=ctx()) == 1
    assert arrays.last(values, ctx=ctx()) == 2
    assert arrays.count(values, ctx=ctx()) == 2


def test_array_element_names_the_nearest_label():
    values = stack(2)
    assert np.array_equal(arrays.array_element(values, label="B08", ctx=ctx(("B04", "B08"))), values[1], equal_nan=True)
    with pytest.raises(Exception, match="Near names: B08"):
        arrays.array_element(values, label="B8", ctx=ctx(("B04", "B08")))


def test_array_contains_keeps_missing_values_missing():
    values = np.array([3, 4, np.nan], np.float32)
    got = arrays.array_contains([3, 8], values, ctx=ctx())
    np.testing.assert_array_equal(got, [1, 0, np.nan])
