"""Grids: integer windows on a lattice, coordinates from absolute indices only."""

import morecantile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthloom.base.errors import InvalidArgument
from earthloom.base.grid import WORLD_HALF_M, Grid, Lattice


def test_the_tile_0_0_0_is_the_world():
    assert Grid.tile(0, 0, 0).bounds == pytest.approx((-WORLD_HALF_M, -WORLD_HALF_M, WORLD_HALF_M, WORLD_HALF_M))


@pytest.mark.parametrize(("z", "x", "y"), [(0, 0, 0), (9, 287, 183), (14, 9199, 5903)])
def test_a_tile_has_the_bounds_that_morecantile_gives(z, x, y):
    world = morecantile.tms.get("WebMercatorQuad")
    tile = morecantile.Tile(x, y, z)
    assert Grid.tile(z, x, y).bounds == pytest.approx(tuple(world.xy_bounds(tile)), abs=1e-6)
    assert Grid.tile(z, x, y).lonlat_bounds() == pytest.approx(tuple(world.bounds(tile)), abs=1e-9)


@pytest.mark.parametrize(("z", "x", "y"), [(-1, 0, 0), (25, 0, 0), (3, 8, 0), (3, 0, -1)])
def test_a_tile_outside_the_world_is_refused(z, x, y):
    with pytest.raises(InvalidArgument):
        Grid.tile(z, x, y)


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 200), st.integers(0, 200), st.integers(1, 64), st.integers(0, 9))
def test_a_pixel_has_the_same_coordinates_in_any_window(zoom, col, row, size, margin):
    lattice = Lattice.web_mercator(zoom)
    small = Grid(lattice, col, row, size, size)
    large = small.grown(margin)
    rows, cols = large.window(small)
    assert np.array_equal(large.x_centres()[cols], small.x_centres())
    assert np.array_equal(large.y_centres()[rows], small.y_centres())
    for big, little in zip(large.ground_resolution(), small.ground_resolution(), strict=True):
        assert np.array_equal(big[rows], little)


def test_ground_resolution_of_web_mercator_at_60_degrees_is_half():
    y = 8399737.89
    lattice = Lattice.web_mercator(12)
    col, row = lattice.pixel(0.0, y)
    width, height = Grid(lattice, col, row, 1, 1).ground_resolution()
    assert width[0, 0] == pytest.approx(lattice.res_x / 2, rel=1e-4)
    assert height[0, 0] == pytest.approx(lattice.res_y / 2, rel=1e-4)


def test_ground_resolution_of_degrees_agrees_with_geod():
    from pyproj import Geod

    grid = Grid(Lattice(4326, 0.001, 0.001), 9000, -45000, 1, 1)
    width, height = grid.ground_resolution()
    lon, lat = grid.x_centres()[0], grid.y_centres()[0]
    geod = Geod(ellps="WGS84")
    assert width[0, 0] == pytest.approx(geod.inv(lon - 0.0005, lat, lon + 0.0005, lat)[2], rel=1e-6)
    assert height[0, 0] == pytest.approx(geod.inv(lon, lat - 0.0005, lon, lat + 0.0005)[2], rel=1e-6)


def test_covering_bounds_on_pixel_edges_gains_no_pixel():
    lattice = Lattice(3035, 10.0, 10.0)
    grid = Grid.covering(lattice, (5_271_980.0, 2_532_000.0, 5_272_980.0, 2_533_000.0))
    assert (grid.width, grid.height) == (100, 100)
    assert grid.bounds == (5_271_980.0, 2_532_000.0, 5_272_980.0, 2_533_000.0)


def test_a_window_outside_is_refused():
    grid = Grid(Lattice(3035, 10.0, 10.0), 0, 0, 8, 8)
    with pytest.raises(ValueError, match="not inside"):
        grid.window(grid.grown(1))


def test_an_unknown_crs_is_named():
    with pytest.raises(InvalidArgument, match="EPSG:999999"):
        Grid(Lattice(999999, 1.0, 1.0), 0, 0, 1, 1).ground_resolution()
