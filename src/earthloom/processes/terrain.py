"""The shape of an elevation surface: slope, aspect, shading.

All three come from one gradient, Horn's weighted differences over 3 x 3 pixels (Horn 1981, Hill shading and the
reflectance map, Proceedings of the IEEE 69(1), doi 10.1109/PROC.1981.11918), divided by the true size of the pixels
on the ground. A missing neighbour makes the result missing. Arithmetic is float64, rounded once to float32.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from earthloom.processes.context import Array, Context
from earthloom.processes.define import process
from earthloom.processes.jit import jit
from earthloom.processes.schema import Raster

_SLOPE, _PERCENT, _ASPECT, _SHADE = range(4)


@process(kind="element", margin=1, zoom="grid", dtype="float32")
def slope(
    data: Raster, unit: Literal["degree", "percent"] = "degree", z_factor: float = 1.0, *, ctx: Context
) -> Raster:
    """Steepest slope of an elevation surface.

    Horn's 3 x 3 differences over true ground distances, so that a map in web mercator at 60 degrees north gives the
    same angle as one in UTM. A missing neighbour gives a missing result.

    Parameters
    ----------
    data
        Elevation [m].
    unit
        Unit of the result: degrees, or percent (100 is 45 degrees).
    z_factor
        Metres per unit of elevation [m/unit].

    Returns
    -------
    Slope in the unit asked for, float32; 0 is flat.
    """
    return _horn(data, z_factor, ctx, _SLOPE if unit == "degree" else _PERCENT)


@process(kind="element", margin=1, zoom="grid", dtype="float32")
def aspect(data: Raster, *, ctx: Context) -> Raster:
    """Direction in which an elevation surface falls.

    Horn's 3 x 3 differences over true ground distances. Flat pixels have no direction: they are no data, as is the
    result of a missing neighbour.

    Parameters
    ----------
    data
        Elevation, in any unit.

    Returns
    -------
    Direction of the steepest descent [degree], clockwise from north, from 0 up to but not including 360, float32.
    """
    return _horn(data, 1.0, ctx, _ASPECT)


@process(kind="element", margin=1, zoom="grid", dtype="float32")
def hillshade(
    data: Raster, azimuth: float = 315.0, altitude: float = 45.0, z_factor: float = 1.0, *, ctx: Context
) -> Raster:
    """Brightness of an elevation surface under a distant sun.

    255 times the cosine of the angle between the sun and the surface's normal, and 0 where the surface turns away
    from the sun; cast shadows are not drawn. Horn's 3 x 3 differences over true ground distances; a missing neighbour
    gives a missing result. (The tool gdaldem has the same shading, written as 1 + 254 times the cosine.)

    Parameters
    ----------
    data
        Elevation [m].
    azimuth
        Direction of the sun [degree], clockwise from north.
    altitude
        Height of the sun over the horizon [degree].
    z_factor
        Metres per unit of elevation [m/unit]; larger values exaggerate the relief.

    Returns
    -------
    Brightness from 0 to 255, float32.
    """
    az, alt = math.radians(azimuth), math.radians(altitude)
    east, north = math.sin(az) * math.cos(alt), math.cos(az) * math.cos(alt)
    return _horn(data, z_factor, ctx, _SHADE, (east, north, math.sin(alt)))


def warm() -> None:
    """Compile the kernel, or load it from its cache, for both types of values; never in a user's first tile."""
    size = np.ones((1, 1))
    for dtype in (np.float32, np.float64):
        _horn_rows(np.zeros((1, 3, 3), dtype), 1.0, size, size, _SLOPE, 0.0, 0.0, 1.0, np.empty((1, 1, 1), np.float32))


def _horn(
    data: Array, z_factor: float, ctx: Context, result: int, sun: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> Array:
    """(..., y + 2, x + 2) to (..., y, x): one of the results of `_horn_rows`."""
    dx, dy = ctx.ground_resolution()
    height, width = data.shape[-2] - 2, data.shape[-1] - 2
    planes = np.ascontiguousarray(data).reshape(-1, height + 2, width + 2)
    out = np.empty((len(planes), height, width), np.float32)
    _horn_rows(planes, float(z_factor), dx, dy, result, *sun, out)
    return out.reshape(*data.shape[:-2], height, width)


@jit
def _horn_rows(
    planes: Array,
    z_factor: float,
    dx: Array,
    dy: Array,
    result: int,
    sun_east: float,
    sun_north: float,
    sun_up: float,
    out: Array,
) -> None:
    """Fill `out` (n, y, x) from elevations (n, y + 2, x + 2) and pixel sizes dx, dy (y, 1).

    A row at a time, in loops without branches, which vectorise; a loop that chose the result for each pixel would
    take several times as long.
    """
    height, width = out.shape[1:]
    east, north = np.empty(width), np.empty(width)  # rise per metre towards east and north
    for p in range(planes.shape[0]):
        for r in range(height):
            above, here, below = planes[p, r], planes[p, r + 1], planes[p, r + 2]
            per_east, per_north = z_factor / (8.0 * dx[r, 0]), z_factor / (8.0 * dy[r, 0])
            for c in range(width):
                nw, n, ne = np.float64(above[c]), np.float64(above[c + 1]), np.float64(above[c + 2])
                w, centre, e = np.float64(here[c]), np.float64(here[c + 1]), np.float64(here[c + 2])
                sw, s, se = np.float64(below[c]), np.float64(below[c + 1]), np.float64(below[c + 2])
                missing = centre - centre  # 0, or NaN: the centre has no weight of its own
                east[c] = ((ne + 2.0 * e + se) - (nw + 2.0 * w + sw) + missing) * per_east
                north[c] = ((nw + 2.0 * n + ne) - (sw + 2.0 * s + se) + missing) * per_north
            row = out[p, r]
            if result == _SLOPE:
                for c in range(width):
                    row[c] = math.degrees(math.atan(math.sqrt(east[c] * east[c] + north[c] * north[c])))
            elif result == _PERCENT:
                for c in range(width):
                    row[c] = 100.0 * math.sqrt(east[c] * east[c] + north[c] * north[c])
            elif result == _ASPECT:
                for c in range(width):
                    flat = east[c] == 0.0 and north[c] == 0.0
                    angle = math.degrees(math.atan2(0.0 - east[c], 0.0 - north[c]))  # 0 - x: never minus zero
                    rounded = np.float32(angle + 360.0 if angle < 0.0 else angle)
                    row[c] = math.nan if flat else (rounded if rounded != 360.0 else 0.0)
            else:
                for c in range(width):
                    light = sun_up - sun_east * east[c] - sun_north * north[c]
                    light = 255.0 * light / math.sqrt(1.0 + east[c] * east[c] + north[c] * north[c])
                    row[c] = 0.0 if light <= 0.0 else light
