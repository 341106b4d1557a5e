from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from earthloom.base.grid import Grid, Lattice
from earthloom.processes.context import Context
from earthloom.processes.define import get_process
from earthloom.processes.terrain import aspect, hillshade, slope

UTM = Lattice(32632, 30.0, 20.0)
SOBEL = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


def context(lattice, height, width, col=0, row=0):
    return Context(Grid(lattice, col, row, width, height))


def plane(lattice, east, north, height=3, width=4):
    """Elevations with a margin, rising by `east` and `north` metres a metre."""
    rows, cols = np.mgrid[0 : height + 2, 0 : width + 2]
    return east * cols * lattice.res_x - north * rows * lattice.res_y


def rough(height, width, seed=0):
    """A surface with relief at all scales, float32, about 30 m of height a pixel."""
    rng, z = np.random.default_rng(seed), np.zeros((height, width))
    for k in range(5):
        coarse = rng.normal(size=((height >> k) + 2, (width >> k) + 2))
        z += 10 * 2.0**k * ndimage.zoom(coarse, 2**k, order=1)[:height, :width]
    return z.astype(np.float32)


def gradient_by_scipy(z, lattice):
    """Rise per metre to east and north by ndimage's correlation, inside the margin."""
    east = ndimage.correlate(z.astype(np.float64), SOBEL)[1:-1, 1:-1] / (8 * lattice.res_x)
    north = ndimage.correlate(z.astype(np.float64), -SOBEL.T)[1:-1, 1:-1] / (8 * lattice.res_y)
    return east, north


@pytest.mark.parametrize(
    ("east", "north", "direction"),
    [(0, -1, 0), (-1, -1, 45), (-1, 0, 90), (-1, 1, 135), (0, 1, 180), (1, 1, 225), (1, 0, 270), (1, -1, 315)],
)
def test_a_plane_falls_where_the_compass_says(east, north, direction):
    ctx = context(UTM, 3, 4)
    z = plane(UTM, east, north)
    assert np.allclose(aspect(z, ctx=ctx), direction, atol=1e-4)
    assert np.allclose(slope(z, ctx=ctx), np.degrees(np.arctan(np.hypot(east, north))), atol=1e-4)
    assert np.allclose(slope(z, "percent", ctx=ctx), 100 * np.hypot(east, north), atol=1e-3)
    facing = hillshade(z, azimuth=direction, altitude=90 - np.degrees(np.arctan(np.hypot(east, north))), ctx=ctx)
    assert np.allclose(facing, 255.0, atol=1e-3)
    assert not hillshade(z, azimuth=direction + 180, altitude=10, ctx=ctx).any()


def test_flat_is_no_slope_no_direction_and_the_brightness_of_the_sun():
    z, ctx = np.full((5, 6), 100.0, np.float32), context(UTM, 3, 4)
    assert not slope(z, ctx=ctx).any()
    assert np.isnan(aspect(z, ctx=ctx)).all()
    assert np.allclose(hillshade(z, altitude=30, ctx=ctx), 127.5)


@pytest.mark.parametrize("zoom", [6, 12, 16])
@pytest.mark.parametrize("towards", ["east", "north"])
def test_a_plane_of_45_degrees_at_60_north_has_45_degrees_in_web_mercator(zoom, towards):
    lattice = Lattice.web_mercator(zoom)
    x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(10.0, 60.0)
    col, row = lattice.pixel(x, y)
    grid = Grid(lattice, col, row, 1, 1)
    lat = pyproj.Transformer.from_crs(3857, 4326, always_xy=True).transform(x, float(grid.y_centres()[0]))[1]
    metres = lattice.res_x * np.cos(np.radians(lat))
    rows, cols = np.mgrid[0:3, 0:3]
    z = metres * (cols if towards == "east" else -rows)
    assert slope(z, ctx=Context(grid)).item() == pytest.approx(45.0, abs=1e-4)


@pytest.mark.parametrize("latitude", [-70.0, 0.0, 45.5])
@pytest.mark.parametrize("towards", ["east", "north"])
def test_a_plane_of_45_degrees_has_45_degrees_in_geographic_coordinates(latitude, towards):
    lattice = Lattice(4326, 0.002, 0.001)
    grid = Grid(lattice, *lattice.pixel(5.0, latitude), 1, 1)
    lon, lat = float(grid.x_centres()[0]), float(grid.y_centres()[0])
    geod = pyproj.Geod(ellps="WGS84")
    width = geod.inv(lon - 0.001, lat, lon + 0.001, lat)[2]
    height = geod.inv(lon, lat - 0.0005, lon, lat + 0.0005)[2]
    rows, cols = np.mgrid[0:3, 0:3]
    z = width * cols if towards == "east" else -height * rows
    assert slope(z, ctx=Context(grid)).item() == pytest.approx(45.0, abs=1e-3)


def test_a_rough_surface_agrees_with_an_independent_computation():
    z, ctx = rough(120, 90), context(UTM, 118, 88)
    east, north = gradient_by_scipy(z, UTM)
    steep = np.arctan(np.hypot(east, north))
    assert np.abs(slope(z, ctx=ctx) - np.degrees(steep)).max() < 1e-5
    exact = np.degrees(np.arctan2(-east, -north)) % 360
    assert np.abs(aspect(z, ctx=ctx) - exact).max() < 5e-5
    # Angles instead of vectors, as textbooks and gdaldem's documentation have it.
    zenith, sun = np.radians(90 - 35), np.radians(315)
    light = np.cos(zenith) * np.cos(steep) + np.sin(zenith) * np.sin(steep) * np.cos(sun - np.radians(exact))
    shade = hillshade(z, 315, 35, ctx=ctx)
    assert np.abs(shade - 255 * np.maximum(light, 0)).max() < 1e-4
    assert (shade == 0).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 37), st.integers(1, 37), st.sampled_from([np.float32, np.float64]))
def test_pieces_with_a_margin_equal_the_whole_to_the_bit(seed, height, width, dtype):
    lattice = Lattice.web_mercator(11)
    whole = context(lattice, 40, 50, col=271000, row=180000)
    z = rough(42, 52, seed).astype(dtype)
    z[np.random.default_rng(seed).random(z.shape) < 0.01] = np.nan
    for process in (slope, aspect, hillshade):
        expected = process(z, ctx=whole)
        for top in range(0, 40, height):
            for left in range(0, 50, width):
                h, w = min(height, 40 - top), min(width, 50 - left)
                piece = context(lattice, h, w, col=271000 + left, row=180000 + top)
                found = process(z[top : top + h + 2, left : left + w + 2], ctx=piece)
                assert found.dtype == np.float32
                assert found.tobytes() == expected[top : top + h, left : left + w].tobytes()


@pytest.mark.parametrize("process", [slope, aspect, hillshade])
def test_a_missing_neighbour_gives_a_missing_result(process):
    z, ctx = rough(12, 12), context(UTM, 10, 10)
    z[5, 6] = np.nan
    missing = np.zeros((10, 10), bool)
    missing[3:6, 4:7] = True
    assert np.array_equal(np.isnan(process(z, ctx=ctx)), missing)


@pytest.mark.parametrize("process", [slope, aspect, hillshade])
def test_other_dimensions_are_kept(process):
    z, ctx = np.stack([rough(7, 8, i) for i in range(6)]).reshape(2, 3, 7, 8), context(UTM, 5, 6)
    found = process(z, ctx=ctx)
    assert found.shape == (2, 3, 5, 6)
    assert np.array_equal(found[1, 2], process(z[1, 2], ctx=ctx))


def test_the_factor_of_elevation_is_metres_per_unit():
    z, ctx = rough(20, 20).astype(np.float64), context(UTM, 18, 18)
    feet = z / 0.3048
    assert np.allclose(slope(feet, z_factor=0.3048, ctx=ctx), slope(z, ctx=ctx), rtol=1e-6)
    assert np.allclose(hillshade(feet, z_factor=0.3048, ctx=ctx), hillshade(z, ctx=ctx), rtol=1e-5)


def test_aspect_stays_below_360():
    angles = np.radians(np.r_[0.0, -1e-9, -1e-6, 1e-6, 359.999999, 359.9999999999])
    for angle in angles:
        found = aspect(plane(UTM, -np.sin(angle), -np.cos(angle), 1, 1), ctx=context(UTM, 1, 1)).item()
        assert 0.0 <= found < 360.0


def test_they_declare_their_margin_and_that_they_follow_the_grid():
    for name in ("slope", "aspect", "hillshade"):
        process = get_process(name)
        assert (process.margin, process.zoom, process.dtype) == (1, "grid", "float32")


def test_importing_the_vocabulary_does_not_import_numba():
    code = "import sys, earthloom.processes.families; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
