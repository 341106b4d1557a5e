"""Where pixels lie: a lattice and an integer window on it.

A map tile, a batch block, a Dask chunk and a point are all grids. Every coordinate is computed from the absolute
integer index of a pixel on its lattice, never from the corner of a window, so that the same pixel has the same
coordinates however the area is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from earthloom.base.errors import InvalidArgument

if TYPE_CHECKING:
    import pyproj
    from odc.geo.geobox import GeoBox

WEB_MERCATOR = 3857
SPHERE_RADIUS_M = 6378137.0  # of EPSG:3857
WGS84_A_M = 6378137.0
WGS84_E2 = 0.0066943799901413165
WORLD_HALF_M = math.pi * SPHERE_RADIUS_M
MAX_ZOOM = 24
METRES_A_DEGREE = 111_320.0  # of the equator
TILE_PX = 256


@dataclass(frozen=True, slots=True)
class Lattice:
    """An endless raster: pixel (i, j) covers x0 + i*res_x .. x0 + (i+1)*res_x and y0 - j*res_y .. y0 - (j+1)*res_y.

    Parameters
    ----------
    epsg
        EPSG code of the coordinate reference system.
    res_x, res_y
        Size of a pixel in units of the CRS, both positive; rows run downwards (north up).
    x0, y0
        Corner of pixel (0, 0).
    """

    epsg: int
    res_x: float
    res_y: float
    x0: float = 0.0
    y0: float = 0.0

    def __post_init__(self) -> None:
        if not (self.res_x > 0 and self.res_y > 0 and math.isfinite(self.res_x) and math.isfinite(self.res_y)):
            raise InvalidArgument(
                f"A resolution of {self.res_x} x {self.res_y} is not positive.", argument="resolution"
            )

    @classmethod
    def web_mercator(cls, zoom: int, tile_px: int = TILE_PX) -> Self:
        """The lattice of web map tiles at a zoom: the world is `tile_px` * 2**zoom pixels wide."""
        res = 2 * WORLD_HALF_M / (tile_px * 2**zoom)
        return cls(WEB_MERCATOR, res, res, -WORLD_HALF_M, WORLD_HALF_M)

    def x_edges(self, i: NDArray[np.integer] | int) -> NDArray[np.float64]:
        """x of the left edges of the columns `i`."""
        return np.asarray(self.x0 + np.asarray(i, np.float64) * self.res_x)

    def y_edges(self, j: NDArray[np.integer] | int) -> NDArray[np.float64]:
        """y of the upper edges of the rows `j`."""
        return np.asarray(self.y0 - np.asarray(j, np.float64) * self.res_y)

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """Column and row of the pixel that holds the point (x, y) of the CRS."""
        return math.floor((x - self.x0) / self.res_x), math.floor((self.y0 - y) / self.res_y)


@dataclass(frozen=True, slots=True)
class Grid:
    """An integer window on a lattice: columns col .. col + width - 1, rows row .. row + height - 1."""

    lattice: Lattice
    col: int
    row: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InvalidArgument(f"A grid of {self.width} x {self.height} pixels is empty.")

    @classmethod
    def tile(cls, zoom: int, x: int, y: int, tile_px: int = TILE_PX) -> Self:
        """The web map tile (zoom, x, y), counted from the north-west.

        Raises
        ------
        InvalidArgument
            If the zoom is not in 0 .. 24, or x or y not in 0 .. 2**zoom - 1.
        """
        if not 0 <= zoom <= MAX_ZOOM:
            raise InvalidArgument(f"There is no zoom {zoom}.", hint=f"Zooms run from 0 to {MAX_ZOOM}.", argument="z")
        last = 2**zoom - 1
        for name, value in (("x", x), ("y", y)):
            if not 0 <= value <= last:
                raise InvalidArgument(
                    f"Tile {zoom}/{x}/{y} is outside the world.",
                    hint=f"At zoom {zoom}, {name} runs from 0 to {last}.",
                    argument=name,
                )
        return cls(Lattice.web_mercator(zoom, tile_px), x * tile_px, y * tile_px, tile_px, tile_px)

    @classmethod
    def covering(cls, lattice: Lattice, bounds: tuple[float, float, float, float]) -> Self:
        """The smallest window whose pixels cover `bounds` = (x min, y min, x max, y max) in the lattice's CRS."""
        x0, y0, x1, y1 = bounds
        # A thousandth of a pixel of tolerance, so that bounds on pixel edges do not gain a row by rounding.
        col = math.floor((x0 - lattice.x0) / lattice.res_x + 1e-3)
        row = math.floor((lattice.y0 - y1) / lattice.res_y + 1e-3)
        end_col = math.ceil((x1 - lattice.x0) / lattice.res_x - 1e-3)
        end_row = math.ceil((lattice.y0 - y0) / lattice.res_y - 1e-3)
        return cls(lattice, col, row, max(1, end_col - col), max(1, end_row - row))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def epsg(self) -> int:
        """EPSG code of the lattice."""
        return self.lattice.epsg

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x min, y min, x max, y max) in the CRS of the lattice."""
        la = self.lattice
        return (
            float(la.x_edges(self.col)),
            float(la.y_edges(self.row + self.height)),
            float(la.x_edges(self.col + self.width)),
            float(la.y_edges(self.row)),
        )

    def grown(self, margin_px: int) -> Grid:
        """The window with `margin_px` more pixels on each side."""
        if margin_px == 0:
            return self
        m = margin_px
        return replace(self, col=self.col - m, row=self.row - m, width=self.width + 2 * m, height=self.height + 2 * m)

    def window(self, inner: Grid) -> tuple[slice, slice]:
        """Rows and columns of `inner` inside this grid, as slices of an array (..., y, x).

        Raises
        ------
        ValueError
            If `inner` lies on another lattice or not wholly inside.
        """
        top, left = inner.row - self.row, inner.col - self.col
        fits = top >= 0 and left >= 0 and top + inner.height <= self.height and left + inner.width <= self.width
        if inner.lattice != self.lattice or not fits:
            raise ValueError(f"{inner} is not inside {self}")
        return slice(top, top + inner.height), slice(left, left + inner.width)

    def x_centres(self) -> NDArray[np.float64]:
        """x of the pixel centres, (x,)."""
        centres = np.arange(self.col, self.col + self.width, dtype=np.float64) + 0.5
        return np.asarray(self.lattice.x0 + centres * self.lattice.res_x)

    def y_centres(self) -> NDArray[np.float64]:
        """y of the pixel centres, (y,), falling."""
        centres = np.arange(self.row, self.row + self.height, dtype=np.float64) + 0.5
        return np.asarray(self.lattice.y0 - centres * self.lattice.res_y)

    def lonlat_centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of the pixel centres in degrees, arrays that broadcast to (y, x)."""
        x, y = self.x_centres()[None, :], self.y_centres()[:, None]
        if self.epsg == 4326:
            return x, y
        if self.epsg == WEB_MERCATOR:
            return np.degrees(x / SPHERE_RADIUS_M), np.degrees(np.arctan(np.sinh(y / SPHERE_RADIUS_M)))
        xx, yy = np.broadcast_arrays(x, y)
        lon, lat = to_lonlat(self.epsg).transform(xx, yy)
        return lon, lat

    def ground_resolution(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True size of the pixels on the ground, in metres.

        Web mercator's pixels shrink by its scale factor cosh(y / R); those of a geographic CRS follow the radii of
        curvature of the ellipsoid WGS 84 (Snyder 1987, USGS PP 1395, eq. 4-20 and 4-21); other projections give
        their nominal size.

        Returns
        -------
        Width and height of a pixel in each row [m], both float64, (y, 1).
        """
        la, y = self.lattice, self.y_centres()[:, None]
        if la.epsg == WEB_MERCATOR:
            scale = np.cosh(y / SPHERE_RADIUS_M)
            return la.res_x / scale, la.res_y / scale
        crs = _crs(la.epsg)
        if crs.is_geographic:
            lat, degree = np.radians(np.clip(y, -90.0, 90.0)), math.pi / 180
            w = 1 - WGS84_E2 * np.sin(lat) ** 2
            prime_vertical, meridian = WGS84_A_M / np.sqrt(w), WGS84_A_M * (1 - WGS84_E2) / w**1.5
            # At the poles a pixel has no width; a millimetre keeps slopes finite.
            width = np.maximum(la.res_x * degree * prime_vertical * np.cos(lat), 1e-3)
            return width, la.res_y * degree * meridian
        unit = crs.axis_info[0].unit_conversion_factor or 1.0
        size = np.ones_like(y) * unit
        return size * la.res_x, size * la.res_y

    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees of a rectangle that holds the grid, for the search of items."""
        if self.epsg == 4326:
            return self.bounds
        x0, y0, x1, y1 = self.bounds
        if self.epsg == WEB_MERCATOR:
            lon = [math.degrees(x / SPHERE_RADIUS_M) for x in (x0, x1)]
            lat = [math.degrees(math.atan(math.sinh(y / SPHERE_RADIUS_M))) for y in (y0, y1)]
            return max(lon[0], -180.0), lat[0], min(lon[1], 180.0), lat[1]
        west, south, east, north = to_lonlat(self.epsg).transform_bounds(x0, y0, x1, y1, densify_pts=21)
        if not all(map(math.isfinite, (west, south, east, north))):
            return -180.0, -90.0, 180.0, 90.0
        return west, south, east, north

    def geobox(self) -> GeoBox:
        """The grid as odc-geo's GeoBox, for the edges of the system."""
        from affine import Affine
        from odc.geo.geobox import GeoBox

        x0, _, _, y1 = self.bounds
        la = self.lattice
        return GeoBox(self.shape, Affine(la.res_x, 0.0, x0, 0.0, -la.res_y, y1), f"EPSG:{la.epsg}")


@lru_cache(maxsize=64)
def _crs(epsg: int) -> pyproj.CRS:
    import pyproj

    try:
        return pyproj.CRS.from_epsg(epsg)
    except pyproj.exceptions.CRSError:
        raise InvalidArgument(f"EPSG:{epsg} is not a known coordinate reference system.", argument="crs") from None


def crs(epsg: int) -> pyproj.CRS:
    """The CRS of an EPSG code; InvalidArgument if there is none."""
    return _crs(epsg)


def transformer(source: int, target: int) -> pyproj.Transformer:
    """From one CRS to another, always in the order x, y (lon, lat).

    Transformers are not safe across threads: each thread gets its own from the cache of `pyproj`.
    """
    import threading

    return _transformer(source, target, threading.get_ident())


@lru_cache(maxsize=512)
def _transformer(source: int, target: int, thread: int) -> pyproj.Transformer:
    import pyproj

    return pyproj.Transformer.from_crs(_crs(source), _crs(target), always_xy=True)


def to_lonlat(epsg: int) -> pyproj.Transformer:
    """From a CRS to degrees (lon, lat)."""
    return transformer(epsg, 4326)


def nearest_zoom(metres: float, lat: float) -> int:
    """The zoom of web map tiles whose pixels are nearest to a size on the ground [m], at a latitude [degree]."""
    pixel = 2 * WORLD_HALF_M * math.cos(math.radians(lat)) / TILE_PX
    return min(max(round(math.log2(pixel / metres)), 0), MAX_ZOOM)
