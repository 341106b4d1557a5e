"""One block of a file as stored values and where they are no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from earthloom.raster.files import Files
from earthloom.raster.header import Header, damaged, no_data


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded pixels of one band.

    Parameters
    ----------
    values
        (y, x) in the stored dtype, read-only; None if all are no data.
    hidden
        (y, x), true where there is no data; None if all pixels are valid.
    """

    values: NDArray[Any] | None
    hidden: NDArray[np.bool_] | None

    @property
    def nbytes(self) -> int:
        """Memory of the pixels; an empty block still costs its entry."""
        return 64 + sum(a.nbytes for a in (self.values, self.hidden) if a is not None)


def decode(
    files: Files, head: Header, level: int, row: int, col: int, bands: Sequence[tuple[int, tuple[float, ...]]]
) -> list[Block]:
    """Decode one block of some bands at once.

    Parameters
    ----------
    files
        Where open datasets come from.
    head, level
        Which file; 0 is the full image, k its k-th overview.
    row, col
        Which block, counted from the upper left.
    bands
        For each band its number, and the stored values that mean no data (NaN always does).

    Raises
    ------
    ReadError
        If the block is damaged; it names the file.
    """
    size = files.level(head, level)
    left, top = col * size.block_width, row * size.block_height
    window = Window(left, top, min(size.block_width, size.width - left), min(size.block_height, size.height - top))
    with files.dataset(head.key, level) as dataset:
        try:
            stored = dataset.read([index for index, _ in bands], window=window)
            masks = dataset.read_masks([index for index, _ in bands], window=window) if head.masked else None
        except RasterioIOError as error:
            image = f"overview {level}" if level else "the full image"
            raise damaged(head.path, error, f"Block {row}, {col} in {image}") from None
    return [
        _block(stored[k], no_data(stored[k], nodata) if masks is None else no_data(stored[k], nodata) | (masks[k] == 0))
        for k, (_, nodata) in enumerate(bands)
    ]


def _block(values: NDArray[Any], hidden: NDArray[np.bool_]) -> Block:
    if hidden.all():
        return Block(None, None)
    values = values.copy() if values.base is not None else values  # a view would keep the other bands in memory
    values.setflags(write=False)
    return Block(values, hidden if hidden.any() else None)
