"""The value of a pixel does not depend on the window: properties, big grids, and the ends of the world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earthloom.base.grid import WORLD_HALF_M, Grid, Lattice, transformer
from earthloom.raster import mosaic
from earthloom.raster.coords import Frame, patches
from earthloom.raster.files import header
from earthloom.raster.mosaic import MosaicReader

Function = Callable[..., Any]  # fixtures of conftest.py

CASES = {
    "3035 to 3857": ("sentinel2-series/S2_L2A_retezat_20200730_B04.tif", Lattice.web_mercator(15)),
    "32633 to 3857": ("sentinel2-havel/T33UUU_20170216T102101_B04.tif", Lattice.web_mercator(13)),
    "32633 to 3857, overview": ("sentinel2-havel/T33UUU_20170216T102101_B04.tif", Lattice.web_mercator(11)),
    "4326 to 3857": ("elevation/copdem_grenoble.tif", Lattice.web_mercator(9)),
    "4326 to 3857, world": ("basemap/blue_marble.tif", Lattice.web_mercator(1)),
    "4326 to 3035": ("basemap/blue_marble.tif", Lattice(3035, 7000.0, 5000.0, 100.0, 50.0)),
    "32621 to 32621, aligned": (
        "landsat8-itaipu/LC08_L1TP_224077_20200518_BGR.tif",
        Lattice(32621, 30.0, 30.0, 15.0, 15.0),
    ),
    "32621 to 32621, shifted": ("landsat8-itaipu/LC08_L1TP_224077_20200518_BGR.tif", Lattice(32621, 41.0, 37.0, 7, 3)),
}
SIZE = 360


@pytest.mark.parametrize("method", ["near", "bilinear"])
@pytest.mark.parametrize("case", CASES)
def test_any_cut_gives_the_same_bits(pack: Path, case: str, method: str, asset: Function) -> None:
    name, lattice = CASES[case]
    head = header(str(pack / name))
    x0, y0, x1, y1 = head.bounds
    x, y = transformer(head.epsg, lattice.epsg).transform((x0 + x1) / 2, (y0 + y1) / 2)
    if lattice.epsg == 3035:
        x, y = 4_300_000.0, 3_200_000.0
    col, row = lattice.pixel(x, y)
    whole = Grid(lattice, col - SIZE // 2, row - SIZE // 2, SIZE, SIZE)
    reader = MosaicReader()
    wanted = reader.read([asset(head.path)], whole, ["b"], method)
    assert np.isfinite(wanted).any()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def cut(data: st.DataObject) -> None:
        left, top = data.draw(st.integers(0, SIZE - 1)), data.draw(st.integers(0, SIZE - 1))
        width, height = data.draw(st.integers(1, SIZE - left)), data.draw(st.integers(1, SIZE - top))
        grid = Grid(lattice, whole.col + left, whole.row + top, width, height)
        ours = reader.read([asset(head.path)], grid, ["b"], method)
        np.testing.assert_array_equal(ours, wanted[:, top : top + height, left : left + width])

    cut()
    reader.close()


def test_tiles_of_one_zoom_equal_one_big_read(pack: Path, reader: MosaicReader, asset: Function) -> None:
    assets = [asset(p) for p in sorted((pack / "elevation").glob("copdem*.tif"))]
    lattice = Lattice.web_mercator(9)
    tiles = [Grid.tile(9, x, y) for y in (183, 184) for x in (262, 263, 264)]
    big = Grid(lattice, 262 * 256, 183 * 256, 3 * 256, 2 * 256)
    for method in ("near", "bilinear"):
        whole = reader.read(assets, big, ["b"], method)
        assert np.isfinite(whole).any()
        for tile in tiles:
            rows, cols = big.window(tile)
            np.testing.assert_array_equal(reader.read(assets, tile, ["b"], method), whole[:, rows, cols])


def test_big_reads_in_parts_are_the_same(
    pack: Path, reader: MosaicReader, monkeypatch: pytest.MonkeyPatch, asset: Function
) -> None:
    """Reads that need too much at once are halved, also within the list of assets."""
    assets = [asset(p) for p in sorted((pack / "landsat8-itaipu").glob("*.tif"))]
    lattice = Lattice(32621, 30.0, 30.0)
    grid = Grid.covering(lattice, (742_000, -2_816_000, 753_500, -2_797_000))
    for method in ("near", "bilinear"):
        whole = reader.read(assets, grid, ["b"], method)
        for limit, value in (("MAX_GRID_PX", 9_000), ("MAX_SOURCE_PX", 12_000)):
            with monkeypatch.context() as patch:
                patch.setattr(mosaic, limit, value)
                np.testing.assert_array_equal(reader.read(assets, grid, ["b"], method), whole)


def test_beyond_the_edge_of_the_web_map_is_no_data(pack: Path, reader: MosaicReader, asset: Function) -> None:
    world = asset(pack / "basemap" / "blue_marble.tif")
    whole = reader.read([world], Grid.tile(2, 0, 1), ["b"])[0]
    assert np.isfinite(whole).all()
    beyond = reader.read([world], Grid.tile(2, 0, 1).grown(5), ["b"])[0]
    np.testing.assert_array_equal(beyond[5:-5, 5:-5], whole)
    assert np.isnan(beyond[:, :5]).all()
    assert np.isfinite(beyond[5:-5, 5:]).all()
    east = reader.read([world], Grid(Lattice.web_mercator(2), 4 * 256 - 3, 300, 40, 40), ["b"])[0]
    assert np.isfinite(east[:, :3]).all()
    assert np.isnan(east[:, 3:]).all()


def test_the_web_maps_edge_in_the_middle_of_a_patch(pack: Path, reader: MosaicReader, asset: Function) -> None:
    """On a lattice whose edge of the world falls between two pixels, only what lies beyond is no data."""
    lattice = Lattice(3857, 10_000.0, 10_000.0, 3_000.0, 0.0)
    world = asset(pack / "basemap" / "blue_marble.tif")
    col, _ = lattice.pixel(WORLD_HALF_M, 0.0)
    ours = reader.read([world], Grid(lattice, col - 20, 0, 60, 8), ["b"])[0]
    assert np.isfinite(ours[:, :20]).all()
    assert np.isnan(ours[:, 21:]).all()


def test_a_lattice_across_the_antimeridian(pack: Path, reader: MosaicReader, asset: Function) -> None:
    """The Pacific in UTM zone 60: the world file is read on both sides, and no pixel comes from in between."""
    world = asset(pack / "basemap" / "blue_marble.tif")
    x, y = transformer(4326, 32760).transform(180.0, -16.5)  # Fiji
    grid = Grid.covering(Lattice(32760, 5000.0, 5000.0), (x - 6e5, y - 4e5, x + 6e5, y + 4e5))
    ours = reader.read([world], grid, ["b"])[0]
    assert np.isfinite(ours).all()
    head = header(world.href)
    stored = MosaicReader().read([world], Grid.covering(Lattice(4326, 0.1, 0.1, -180, 90), head.bounds), ["b"])[0]
    lon, lat = transformer(32760, 4326).transform(*np.meshgrid(grid.x_centres(), grid.y_centres()))
    u, v = (lon + 180) / 0.1, (90 - lat) / 0.1
    plain = stored[np.floor(v).astype(int), np.floor(u).astype(int) % 3600]
    at_edge = np.minimum(np.abs(u - np.rint(u)), np.abs(v - np.rint(v))) < 0.01
    np.testing.assert_array_equal(ours[~at_edge], plain[~at_edge])


def test_a_scene_across_the_antimeridian(
    make_tiff: Function, reader: MosaicReader, asset: Function, by_gdal: Function
) -> None:
    """A UTM scene over 180 degrees lies at both ends of the web map."""
    x, y = transformer(4326, 32760).transform(180.0, -16.5)
    values = np.random.default_rng(0).integers(1, 999, (200, 200)).astype(np.uint16)
    place = Affine(100, 0, round(x, -2) - 10_000, 0, -100, round(y, -2) + 10_000)
    path = make_tiff(values, crs="EPSG:32760", transform=place, nodata=0)
    row = round((1 + 0.2929 / np.pi) / 2 * 2**9 - 0.5)
    for col in (0, 2**9 - 1):
        grid = Grid.tile(9, col, row)
        ours = reader.read([asset(path)], grid, ["b"])[0]
        assert np.isfinite(ours).sum() > 500
        gdal = by_gdal(path, 0, 1, grid, "near")
        assert ((ours != gdal) & ~(np.isnan(ours) & np.isnan(gdal))).sum() <= 1


def test_file_in_longitudes_from_0_to_360(make_tiff: Function, reader: MosaicReader, asset: Function) -> None:
    values = np.broadcast_to(np.arange(360, dtype=np.int16), (180, 360)).copy()
    path = make_tiff(values, crs="EPSG:4326", transform=Affine(1, 0, 0, 0, -1, 90))
    ours = reader.read([asset(path)], Grid.tile(0, 0, 0), ["b"])[0]
    lon = (np.arange(256) + 0.5) / 256 * 360 - 180
    at_edge = np.abs(lon - np.rint(lon)) < 0.01
    np.testing.assert_array_equal(ours[128][~at_edge], (np.floor(lon) % 360)[~at_edge])


def test_points_outside_a_projections_domain_only_lose_their_own_pixels(
    pack: Path, reader: MosaicReader, asset: Function
) -> None:
    """The whole Earth in the equal-area projection around the pole is a disc."""
    lattice = Lattice(6931, 120_000.0, 120_000.0)
    world = asset(pack / "basemap" / "blue_marble.tif")
    grid = Grid(lattice, -130, -130, 260, 260)
    ours = reader.read([world], grid, ["b"])[0]
    x, y = np.meshgrid(grid.x_centres(), grid.y_centres())
    lon, lat = transformer(6931, 4326).transform(x, y)
    on_globe = np.isfinite(lon) & np.isfinite(lat)
    assert 0.1 < on_globe.mean() < 0.9
    assert not np.isfinite(ours[~on_globe]).any()
    assert np.isfinite(ours[on_globe]).mean() > 0.98


def test_positions_stay_within_the_tolerance_of_the_exact_ones(pack: Path) -> None:
    """Patches are halved until interpolation is exact enough, also where one pixel is 100 km wide."""
    head = header(str(pack / "basemap" / "blue_marble.tif"))
    for zoom in (0, 1, 4, 8):
        grid = Grid.tile(zoom, 2**zoom // 3, 2**zoom // 3)
        frame = Frame.of(head, head.full)
        for col, row, bits, *points in patches(frame, grid).tolist()[::7]:
            size = 1 << bits
            t, s = 0.3, 0.8
            wx = np.array([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)])
            wy = np.array([(1 - s) * (1 - 2 * s), 4 * s * (1 - s), s * (2 * s - 1)])
            u, v = (wy @ np.reshape(p, (3, 3)) @ wx / 65536 for p in (points[:9], points[9:]))
            la = grid.lattice
            lon, lat = transformer(3857, 4326).transform(
                la.x0 + (col + t * size) * la.res_x, la.y0 - (row + s * size) * la.res_y
            )
            assert abs(u - (lon + 180) * 10) + abs(v - (90 - lat) * 10) < 4 / 8192
