"""Files, tiles and independent answers for the tests of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from earthloom.base.asset import Asset
from earthloom.base.grid import Grid, to_lonlat
from earthloom.raster import warp
from earthloom.raster.files import Header, header
from earthloom.raster.mosaic import MosaicReader

MakeTiff = Callable[..., str]


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    warp.warm()


@pytest.fixture
def reader() -> Iterator[MosaicReader]:
    made = MosaicReader()
    yield made
    made.close()


@pytest.fixture
def make_tiff(tmp_path: Path) -> MakeTiff:
    """Write a GeoTIFF of (bands, y, x) or (y, x) values; gives its path."""

    def make(values: NDArray[Any], name: str = "made.tif", mask: NDArray[Any] | None = None, **options: Any) -> str:
        values = values if values.ndim == 3 else values[None]
        overviews = options.pop("overviews", [])
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "count": values.shape[0],
            "height": values.shape[1],
            "width": values.shape[2],
            "dtype": values.dtype.name,
            "crs": "EPSG:32633",
            "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000),
            "compress": "deflate",
        } | options
        path = tmp_path / name
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as dataset:
            dataset.write(values)
            if mask is not None:
                dataset.write_mask(mask)
            if overviews:
                dataset.build_overviews(overviews, Resampling.average)
        return str(path)

    return make


def make_asset(path: Path | str, index: int = 1, *, item: str = "item", band: str = "b", **facts: Any) -> Asset:
    """A band of a file with the file's own no-data value, unscaled unless told otherwise."""
    return Asset(item, band, str(path), index, **facts)


def tile_over(head: Header, zoom: int, dx: float = 0.5, dy: float = 0.5) -> Grid:
    """The web tile that holds a place in a file, given in fractions of its width and height."""
    x0, y0, x1, y1 = head.bounds
    lon, lat = to_lonlat(head.epsg).transform(x0 + dx * (x1 - x0), y1 - dy * (y1 - y0))
    n = 2**zoom
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return Grid.tile(zoom, math.floor((lon + 180) / 360 * n), math.floor(y * n))


def by_gdal(path: Path | str, level: int, index: int, grid: Grid, method: str) -> NDArray[np.float64]:
    """Stored values on a grid by GDAL's warper with exact positions, from one level of a file; NaN is no data.

    Without XSCALE GDAL would widen the bilinear kernel where it shrinks; values are kept in float64, not rounded.
    """
    x0, _, _, y1 = grid.bounds
    head = header(str(path))
    nodata = head.bands[index - 1].nodata
    options: dict[str, Any] = {"overview_level": level - 1} if level else {}
    with (
        rasterio.open(path, **options) as source,
        WarpedVRT(
            source,
            crs=f"EPSG:{grid.epsg}",
            transform=Affine(grid.lattice.res_x, 0, x0, 0, -grid.lattice.res_y, y1),
            width=grid.width,
            height=grid.height,
            resampling=Resampling.bilinear if method == "bilinear" else Resampling.nearest,
            tolerance=1e-9,
            nodata=nodata,
            add_alpha=nodata is None,
            dtype="float64",
            XSCALE=1,
            YSCALE=1,
        ) as warped,
    ):
        values: NDArray[np.float64] = warped.read(index).astype(np.float64)
        valid = warped.read(warped.count) if nodata is None else warped.read_masks(index)
    values[valid == 0] = np.nan
    return values


@pytest.fixture(name="asset")
def _asset() -> Callable[..., Asset]:
    """The function `make_asset`."""
    return make_asset


@pytest.fixture(name="tile_over")
def _tile_over() -> Callable[..., Grid]:
    """The function `tile_over`."""
    return tile_over


@pytest.fixture(name="by_gdal")
def _by_gdal() -> Callable[..., NDArray[np.float64]]:
    """The function `by_gdal`."""
    return by_gdal
