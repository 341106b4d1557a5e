"""Where the pixels of a lattice lie in a file: patches with exact control points, and the overview to read.

A patch is a square of pixels of the output lattice with the positions of 3 x 3 control points (corners, middles of the
edges, centre) in the overview's own pixels, in fixed point. Between them positions are interpolated biquadratically,
with integers only. Patches lie at absolute multiples of their size in the lattice's pixel index, and are halved where
interpolation would err; both depend on the file and the absolute place alone, so that a pixel's position never depends
on the window asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from earthloom.base.grid import WEB_MERCATOR, WORLD_HALF_M, Grid, Lattice, crs, transformer
from earthloom.base.lru import Lru
from earthloom.raster.header import Header, Level

Floats = NDArray[np.float64]

FIXED_BITS = 16  # positions are counted in 1/65536 of an overview's pixel
STEP_PX, COARSE_STEP_PX = 32, 16
COARSE_M = 2000.0  # lattices of larger pixels start with the smaller step
# Sum of the errors in u and v at the worst test point [overview px]: a nearest pixel changes with a chance of less than
# that (mean |du| + mean |dv|), and a bilinear value by less than that times the step between two pixels.
TOLERANCE_PX = 1 / 8192
# So that sums of positions times weights stay within 64 bits: 38 bits of fraction and weights leave that much.
MAX_POSITION_PX, MAX_EXTENT_PX = 2.0**40, 2.0**20
OVERVIEW_SLACK = 1.01
PATCH_CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Frame:
    """The pixels of one level of a file: u = (x - x0) / step_x * ratio_x, v alike; pixel i covers [i, i + 1).

    Parameters
    ----------
    epsg
        CRS of the file.
    x0, y0, step_x, step_y
        Corner and size of the full image's pixels; north up has step_y < 0.
    ratio_x, ratio_y
        Size of the level over that of the full image. Overview sizes are rounded up, so that it is no neat fraction.
    width, height
        Size of the level [px].
    """

    epsg: int
    x0: float
    y0: float
    step_x: float
    step_y: float
    ratio_x: float
    ratio_y: float
    width: int
    height: int

    @classmethod
    def of(cls, head: Header, level: Level) -> Frame:
        """The pixels of a level of a file."""
        a, _, c, _, e, f = head.transform
        ratio_x, ratio_y = level.width / head.full.width, level.height / head.full.height
        return cls(head.epsg, c, f, a, e, ratio_x, ratio_y, level.width, level.height)

    @property
    def centre_x(self) -> float:
        """x of the file's centre."""
        return self.x0 + self.step_x * (self.width / self.ratio_x) / 2


def choose_level(head: Header, lattice: Lattice) -> int:
    """The coarsest level whose pixels are not larger than the lattice's (1 % slack), at the file's centre.

    Chosen once for each file and lattice: a choice by tile would put seams between tiles.
    """
    return _choose_level(Frame.of(head, head.full), head.overviews, lattice)


_cache: Lru[tuple[Frame, Grid], NDArray[np.int64]] = Lru(PATCH_CACHE_BYTES)


def patches(frame: Frame, grid: Grid) -> NDArray[np.int64]:
    """The patches that cover a grid where the file may have pixels.

    Returns
    -------
    (patch, 21): column and row of the upper left pixel in the lattice, log2 of the size in pixels, then u of the 3 x 3
    control points by rows, and v alike, in 1/65536 px of the frame. Where a position does not exist (outside a
    projection's domain) there is no patch.
    """
    found = _cache.get((frame, grid))
    if found is None:
        found = _patches(frame, grid)
        found.setflags(write=False)
        _cache.put((frame, grid), found, found.nbytes + 512)
    return found


def _patches(frame: Frame, grid: Grid) -> NDArray[np.int64]:
    la = grid.lattice
    degree_m = math.radians(1) * 6_371_000.0
    res_m = max(la.res_x, la.res_y) * (degree_m if crs(la.epsg).is_geographic else 1.0)
    step = COARSE_STEP_PX if res_m > COARSE_M else STEP_PX
    cols, rows = (
        a.ravel()
        for a in np.meshgrid(
            np.arange(grid.col // step, (grid.col + grid.width - 1) // step + 1, dtype=np.int64) * step,
            np.arange(grid.row // step, (grid.row + grid.height - 1) // step + 1, dtype=np.int64) * step,
        )
    )
    done: list[NDArray[np.int64]] = []
    while cols.size:
        u, v, torn = _control_points(frame, la, cols, rows, step)
        exists = np.isfinite(u) & np.isfinite(v)
        with np.errstate(invalid="ignore"):
            error = _misfit(u) + _misfit(v)
            extent = np.maximum(np.ptp(u, axis=1), np.ptp(v, axis=1))
            reach = (1.0 + 4.0 * error + extent / 4)[:, None]
            # Comparisons with NaN are false: a patch that exists in part is never taken for one far away.
            away = np.all(u < -reach, axis=1) | np.all(u > frame.width + reach, axis=1)
            away |= np.all(v < -reach, axis=1) | np.all(v > frame.height + reach, axis=1)
            small, fits = extent <= MAX_EXTENT_PX, (error <= TOLERANCE_PX) & ~torn
        near = np.any(exists, axis=1) & ~away
        good = near & np.all(exists, axis=1) & small & (fits | (step == 1))
        done.append(_fixed(cols[good], rows[good], step, u[good, :9], v[good, :9]))
        if step == 1:
            break
        bad, step = near & ~good, step // 2
        cols = np.concatenate([cols[bad] + right for right in (0, step) for _ in (0, step)])
        rows = np.concatenate([rows[bad] + down for _ in (0, step) for down in (0, step)])
    return np.concatenate(done) if done else np.empty((0, 21), np.int64)


# The control points by rows, and the centres of the four quarters, where the error of interpolation is about largest
# and its parts along x and along y do not cancel in all four; in quarters of the patch.
_POINTS_X = np.array([0, 2, 4, 0, 2, 4, 0, 2, 4, 1, 3, 1, 3])
_POINTS_Y = np.array([0, 0, 0, 2, 2, 2, 4, 4, 4, 1, 1, 3, 3])
# Biquadratic interpolation at the latter from the former.
_NEAR, _FAR = np.array([3, 6, -1]) / 8, np.array([-1, 6, 3]) / 8
_QUARTERS = np.stack([np.outer(wy, wx).ravel() for wy in (_NEAR, _FAR) for wx in (_NEAR, _FAR)])


def _control_points(
    frame: Frame, lattice: Lattice, cols: NDArray[np.int64], rows: NDArray[np.int64], step: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """u and v [px] of the control and test points of patches, each (patch, 13); NaN where there is none.

    The last array tells the patches that the file's far meridian tears in two.
    """
    # In quarters of a pixel, so that these are integers for the smallest patches too.
    points_x, points_y = (4 * cols[:, None] + _POINTS_X * step).ravel(), (4 * rows[:, None] + _POINTS_Y * step).ravel()
    # Neighbours share points; each is transformed once.
    _, first, back = np.unique((points_y << 32) + points_x, return_index=True, return_inverse=True)
    x = lattice.x0 + points_x[first] / 4 * lattice.res_x
    y = lattice.y0 - points_y[first] / 4 * lattice.res_y
    x, y = _to_file(frame, lattice, x, y)
    x, y = x[back].reshape(-1, 13), y[back].reshape(-1, 13)
    torn: NDArray[np.bool_] = np.zeros(cols.size, np.bool_)
    if crs(frame.epsg).is_geographic:
        known = np.take_along_axis(x, _first_known(x), axis=1)
        x = _near_meridian(x, _near_meridian(known, frame.centre_x))
        far = np.abs(x - frame.centre_x) - 180.0
        torn = np.any(far > 1e-9, axis=1) & np.any(far < -1e-9, axis=1)
    u = (x - frame.x0) / frame.step_x * frame.ratio_x
    v = (y - frame.y0) / frame.step_y * frame.ratio_y
    with np.errstate(invalid="ignore"):
        out = ~((np.abs(u) < MAX_POSITION_PX) & (np.abs(v) < MAX_POSITION_PX))
    u[out] = v[out] = np.nan
    return u, v, torn


def _first_known(x: Floats) -> NDArray[np.intp]:
    """Number of a point that exists in each patch, the centre if it does; (patch, 1)."""
    order = np.array([4, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12])
    return np.asarray(order[np.argmax(np.isfinite(x[:, order]), axis=1)][:, None])


def _to_file(frame: Frame, lattice: Lattice, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """From the lattice's CRS to the file's; NaN or infinite where a point has no image."""
    if lattice.epsg == WEB_MERCATOR:
        # Beyond its edges the map would repeat itself.
        x = np.where(np.abs(x) > WORLD_HALF_M * (1 + 1e-9), np.nan, x)
    if lattice.epsg == frame.epsg:
        return x, y
    x, y = transformer(lattice.epsg, frame.epsg).transform(x, y)
    return x, y


def _near_meridian(lon: Floats, reference: Floats | float) -> Floats:
    """Longitudes turned by whole circles so that they lie within 180 degrees of the reference."""
    with np.errstate(invalid="ignore"):
        return lon - 360.0 * np.rint((lon - reference) / 360.0)


def _misfit(p: Floats) -> Floats:
    """Largest distance of biquadratic interpolation from the truth at the test points; (patch, 13) to (patch,)."""
    # Term by term: a matrix product may round differently for other numbers of patches, and what is halved must not.
    guesses = [sum((w * p[:, k] for k, w in enumerate(weights)), np.zeros(len(p))) for weights in _QUARTERS]
    return np.asarray(np.max([np.abs(guess - p[:, 9 + k]) for k, guess in enumerate(guesses)], axis=0))


def _fixed(cols: NDArray[np.int64], rows: NDArray[np.int64], size: int, u: Floats, v: Floats) -> NDArray[np.int64]:
    table = np.empty((cols.size, 21), np.int64)
    table[:, 0], table[:, 1], table[:, 2] = cols, rows, size.bit_length() - 1
    table[:, 3:12] = np.rint(u * (1 << FIXED_BITS))
    table[:, 12:21] = np.rint(v * (1 << FIXED_BITS))
    return table


@lru_cache(maxsize=8192)
def _choose_level(frame: Frame, overviews: tuple[int, ...], lattice: Lattice) -> int:
    ratio = _pixels_per_pixel(frame, lattice) * OVERVIEW_SLACK
    fine = [(factor, level) for level, factor in enumerate(overviews, 1) if factor <= ratio]
    return max(fine, default=(1, 0))[1]


def _pixels_per_pixel(frame: Frame, lattice: Lattice) -> float:
    """How many pixels of the full image a pixel of the lattice is long, the shorter way, at the file's centre.

    Where the centre has no place in the lattice's CRS, at the first of some other points that has.
    """
    fractions = (0.5, 0.25, 0.75, 0.02, 0.98)
    for fy, fx in sorted(
        ((a, b) for a in fractions for b in fractions), key=lambda p: (abs(p[0] - 0.5) + abs(p[1] - 0.5), p)
    ):
        x, y = frame.x0 + frame.step_x * frame.width * fx, frame.y0 + frame.step_y * frame.height * fy
        if frame.epsg != lattice.epsg:
            x, y = transformer(frame.epsg, lattice.epsg).transform(x, y)
        rx, ry = lattice.res_x / 2, lattice.res_y / 2
        across, down = _to_file(frame, lattice, np.array([x - rx, x + rx, x, x]), np.array([y, y, y - ry, y + ry]))
        if crs(frame.epsg).is_geographic:
            across = _near_meridian(across, across[0])
        u, v = across / frame.step_x, down / frame.step_y
        ratio = min(math.hypot(u[1] - u[0], v[1] - v[0]), math.hypot(u[3] - u[2], v[3] - v[2]))
        if math.isfinite(ratio):
            return ratio
    return 0.0
