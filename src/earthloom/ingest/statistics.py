"""What a collection's bands are: the union over its items, with statistics of physical values from overviews."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from earthloom.base.asset import Asset
from earthloom.base.errors import ReadError
from earthloom.base.log import log
from earthloom.catalog.normalise import Band
from earthloom.raster.header import header, read_overview

ITEMS_A_BAND = 16  # evenly spread over the items in time
PIXELS_A_FILE = 250_000

T = TypeVar("T")


def band_documents(
    items: Sequence[Sequence[Band]], old: Sequence[dict[str, Any]], touched: Collection[str]
) -> list[dict[str, Any]]:
    """The band objects of a collection (STAC 1.1 `bands`), in the order of the item that has the most.

    Parameters
    ----------
    items
        The bands of each item, in the order of time.
    old
        The collection's band objects so far.
    touched
        Names of the bands that are described anew; the others stay as they were.

    Returns
    -------
    For each band what its items say, what they leave out (type, no-data value, classes) from a file's header, and
    `statistics`: mean, stddev, minimum, maximum of physical values and valid_percent, from up to 16 items.
    """
    # The item with the most bands comes first, so that a single odd item does not decide on the order.
    longest = sorted(items, key=len, reverse=True)
    about = {band.asset.band: band.about for bands in reversed(longest) for band in bands}
    assets: dict[str, list[Asset]] = {}
    for bands in items:
        for band in bands:
            assets.setdefault(band.asset.band, []).append(band.asset)
    known = {doc["name"]: doc for doc in old}
    names = dict.fromkeys([*known, *(band.asset.band for bands in longest for band in bands)])
    return [
        known[name]
        if name in known and name not in touched
        else _document(about[name], spread(assets[name], ITEMS_A_BAND))
        for name in names
    ]


def spread(values: Sequence[T], count: int) -> list[T]:
    """At most so many of a sequence, evenly spread, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).astype(int))
    return [values[n] for n in map(int, chosen)]


def _document(about: dict[str, Any], assets: Sequence[Asset]) -> dict[str, Any]:
    numbers, stored = _look(assets)
    document = dict(about)
    try:
        band = header(assets[0].href).band(assets[0].index)
    except ReadError as error:
        log.warning("Band %s is described without its file: %s", about["name"], error)
        return {**document, "statistics": numbers}
    document.setdefault("data_type", band.dtype)
    if band.nodata is not None:
        document.setdefault("nodata", band.nodata if math.isfinite(band.nodata) else str(band.nodata))
    if band.colours:
        # A colour table has all 256 values; those that occur are the classes.
        colours = {value: band.colours[value] for value in stored if value in band.colours}
        classes = [
            {"value": value, "name": str(value), "color_hint": "{:02X}{:02X}{:02X}".format(*colour[:3])}
            for value, colour in colours.items()
        ]
        document.setdefault("classification:classes", classes)
    return {**document, "statistics": numbers}


def _look(assets: Sequence[Asset]) -> tuple[dict[str, float], list[int]]:
    """The statistics of some files, and which stored values they have if these are bytes."""
    count = pixels = 0
    mean = squares = 0.0
    least, most = math.inf, -math.inf
    seen: set[int] = set()
    for asset in assets:
        try:
            stored = read_overview(asset.href, asset.index, max_px=PIXELS_A_FILE)
        except ReadError as error:
            log.warning("Item %s, band %s has no part in the statistics: %s", asset.item, asset.band, error)
            continue
        pixels += stored.size
        valid: NDArray[np.float64] = stored.compressed()
        if asset.nodata is not None:
            valid = valid[valid != asset.nodata]
        valid = valid[np.isfinite(valid)]
        if asset.dtype == "uint8":
            seen.update(map(int, np.unique(valid)))
        values = valid * asset.scale + asset.offset
        if values.size:
            # Chan, Golub, LeVeque 1979: means and sums of squares of parts together, without cancellation.
            own, shift = float(values.mean()), float(values.mean()) - mean
            both = count + values.size
            squares += float(((values - own) ** 2).sum()) + shift**2 * count * values.size / both
            mean += shift * values.size / both
            count = both
            least, most = min(least, float(values.min())), max(most, float(values.max()))
    if not count:
        return {}, []
    numbers = {
        "mean": mean,
        "stddev": math.sqrt(squares / count),
        "minimum": least,
        "maximum": most,
        "valid_percent": 100.0 * count / pixels,
    }
    return numbers, sorted(seen)
