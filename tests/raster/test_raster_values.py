"""Values on tiles equal those of GDAL's exact warper and of plain numpy on the same overview."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from earthloom.base.grid import Grid, Lattice, transformer
from earthloom.raster.coords import choose_level
from earthloom.raster.files import Files, Header, header
from earthloom.raster.header import Level
from earthloom.raster.mosaic import MosaicReader

Function = Callable[..., Any]  # fixtures of conftest.py

SERIES = "sentinel2-series/S2_L2A_retezat_20200730_B04.tif"
COAST = "sentinel2-coast/T18S_coast_B08.tif"
ITAIPU = "landsat8-itaipu/LC08_L1TP_224077_20200518_BGR.tif"
OLINDA = "landsat7-olinda/L7_ETM_olinda.tif"
ALPS = "elevation/copdem_grenoble.tif"
WORLD = "basemap/blue_marble.tif"

CASES = [
    *[(SERIES, 1, z) for z in (10, 12, 14, 15, 17)],
    *[(COAST, 1, z) for z in (9, 11, 12, 13, 14)],
    *[(ITAIPU, 3, z) for z in (10, 12, 13)],
    *[(OLINDA, 4, z) for z in (10, 13)],
    *[(ALPS, 1, z) for z in (6, 8, 10, 12)],
    *[(WORLD, 2, z) for z in (0, 2, 3, 5, 7)],
]


def level_size(head: Header, level: int) -> Level:
    return Files().level(head, level)


def exact_positions(head: Header, level: int, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column and row in an overview of each pixel's centre, every one transformed by itself."""
    x, y = np.meshgrid(grid.x_centres(), grid.y_centres())
    x, y = transformer(grid.epsg, head.epsg).transform(x, y)
    a, _, c, _, e, f = head.transform
    full, size = head.full, level_size(head, level)
    return (x - c) / a * (size.width / full.width), (y - f) / e * (size.height / full.height)


@pytest.mark.parametrize(("name", "index", "zoom"), CASES)
def test_nearest(
    pack: Path,
    reader: MosaicReader,
    name: str,
    index: int,
    zoom: int,
    asset: Function,
    tile_over: Function,
    by_gdal: Function,
) -> None:
    head = header(str(pack / name))
    grid = tile_over(head, zoom, 0.6, 0.4)
    level = choose_level(head, grid.lattice)
    ours = reader.read([asset(head.path, index)], grid, ["b"])[0]
    u, v = exact_positions(head, level, grid)
    at_edge = np.minimum(np.abs(u - np.rint(u)), np.abs(v - np.rint(v))) < 0.1

    gdal = by_gdal(head.path, level, index, grid, "near")
    with rasterio.open(head.path, **({"overview_level": level - 1} if level else {})) as dataset:
        stored = dataset.read(index).astype(np.float64)
    stored[stored == head.bands[index - 1].nodata] = np.nan
    i, j = np.floor(u), np.floor(v)
    inside = (i >= 0) & (j >= 0) & (i < stored.shape[1]) & (j < stored.shape[0])
    plain = np.full(grid.shape, np.nan)
    plain[inside] = stored[j[inside].astype(int), i[inside].astype(int)]

    assert np.isfinite(ours).any()
    for truth in (gdal, plain):
        differs = (ours != truth) & ~(np.isnan(ours) & np.isnan(truth))
        assert not (differs & ~at_edge).any()
        assert differs.sum() <= 0.001 * np.isfinite(truth).sum()


@pytest.mark.parametrize(("name", "index", "zoom"), CASES)
def test_bilinear(
    pack: Path,
    reader: MosaicReader,
    name: str,
    index: int,
    zoom: int,
    asset: Function,
    tile_over: Function,
    by_gdal: Function,
) -> None:
    head = header(str(pack / name))
    grid = tile_over(head, zoom, 0.6, 0.4)
    ours = reader.read([asset(head.path, index)], grid, ["b"], "bilinear", "float64")[0]
    gdal = by_gdal(head.path, choose_level(head, grid.lattice), index, grid, "bilinear")
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(gdal))
    assert np.nanmax(np.abs(ours - gdal)) <= (0.5 if zoom >= 12 else 2.5)


@pytest.mark.parametrize("method", ["near", "bilinear"])
def test_odd_sizes_at_the_far_edge_of_an_overview(
    make_tiff: Function, reader: MosaicReader, method: str, asset: Function, by_gdal: Function
) -> None:
    """An overview of 1001 px at factor 8 has 126 px, not 125.1: the true ratio counts."""
    values = np.random.default_rng(1).integers(1, 5000, (777, 1001)).astype(np.uint16)
    path = make_tiff(values, overviews=[2, 4, 8], nodata=0, tiled=True, blockxsize=64, blockysize=128)
    head = header(path)
    grid = Grid.covering(Lattice(32633, 83.0, 83.0, 3.0, 5.0), head.bounds)
    assert choose_level(head, grid.lattice) == 3
    ours = reader.read([asset(path)], grid, ["b"], method, "float64")[0]
    np.testing.assert_allclose(ours, by_gdal(path, 3, 1, grid, method), atol=0.5)
    assert np.isfinite(ours).mean() > 0.95


@pytest.mark.parametrize("method", ["near", "bilinear"])
def test_aligned_lattice_gives_the_pixels_themselves(
    pack: Path, reader: MosaicReader, method: str, asset: Function
) -> None:
    head = header(str(pack / ITAIPU))
    grid = Grid.covering(Lattice(32621, 30.0, 30.0, 15.0, 15.0), head.bounds)
    with rasterio.open(head.path) as dataset:
        stored = dataset.read(1).astype(np.float64)
    stored[stored == 0] = np.nan
    np.testing.assert_array_equal(reader.read([asset(head.path)], grid, ["b"], method)[0], stored)


def test_aligned_lattice_with_an_origin_that_is_no_round_number(
    pack: Path, reader: MosaicReader, asset: Function
) -> None:
    head = header(str(pack / SERIES))
    a, _, c, _, e, f = head.transform
    grid = Grid.covering(Lattice(3035, a, -e, c % a, f % -e), head.bounds)
    assert grid.shape == head.shape
    with rasterio.open(head.path) as dataset:
        np.testing.assert_array_equal(reader.read([asset(head.path)], grid, ["b"])[0], dataset.read(1))


def test_south_up_file(make_tiff: Function, reader: MosaicReader, asset: Function) -> None:
    values = np.arange(1, 31, dtype=np.uint8).reshape(5, 6)
    upright = make_tiff(values, "upright.tif")
    upside = make_tiff(values[::-1], "upside.tif", transform=Affine(10, 0, 500_000, 0, 10, 5_000_000 - 50))
    grid = Grid.covering(Lattice.web_mercator(15), _mercator(header(upright)))
    for method in ("near", "bilinear"):
        a, b = (reader.read([asset(path)], grid, ["b"], method) for path in (upright, upside))
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_level_is_the_coarsest_whose_pixels_are_not_larger_than_the_tiles(pack: Path) -> None:
    head = header(str(pack / COAST))
    _, south, _, north = head.bounds
    lat = np.degrees((south + north) / 2 / 6_367_000)
    sizes = [10 * head.full.width / level_size(head, k).width for k in range(1 + len(head.overviews))]
    for zoom in range(6, 18):
        lattice = Lattice.web_mercator(zoom)
        wanted = max((s for s in sizes if s <= lattice.res_x * np.cos(np.radians(lat)) * 1.01), default=10)
        assert sizes[choose_level(head, lattice)] == wanted
    assert len({choose_level(head, Lattice.web_mercator(z)) for z in range(6, 18)}) == 3


@pytest.mark.parametrize(("scale", "offset"), [(1e-4, 0.0), (1e-4, -0.1), (2e-5, -0.1), (0.01, 273.15)])
def test_scale_and_offset_are_applied_once_in_float64(
    make_tiff: Function, reader: MosaicReader, scale: float, offset: float, asset: Function
) -> None:
    values = np.arange(20_000, dtype=np.uint16).reshape(100, 200)
    head = header(make_tiff(values))
    grid = Grid.covering(Lattice(32633, 10.0, 10.0), head.bounds)
    stored = values.astype(np.float64) * scale + offset
    for method in ("near", "bilinear"):
        for dtype in ("float32", "float64"):
            ours = reader.read([asset(head.path, scale=scale, offset=offset)], grid, ["b"], method, dtype)[0]
            np.testing.assert_array_equal(ours, stored.astype(dtype))


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "int64"]
)
def test_every_stored_type(make_tiff: Function, reader: MosaicReader, dtype: str, asset: Function) -> None:
    kind = np.dtype(dtype)
    low, high = (-1e30, 1e30) if kind.kind == "f" else (np.iinfo(kind).min, min(np.iinfo(kind).max, 2**53))
    values = np.array([[max(low, -(2**53)), 0], [7, high]]).astype(kind)
    head = header(make_tiff(values))
    grid = Grid.covering(Lattice(32633, 10.0, 10.0), head.bounds)
    ours = reader.read([asset(head.path)], grid, ["b"], "near", "float64")[0]
    np.testing.assert_array_equal(ours, values.astype(np.float64))


def _mercator(head: Header) -> tuple[float, float, float, float]:
    box: tuple[float, float, float, float] = transformer(head.epsg, 3857).transform_bounds(*head.bounds)
    return box
