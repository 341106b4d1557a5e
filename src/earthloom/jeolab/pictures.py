"""What a collection's own description says of its picture: which bands, and the stretch by their statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earthloom.base.errors import InvalidArgument
from earthloom.chain.session import current

_COLOURS = ("red", "green", "blue")


def default_bands(id: str) -> tuple[str, ...]:
    """The bands for red, green and blue of a collection, or its first one where it has no such bands."""
    bands = _bands(id)
    named = {doc.get("eo:common_name", name): name for name, doc in reversed(bands.items())}
    if all(colour in named for colour in _COLOURS):
        return tuple(named[colour] for colour in _COLOURS)
    return tuple(bands)[:1]


def stretch(id: str, names: Sequence[str], deviations: float) -> tuple[float, ...]:
    """Minimum and maximum of each band, as digital numbers: mean +- some standard deviations, within what occurs.

    Raises
    ------
    InvalidArgument
        If the statistics of a band are not known, or leave no range.
    """
    bands = _bands(id)
    return tuple(limit for name in names for limit in _range(name, bands[name], deviations))


def _range(name: str, band: Mapping[str, Any], deviations: float) -> tuple[float, float]:
    known = band.get("statistics") or {}
    hint = "Give the limits yourself: scale(min, max)."
    if known.get("mean") is None or known.get("stddev") is None:
        raise InvalidArgument(f"bands: the mean of {name} is not known.", hint=hint, band=name)
    mean, spread = known["mean"], deviations * known["stddev"]
    low, high = mean - spread, mean + spread
    if (least := known.get("minimum")) is not None:
        low = max(low, least)
    if (most := known.get("maximum")) is not None:
        high = min(high, most)
    scale = band.get("raster:scale") or 1.0  # statistics are those of physical values
    low, high = sorted((low / scale, high / scale))
    if low == high:
        raise InvalidArgument(f"bands: {name} has one value only, {low:g}.", hint=hint, band=name)
    return low, high


def _bands(id: str) -> dict[str, dict[str, Any]]:
    """The bands of a collection by name, in the order of the server."""
    return {str(band["name"]): band for band in current().collection(id)["bands"]}
