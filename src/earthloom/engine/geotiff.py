"""A cube as a GeoTIFF of its values, for other programs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from earthloom.base.cube import Cube
from earthloom.base.grid import Grid

BLOCK_PX = 256


def encode_geotiff(cube: Cube) -> bytes:
    """The values of a cube, NaN where there is no data.

    The file's bands are called as the labels of the cube, in its order: `B04`, `2020-08-01`, or `2020-08-01 B04`.
    """
    values = cube.values
    planes = values.reshape(-1, *values.shape[-2:])
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": len(planes),
        "height": cube.grid.height,
        "width": cube.grid.width,
        "dtype": values.dtype,
        "crs": CRS.from_epsg(cube.grid.epsg),
        "transform": _transform(cube.grid),
        "nodata": np.nan,
        "tiled": True,
        "blockxsize": BLOCK_PX,
        "blockysize": BLOCK_PX,
        "compress": "deflate",
        "predictor": 3,
        "zlevel": 1,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(planes)
            for i, names in enumerate(itertools.product(*(cube.labels[d] for d in cube.dims[:-2])), 1):
                if names:
                    file.set_band_description(i, " ".join(map(str, names)))
        return bytes(memory.read())


def _transform(grid: Grid) -> Affine:
    lattice = grid.lattice
    left, top = float(lattice.x_edges(grid.col)), float(lattice.y_edges(grid.row))
    return Affine(lattice.res_x, 0.0, left, 0.0, -lattice.res_y, top)
