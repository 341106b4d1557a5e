"""Processes on whole cubes: labels, broadcasting, and what NaN means in masks and conditions."""

import numpy as np
import pytest

from earthloom.base.cube import Cube
from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.base.grid import Grid, Lattice
from earthloom.processes import cube as processes
from earthloom.processes.context import Context

GRID = Grid(Lattice(3035, 10.0, 10.0), 0, 0, 2, 2)
CTX = Context(GRID)
NAN = np.nan


def flat(*values, **labels):
    """A cube in which all pixels of a plane have one value."""
    planes = np.asarray(values, np.float32).reshape(*(len(v) for v in labels.values()), 1, 1)
    return Cube(np.broadcast_to(planes, (*planes.shape[:-2], 2, 2)).copy(), (*labels, "y", "x"), GRID, labels)


def add(parameters, ctx):
    return parameters["x"] + parameters["y"]


def test_mask_hides_where_true_and_nan_hides_nothing():
    data, mask = flat(1), Cube(np.array([[0, 1], [NAN, 2]], np.float32), ("y", "x"), GRID)
    np.testing.assert_array_equal(processes.mask(data, mask).values, [[1, NAN], [1, NAN]])
    np.testing.assert_array_equal(processes.mask(data, mask, replacement=9).values, [[1, 9], [1, 9]])


def test_where_keeps_where_true_and_nan_hides():
    data, condition = flat(1), Cube(np.array([[0, 1], [NAN, 2]], np.float32), ("y", "x"), GRID)
    np.testing.assert_array_equal(processes.where(data, condition).values, [[NAN, 1], [NAN, 1]])


def test_a_missing_dimension_is_broadcast():
    data = flat(1, 2, t=("a", "b"))
    got = processes.mask(data, flat(1))
    assert got.dims == ("t", "y", "x")
    assert np.isnan(got.values).all()
    wide = processes.where(flat(5), flat(0, 1, t=("a", "b")))
    assert wide.labels["t"] == ("a", "b")
    assert np.isnan(wide.values[0]).all()
    assert (wide.values[1] == 5).all()


def test_unequal_labels_are_named():
    with pytest.raises(InvalidArgument, match="only in the first a; only in the second c"):
        processes.merge_cubes(flat(1, 2, t="ab"), flat(1, 2, t="bc"), add, {"labels": "equal"}, ctx=CTX)


def test_merging_unites_labels():
    got = processes.merge_cubes(flat(1, 2, bands=("B4", "B3")), flat(9, bands=("B8",)), None, ctx=CTX)
    assert got.labels["bands"] == ("B4", "B3", "B8")
    assert got.values[:, 0, 0].tolist() == [1, 2, 9]


def test_merging_sorts_time_and_resolves_what_both_have():
    got = processes.merge_cubes(flat(2, 3, t="bc"), flat(10, 20, t="ab"), add, ctx=CTX)
    assert got.labels["t"] == ("a", "b", "c")
    assert got.values[:, 0, 0].tolist() == [10, 22, 3]
    with pytest.raises(InvalidArgument, match="overlap_resolver"):
        processes.merge_cubes(flat(2, 3, t="bc"), flat(10, 20, t="ab"), None, ctx=CTX)


def test_filter_bands_keeps_the_order_asked_for():
    got = processes.filter_bands(flat(1, 2, 3, bands=("a", "b", "c")), ["c", "a"])
    assert got.labels["bands"] == ("c", "a")
    assert got.values[:, 0, 0].tolist() == [3, 1]
    with pytest.raises(NotFound, match='No band "d"'):
        processes.filter_bands(got, ["d"])


def test_filter_temporal_is_half_open():
    days = ("2020-05-01T00:00:00Z", "2020-05-02T00:00:00Z", "2020-05-03T00:00:00Z")
    got = processes.filter_temporal(flat(1, 2, 3, t=days), ["2020-05-01", "2020-05-03"])
    assert got.labels["t"] == days[:2]
    with pytest.raises(InvalidArgument, match="No date"):
        processes.filter_temporal(got, ["2021-01-01", None])


def test_ndvi_with_and_without_a_target():
    data = flat(1, 3, bands=("red", "nir"))
    assert processes.ndvi(data).values[0, 0] == 0.5
    kept = processes.ndvi(data, target_band="ndvi")
    assert kept.labels["bands"] == ("red", "nir", "ndvi")
    assert kept.values[2, 0, 0] == 0.5


def test_a_constant_callback_fills_the_cube():
    got = processes.apply(flat(1), lambda parameters, ctx: 7, ctx=CTX)
    assert got.values.tolist() == [[7, 7], [7, 7]]
    assert got.values.dtype == np.float32
    assert got.values.flags.writeable


def test_to_xarray_carries_crs_and_coordinates():
    array = flat(1, 2, t=("2020-05-01T00:00:00Z", "2020-05-06T00:00:00Z")).to_xarray()
    assert array.dims == ("t", "y", "x")
    assert array.x.values.tolist() == [5.0, 15.0]
    assert array.y.values.tolist() == [-5.0, -15.0]
    assert str(array.t.values[1]).startswith("2020-05-06")
    assert "ETRS89" in array.spatial_ref.attrs["crs_wkt"]
