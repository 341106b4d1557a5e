"""Cells of the world, by which items are found, and lists of items cut by rectangles.

Level 0 are cells of 2 degrees, level 1 of 20 degrees, level 2 is the world. An item stands in the cells of the finest
level of which it needs at most 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from earthloom.catalog.footprint import parts, shape_of
from earthloom.catalog.protocol import Bbox, Footprint

_LEVELS = ((2.0, 180, 0), (20.0, 18, 16_200), (360.0, 1, 16_362))  # size [degrees], cells round the world, first number
_CELL_BITS = 14
MAX_CELLS_OF_ITEM = 64
MAX_CELLS_OF_QUERY = 2000  # above it the items are found by time; no measured limit


def item_cells(collection: int, bbox: Bbox) -> tuple[int, dict[int, Bbox]]:
    """The level and the cells of an item.

    Parameters
    ----------
    collection
        Number of the collection, which stands in the upper bits of a cell.
    bbox
        Rectangle of the item; west > east crosses 180.

    Returns
    -------
    The level, and for each cell the part of the rectangle (west <= east) that lies on its side of 180.
    """
    pieces = parts(bbox)
    level = next(n for n in range(len(_LEVELS)) if n == 2 or sum(_count(p, n) for p in pieces) <= MAX_CELLS_OF_ITEM)
    cells: dict[int, Bbox] = {}
    for piece in pieces:
        for cell in _cells(collection, piece, level):
            other = cells.get(cell, piece)
            cells[cell] = (min(piece[0], other[0]), piece[1], max(piece[2], other[2]), piece[3])
    return level, cells


def query_cells(collection: int, piece: Bbox, levels: int) -> list[int] | None:
    """The cells in which the items of a rectangle stand, over the levels in use; None if they are too many."""
    used = [n for n in range(len(_LEVELS)) if levels >> n & 1]
    if sum(_count(piece, n) for n in used) > MAX_CELLS_OF_QUERY:
        return None
    return [cell for n in used for cell in _cells(collection, piece, n)]


def split(
    footprints: Sequence[Footprint], shapes: NDArray[Any], bounds: NDArray[np.float64], boxes: Sequence[Bbox]
) -> list[list[Footprint]]:
    """For each rectangle the items whose footprint meets it, in the order given.

    Parameters
    ----------
    footprints
        The items.
    shapes
        Their footprints, (n,); None meets nothing.
    bounds
        Their rectangles, (n, 4); west > east crosses 180.
    boxes
        Rectangles in degrees.
    """
    lists = []
    for box in boxes:
        met = np.zeros(len(footprints), bool)
        for piece in parts(box):
            near = np.flatnonzero(_meet(bounds, piece))
            area = shape_of([piece])
            shapely.prepare(area)
            met[near] |= shapely.intersects(area, shapes[near])
        lists.append([footprints[n] for n in map(int, np.flatnonzero(met))])
    return lists


def _meet(bounds: NDArray[np.float64], piece: Bbox) -> NDArray[np.bool_]:
    west, south, east, north = bounds.T
    starts, ends = west <= piece[2], east >= piece[0]
    across = np.where(west > east, starts | ends, starts & ends)
    return np.asarray(across & (south <= piece[3]) & (north >= piece[1]))


def _range(piece: Bbox, level: int) -> tuple[range, range]:
    size, columns, _ = _LEVELS[level]
    rows = max(1, columns // 2)

    def index(degrees: float, count: int) -> int:
        return min(max(int(degrees // size), 0), count - 1)

    west, south, east, north = piece
    return (
        range(index(south + 90, rows), index(north + 90, rows) + 1),
        range(index(west + 180, columns), index(east + 180, columns) + 1),
    )


def _count(piece: Bbox, level: int) -> int:
    rows, columns = _range(piece, level)
    return len(rows) * len(columns)


def _cells(collection: int, piece: Bbox, level: int) -> list[int]:
    rows, columns = _range(piece, level)
    first = (collection << _CELL_BITS) + _LEVELS[level][2]
    return [first + row * _LEVELS[level][1] + column for row in rows for column in columns]
