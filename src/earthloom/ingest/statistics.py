"""What a collection's bands are: the union over its items, with statistics of physical values from overviews."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from earthloom.base.asset import Asset
from earthloom.catalog.normalise import Band
from earthloom.raster.header import read_overview

ITEMS_A_BAND = 16  # evenly spread over the items in time
PIXELS_A_FILE = 250_000


def band_documents(items: Sequence[Sequence[Band]]) -> list[dict[str, Any]]:
    """The band objects of a collection (STAC 1.1 `bands`), in the order of the item that has the most.

    Parameters
    ----------
    items
        The bands of each item, in the order of time.

    Returns
    -------
    For each band what that item says, and `statistics`: mean, stddev, minimum, maximum of physical values and
    valid_percent, from up to 16 items.
    """
    # The item with the most bands comes first, so that a single odd item does not decide on the order.
    longest = sorted(items, key=len, reverse=True)
    about = {band.asset.band: band.about for bands in reversed(longest) for band in bands}
    order = dict.fromkeys(band.asset.band for bands in longest for band in bands)
    assets: dict[str, list[Asset]] = {}
    for bands in items:
        for band in bands:
            assets.setdefault(band.asset.band, []).append(band.asset)
    return [{**about[name], "name": name, "statistics": statistics(assets[name])} for name in order]


def statistics(assets: Sequence[Asset]) -> dict[str, float]:
    """Statistics of the physical values of a band over some of its files; empty if nothing is valid."""
    chosen = np.unique(np.linspace(0, len(assets) - 1, min(ITEMS_A_BAND, len(assets))).astype(int))
    total = squares = 0.0
    least, most = math.inf, -math.inf
    valid = pixels = 0
    for asset in (assets[i] for i in chosen):
        stored = read_overview(asset.href, asset.index, max_px=PIXELS_A_FILE)
        pixels += stored.size
        values = stored.compressed()
        if asset.nodata is not None:
            values = values[values != asset.nodata]
        values = values[np.isfinite(values)] * asset.scale + asset.offset
        if values.size:
            valid += values.size
            total += float(values.sum())
            squares += float((values**2).sum())
            least, most = min(least, float(values.min())), max(most, float(values.max()))
    if not valid:
        return {}
    mean = total / valid
    return {
        "mean": mean,
        "stddev": math.sqrt(max(squares / valid - mean**2, 0.0)),
        "minimum": least,
        "maximum": most,
        "valid_percent": 100.0 * valid / pixels,
    }
