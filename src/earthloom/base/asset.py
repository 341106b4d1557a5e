"""What to read: one band of one item. The catalogue makes these from items, the raster room reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asset:
    """One band of one item, with all that its pixels mean.

    Parameters
    ----------
    item
        Id of the item, for messages and order.
    band
        Name of the band, as the collection spells it.
    href
        Absolute path or address of the file.
    index
        Number of the band in the file, from 1.
    dtype
        numpy name of the stored type.
    scale, offset
        value = stored * scale + offset; applied exactly once, when it is read.
    nodata
        The stored value that means no data; None if there is none (the file's own mask still counts).
    """

    item: str
    band: str
    href: str
    index: int = 1
    dtype: str = "uint16"
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
