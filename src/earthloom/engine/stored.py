"""Numbers as the files store them: their type, the number for no data, and digital numbers without an offset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from earthloom.base.asset import Asset


@dataclass(frozen=True, slots=True)
class Stored:
    """What the files of a source hold of one band.

    Parameters
    ----------
    dtype
        numpy name of the type that holds the numbers of all items.
    nodata
        The number that stands for no data: as declared, else 0, or NaN in floats.
    exact
        Whether pixels have numbers of the files, not ones between them.
    """

    dtype: str
    nodata: float
    exact: bool = True


def stored_of(doc: Mapping[str, Any], offsets: Iterable[int] | None, exact: bool = True) -> Stored:
    """What the files hold of a band.

    Parameters
    ----------
    doc
        The band as ingested.
    offsets
        What is added to the stored numbers of some item; None if that is not known. Numbers that leave their type by
        it get the smallest signed type that holds them. That for no data stays as declared.
    exact
        As in `Stored`.
    """
    dtype = np.dtype(doc.get("data_type", "float32"))
    nodata = float(doc.get("nodata", math.nan))
    if dtype.kind == "f":
        return Stored(dtype.name, nodata, exact)
    limits = np.iinfo(dtype)
    lowest, highest = int(limits.min), int(limits.max)
    if offsets is None:
        lowest, highest = min(lowest, -highest), highest + 1
    else:
        added = [0, *offsets]
        lowest, highest = lowest + min(added), highest + max(added)
    types = (dtype, *map(np.dtype, ("int16", "int32", "int64")))
    dtype = next((t for t in types if np.iinfo(t).min <= lowest and highest <= np.iinfo(t).max), np.dtype("float64"))
    fits = nodata.is_integer() and limits.min <= nodata <= limits.max
    return Stored(dtype.name, nodata if fits else 0.0, exact)


def offset_of(asset: Asset) -> int:
    """What makes digital numbers of the stored ones: the offset in units of the scale, a whole number."""
    return round(asset.offset / asset.scale) if asset.scale else 0
