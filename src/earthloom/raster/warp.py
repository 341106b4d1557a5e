"""The kernels: which blocks a grid needs of a file, and the gathering of its values, nearest or bilinear.

Positions come from patches (see `coords`) by integer arithmetic only; values are weighed in float64, scaled and
offset once in float64, and rounded once. No kernel may be compiled with `fastmath` or `parallel`: NaN has a meaning,
the same pixel has the same bits in any window, and threads of numba do not survive a fork.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from earthloom.raster.coords import FIXED_BITS

ONE_PX = 1 << FIXED_BITS


@njit(cache=True, nogil=True, inline="always")
def _clip(first: int, size: int, start: int, length: int) -> tuple[int, int]:  # pragma: no cover
    """First and last + 1 pixel of a patch inside the grid, counted from the patch."""
    return max(0, start - first), min(size, start + length - first)


@njit(cache=True, nogil=True)
def needed(
    patches: NDArray[np.int64],
    col: int,
    row: int,
    out: NDArray[Any],
    width: int,
    height: int,
    block_width: int,
    block_height: int,
    bilinear: bool,
    marks: NDArray[np.bool_],
    window: NDArray[np.int64],
) -> bool:  # pragma: no cover
    """Mark the blocks that hold source pixels of those pixels of `out` that are still NaN.

    Parameters
    ----------
    patches
        (patch, 21), see `coords.patches`.
    col, row
        Upper left pixel of `out` in the lattice.
    out
        (y, x); what is not NaN is filled already.
    width, height, block_width, block_height
        Of the level to read [px].
    bilinear
        Whether the four neighbours are needed or the nearest pixel only.
    marks
        (block row, block column), set to true.
    window
        Set to (left, top, right, bottom) of the source pixels, the last two exclusive.

    Returns
    -------
    Whether any is needed.
    """
    any_needed = False
    left, top, right, bottom = width, height, 0, 0
    for p in range(patches.shape[0]):
        bits = patches[p, 2]
        size = 1 << bits
        x0, x1 = _clip(patches[p, 0], size, col, out.shape[1])
        y0, y1 = _clip(patches[p, 1], size, row, out.shape[0])
        oy, ox = patches[p, 1] - row, patches[p, 0] - col
        empty = False
        for y in range(y0, y1):
            for x in range(x0, x1):
                if np.isnan(out[oy + y, ox + x]):
                    empty = True
                    break
            if empty:
                break
        if not empty:
            continue
        half = ONE_PX // 2 if bilinear else 0
        bulge_u = bulge_v = 0
        if x1 - x0 > 1 or y1 - y0 > 1:
            bulge_u, bulge_v = _bulge(patches, p, 3), _bulge(patches, p, 12)
        u_min, v_min, u_max, v_max = 1 << 62, 1 << 62, -(1 << 62), -(1 << 62)
        for y in (y0, y1 - 1):
            for x in (x0, x1 - 1):
                u, v = _position(patches, p, 3, x, y), _position(patches, p, 12, x, y)
                u_min, u_max = min(u_min, u - bulge_u), max(u_max, u + bulge_u)
                v_min, v_max = min(v_min, v - bulge_v), max(v_max, v + bulge_v)
        if u_max < 0 or v_max < 0 or u_min >= width * ONE_PX or v_min >= height * ONE_PX:
            continue
        more = 1 if bilinear else 0
        i0, i1 = max(0, (u_min - half) >> FIXED_BITS), min(width - 1, ((u_max - half) >> FIXED_BITS) + more)
        j0, j1 = max(0, (v_min - half) >> FIXED_BITS), min(height - 1, ((v_max - half) >> FIXED_BITS) + more)
        any_needed = True
        left, right, top, bottom = min(left, i0), max(right, i1 + 1), min(top, j0), max(bottom, j1 + 1)
        for bj in range(j0 // block_height, j1 // block_height + 1):
            for bi in range(i0 // block_width, i1 // block_width + 1):
                marks[bj, bi] = True
    window[0], window[1], window[2], window[3] = left, top, right, bottom
    return any_needed


@njit(cache=True, nogil=True)
def _along(patches: NDArray[np.int64], p: int, k: int, x: int, y: int) -> tuple[int, int, int]:  # pragma: no cover
    """Where the pixels of row y of a patch have their centres: the position of pixel x, and how it grows.

    Control points u begin at `k` = 3, v at 12. At w / (2 * size) of the way, Lagrange's three weights times
    2 * size**2 are integers.

    Returns
    -------
    Position from the first control point, its first and its (constant) second difference along the row, all times
    2**(4 * log2 size + 2) [1/65536 px].
    """
    size = 1 << patches[p, 2]
    h, w, v = 2 * y + 1, 2 * x + 1, 2 * x + 3
    h0, h1, h2 = (2 * size - h) * (size - h), 2 * h * (2 * size - h), h * (h - size)
    first = patches[p, k]
    c0 = h1 * (patches[p, k + 3] - first) + h2 * (patches[p, k + 6] - first)
    c1 = h0 * (patches[p, k + 1] - first) + h1 * (patches[p, k + 4] - first) + h2 * (patches[p, k + 7] - first)
    c2 = h0 * (patches[p, k + 2] - first) + h1 * (patches[p, k + 5] - first) + h2 * (patches[p, k + 8] - first)
    here = (2 * size - w) * (size - w) * c0 + 2 * w * (2 * size - w) * c1 + w * (w - size) * c2
    there = (2 * size - v) * (size - v) * c0 + 2 * v * (2 * size - v) * c1 + v * (v - size) * c2
    return here, there - here, 8 * (c0 - 2 * c1 + c2)


@njit(cache=True, nogil=True)
def _position(patches: NDArray[np.int64], p: int, k: int, x: int, y: int) -> int:  # pragma: no cover
    """Position of the centre of pixel (x, y) of a patch [1/65536 px]."""
    return int(patches[p, k] + (_along(patches, p, k, x, y)[0] >> (4 * patches[p, 2] + 2)))


@njit(cache=True, nogil=True)
def _bulge(patches: NDArray[np.int64], p: int, k: int) -> int:  # pragma: no cover
    """How far positions between the corners of any part of a patch may lie outside those of the corners [1/65536 px].

    A parabola leaves its chord by half its second difference at most; twice that holds for both directions together.
    """
    along = across = 0
    for n in range(3):
        i, j = k + 3 * n, k + n
        along = max(along, abs(patches[p, i] - 2 * patches[p, i + 1] + patches[p, i + 2]))
        across = max(across, abs(patches[p, j] - 2 * patches[p, j + 3] + patches[p, j + 6]))
    return int(along + across)


@njit(cache=True, nogil=True)
def nearest(
    patches: NDArray[np.int64],
    col: int,
    row: int,
    source: NDArray[Any],
    left: int,
    top: int,
    scale: float,
    offset: float,
    out: NDArray[Any],
) -> int:  # pragma: no cover
    """Fill the NaN of `out` with the value of the source pixel that holds the pixel's centre.

    Parameters
    ----------
    patches, col, row, out
        As in `needed`; `out` is changed.
    source
        (y, x) stored values, float32 or float64, NaN is no data.
    left, top
        Its upper left pixel in the level.
    scale, offset
        value = stored * scale + offset.

    Returns
    -------
    Number of pixels filled.
    """
    filled = 0
    height, width = np.uint64(source.shape[0]), np.uint64(source.shape[1])
    for p in range(patches.shape[0]):
        bits = patches[p, 2]
        size, shift = 1 << bits, 4 * bits + 2
        u0, v0 = patches[p, 3] - left * ONE_PX, patches[p, 12] - top * ONE_PX
        x0, x1 = _clip(patches[p, 0], size, col, out.shape[1])
        y0, y1 = _clip(patches[p, 1], size, row, out.shape[0])
        for y in range(y0, y1 if x0 < x1 else y0):
            u, du, ddu = _along(patches, p, 3, x0, y)
            v, dv, ddv = _along(patches, p, 12, x0, y)
            line = out[patches[p, 1] - row + y, patches[p, 0] - col + x0 : patches[p, 0] - col + x1]
            for x in range(line.size):
                # What is negative becomes too large.
                i = np.uint64((u0 + (u >> shift)) >> FIXED_BITS)
                j = np.uint64((v0 + (v >> shift)) >> FIXED_BITS)
                u, v, du, dv = u + du, v + dv, du + ddu, dv + ddv
                if i < width and j < height and np.isnan(line[x]):
                    value = np.float64(source[j, i]) * scale + offset
                    line[x] = value
                    filled += value == value
    return filled


@njit(cache=True, nogil=True)
def bilinear(
    patches: NDArray[np.int64],
    col: int,
    row: int,
    source: NDArray[Any],
    left: int,
    top: int,
    scale: float,
    offset: float,
    out: NDArray[Any],
) -> int:  # pragma: no cover
    """As `nearest`, weighing the four source pixels around the pixel's centre by their distance.

    As GDAL does, the pixel that holds the centre must be valid, and neighbours that are no data or outside have no
    weight. `source` must reach as far as `needed` says.
    """
    filled = 0
    height, width = source.shape
    rows, cols = np.uint64(height), np.uint64(width)
    last_row, last_col = np.uint64(height - 1), np.uint64(width - 1)
    for p in range(patches.shape[0]):
        bits = patches[p, 2]
        size, shift = 1 << bits, 4 * bits + 2
        u0, v0 = patches[p, 3] - left * ONE_PX, patches[p, 12] - top * ONE_PX
        x0, x1 = _clip(patches[p, 0], size, col, out.shape[1])
        y0, y1 = _clip(patches[p, 1], size, row, out.shape[0])
        for y in range(y0, y1 if x0 < x1 else y0):
            u, du, ddu = _along(patches, p, 3, x0, y)
            v, dv, ddv = _along(patches, p, 12, x0, y)
            line = out[patches[p, 1] - row + y, patches[p, 0] - col + x0 : patches[p, 0] - col + x1]
            for x in range(line.size):
                at_u, at_v = u0 + (u >> shift), v0 + (v >> shift)
                u, v, du, dv = u + du, v + dv, du + ddu, dv + ddv
                i, j = np.uint64(at_u >> FIXED_BITS), np.uint64(at_v >> FIXED_BITS)
                if i >= cols or j >= rows or not np.isnan(line[x]) or np.isnan(source[j, i]):
                    continue
                at_u, at_v = at_u - ONE_PX // 2, at_v - ONE_PX // 2  # pixels have their value at their centre
                fx, fy = (at_u & (ONE_PX - 1)) / ONE_PX, (at_v & (ONE_PX - 1)) / ONE_PX
                i, j = np.uint64(at_u >> FIXED_BITS), np.uint64(at_v >> FIXED_BITS)
                total = np.nan
                if i < last_col and j < last_row:
                    i1, j1 = i + np.uint64(1), j + np.uint64(1)
                    upper = np.float64(source[j, i]) * (1.0 - fx) + np.float64(source[j, i1]) * fx
                    lower = np.float64(source[j1, i]) * (1.0 - fx) + np.float64(source[j1, i1]) * fx
                    total = upper * (1.0 - fy) + lower * fy
                if np.isnan(total):
                    total = _weighed(source, at_u >> FIXED_BITS, at_v >> FIXED_BITS, fx, fy)
                line[x] = total * scale + offset
                filled += 1
    return filled


@njit(cache=True, nogil=True)
def _weighed(source: NDArray[Any], i: int, j: int, fx: float, fy: float) -> float:  # pragma: no cover
    """Mean of the valid ones of four neighbours, of which there is at least one."""
    total = weights = 0.0
    for jj in (j, j + 1):
        for ii in (i, i + 1):
            if 0 <= jj < source.shape[0] and 0 <= ii < source.shape[1] and not np.isnan(source[jj, ii]):
                weight = (fx if ii > i else 1.0 - fx) * (fy if jj > j else 1.0 - fy)
                total += weight * np.float64(source[jj, ii])
                weights += weight
    return total / weights


def warm() -> None:
    """Compile or load every kernel for every type, so that no user's tile waits for it."""
    half, one = ONE_PX // 2, ONE_PX
    patch = np.array([[0, 0, 0, *(0, half, one) * 3, *(0,) * 3, *(half,) * 3, *(one,) * 3]], np.int64)
    patch.setflags(write=False)
    for out_type in (np.float32, np.float64):
        out = np.full((1, 1), np.nan, out_type)
        needed(patch, 0, 0, out, 1, 1, 1, 1, False, np.zeros((1, 1), np.bool_), np.zeros(4, np.int64))
        for source_type in (np.float32, np.float64):
            for kernel in (nearest, bilinear):
                kernel(patch, 0, 0, np.ones((1, 1), source_type), 0, 0, 1.0, 0.0, np.full((1, 1), np.nan, out_type))
