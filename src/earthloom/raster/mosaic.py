"""The reader: the first valid value of each band on a grid, from many files in many coordinate systems."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.asset import Asset
from earthloom.base.errors import ReadError
from earthloom.base.grid import Grid
from earthloom.raster import warp
from earthloom.raster.blocks import BlockCache
from earthloom.raster.coords import Frame, choose_level, patches
from earthloom.raster.decode import Block, decode
from earthloom.raster.files import Files
from earthloom.raster.header import FileKey, Header, Level, nodata_values
from earthloom.raster.reader import Method

MAX_GRID_PX = 1024 * 1024  # larger grids are read in parts
MAX_SOURCE_PX = 32 * 2**20  # and so are those that need more of their files at once
EXACT_IN_FLOAT32 = frozenset({"uint8", "int8", "uint16", "int16", "float32"})

Nodata = tuple[float, ...]
Key = tuple[FileKey, int, int, Nodata, int, int]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one asset has for one band of the grid: where, and which blocks hold it."""

    asset: Asset
    band: int
    head: Header
    level: int
    size: Level
    nodata: Nodata
    patches: NDArray[np.int64]
    window: tuple[int, int, int, int]
    blocks: tuple[tuple[int, int], ...]

    def key(self, row: int, col: int) -> Key:
        return self.head.key, self.level, self.asset.index, self.nodata, row, col

    @property
    def source_px(self) -> int:
        left, top, right, bottom = self.window
        return (right - left) * (bottom - top)


class MosaicReader:
    """Reads assets on grids, keeping decoded blocks and open files. Safe to use from several threads.

    Parameters
    ----------
    cache_bytes
        Memory for decoded blocks; None is a quarter of the machine's.
    threads
        How many blocks are decoded at once; None is the number of cores. They start with the first read.
    """

    def __init__(self, cache_bytes: int | None = None, threads: int | None = None) -> None:
        self.blocks = BlockCache(cache_bytes)
        self.files = Files()
        self._threads = threads or os.cpu_count() or 1
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pid = os.getpid()

    def read(
        self, assets: Sequence[Asset], grid: Grid, bands: Sequence[str], method: Method = "near", dtype: str = "float32"
    ) -> NDArray[Any]:
        """The first valid value of each band; see `reader.Reader`."""
        out = np.full((len(bands), *grid.shape), np.nan, np.dtype(dtype))
        stacks = [[asset for asset in reversed(assets) if asset.band == band] for band in bands]
        self._fill(stacks, grid, out, method)
        return out

    def close(self) -> None:
        """Stop the threads and close the files; a later read starts anew."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        self.files.close()

    def _fill(self, stacks: list[list[Asset]], grid: Grid, out: NDArray[Any], method: Method) -> None:
        """Fill the NaN of `out` (bands, y, x) in rounds of one asset a band; the last in a stack is next."""
        if grid.width * grid.height > MAX_GRID_PX:
            self._fill_halves(stacks, grid, out, method)
            return
        stacks = [list(stack) for stack in stacks]
        missing = [int(np.isnan(band).sum()) for band in out]
        while True:
            found = [self._next(k, stacks[k], grid, out[k], method) for k in range(len(stacks)) if missing[k]]
            parts = [part for part in found if part is not None]
            if not parts:
                return
            if sum(part.source_px for part in parts) > MAX_SOURCE_PX and grid.width * grid.height > 1:
                for part in parts:
                    stacks[part.band].append(part.asset)
                self._fill_halves(stacks, grid, out, method)
                return
            blocks = self._load(parts)
            for part in parts:
                missing[part.band] -= _gather(part, blocks, grid, out[part.band], method)

    def _fill_halves(self, stacks: list[list[Asset]], grid: Grid, out: NDArray[Any], method: Method) -> None:
        for half in _halves(grid):
            rows, cols = grid.window(half)
            part = out[:, rows, cols].copy()  # the kernels are compiled for contiguous arrays only
            self._fill(stacks, half, part, method)
            out[:, rows, cols] = part

    def _next(self, band: int, stack: list[Asset], grid: Grid, out: NDArray[Any], method: Method) -> _Part | None:
        """Take assets off the stack until one has pixels where `out` (y, x) is NaN."""
        while stack:
            asset = stack.pop()
            with _placed(asset):
                head = self.files.header(asset.href)
                stored = head.band(asset.index)
                level = choose_level(head, grid.lattice)
                size = self.files.level(head, level)
            found = patches(Frame.of(head, size), grid)
            marks = np.zeros((-(-size.height // size.block_height), -(-size.width // size.block_width)), np.bool_)
            window = np.zeros(4, np.int64)
            if warp.needed(
                found,
                grid.col,
                grid.row,
                out,
                size.width,
                size.height,
                size.block_width,
                size.block_height,
                method == "bilinear",
                marks,
                window,
            ):
                where = tuple((int(j), int(i)) for j, i in np.argwhere(marks))
                nodata = nodata_values(asset.nodata, stored.nodata)
                left, top, right, bottom = window.tolist()
                return _Part(asset, band, head, level, size, nodata, found, (left, top, right, bottom), where)
        return None

    def _load(self, parts: list[_Part]) -> dict[Key, Block]:
        """All blocks of some parts, from the cache or decoded side by side."""
        blocks: dict[Key, Block] = {}
        # Where a block of the file holds all bands, those asked for are decoded at once.
        units: dict[tuple[Key, int], list[tuple[_Part, Key]]] = {}
        for part in parts:
            for row, col in part.blocks:
                key = part.key(row, col)
                block = self.blocks.find(key)
                if block is not None:
                    blocks[key] = block
                    continue
                place = part.head.key, part.level, 0, (), row, col
                unit = units.setdefault((place, 0 if part.head.interleaved else part.band + 1), [])
                if all(key != other for _, other in unit):
                    unit.append((part, key))
        work = list(units.values())
        for unit, decoded in zip(work, map(self._decode, work) if len(work) < 2 else self._map(work), strict=True):
            blocks.update(zip((key for _, key in unit), decoded, strict=True))
        return blocks

    def _decode(self, unit: list[tuple[_Part, Key]]) -> list[Block]:
        part, key = unit[0]
        head, level, (row, col) = part.head, part.level, key[-2:]

        def decode_some(positions: list[int]) -> list[Block]:
            bands = [(unit[k][0].asset.index, unit[k][0].nodata) for k in positions]
            return decode(self.files, head, level, row, col, bands)

        with _placed(part.asset):
            return self.blocks.get([key for _, key in unit], decode_some)

    def _map(self, work: list[list[tuple[_Part, Key]]]) -> Iterator[list[Block]]:
        with self._lock:
            if self._pool is None or self._pid != os.getpid():  # threads do not survive a fork
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
                self._pid = os.getpid()
            return self._pool.map(self._decode, work)


def _gather(part: _Part, blocks: dict[Key, Block], grid: Grid, out: NDArray[Any], method: Method) -> int:
    """Put the values of a part into `out` (y, x) where it is NaN; gives the number of pixels filled."""
    left, top, right, bottom = part.window
    stored = part.head.bands[part.asset.index - 1].dtype
    source = np.full((bottom - top, right - left), np.nan, np.float32 if stored in EXACT_IN_FLOAT32 else np.float64)
    size = part.size
    for row, col in part.blocks:
        block = blocks[part.key(row, col)]
        if block.values is None:
            continue
        y, x = row * size.block_height, col * size.block_width
        height, width = block.values.shape
        y0, y1, x0, x1 = max(y, top), min(y + height, bottom), max(x, left), min(x + width, right)
        target = source[y0 - top : y1 - top, x0 - left : x1 - left]
        inside = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
        target[...] = block.values[inside]
        if block.hidden is not None:
            np.copyto(target, np.nan, where=block.hidden[inside])
    kernel = warp.bilinear if method == "bilinear" else warp.nearest
    asset = part.asset
    return int(
        kernel(part.patches, grid.col, grid.row, source, left, top, float(asset.scale), float(asset.offset), out)
    )


def _halves(grid: Grid) -> tuple[Grid, Grid]:
    if grid.width >= grid.height:
        half = grid.width // 2
        return replace(grid, width=half), replace(grid, col=grid.col + half, width=grid.width - half)
    half = grid.height // 2
    return replace(grid, height=half), replace(grid, row=grid.row + half, height=grid.height - half)


@contextmanager
def _placed(asset: Asset) -> Iterator[None]:
    """Errors inside name the item, the band and the file.

    They are made anew: an error of a block goes to all threads that wait for it, each for an item of its own.
    """
    try:
        yield
    except ReadError as error:
        where = error.where | {"item": asset.item, "band": asset.band, "file": asset.href}
        raise ReadError(error.message, hint=error.hint, near=error.near, **where) from None
