"""What the colours of a style mean, as the JSON that page and notebook draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.colours import RAMP_SIZE, to_text
from earthloom.engine.style import ClassStyle, RampStyle, RgbStyle, Style

MAX_STOPS = 11
MAX_STEPS = 24
TICKS = 5


def legend(style: Style) -> dict[str, Any]:
    """The legend of a style.

    Returns
    -------
    `{kind: "ramp", quantity, unit, range, stops: [[value, colour]], beyond: [below, above], ticks}` with the number
    of ticks to aim at, `{kind: "classes", quantity, classes: [{value, label, colour}]}`, or
    `{kind: "rgb", quantity, unit, channels: [{band, range}] x 3}`. Colours are `#rrggbbaa`; two stops at one value
    are a step.
    """
    match style:
        case RampStyle():
            return {
                "kind": "ramp",
                "quantity": style.quantity,
                "unit": style.unit,
                "range": [style.vmin, style.vmax],
                "stops": _stops(style),
                "beyond": list(style.beyond),
                "ticks": TICKS,
            }
        case ClassStyle():
            classes = [{"value": value, "label": label, "colour": colour} for value, label, colour in style.classes]
            return {"kind": "classes", "quantity": style.quantity, "classes": classes}
        case RgbStyle():
            channels = [{"band": b, "range": list(r)} for b, r in zip(style.bands, style.ranges, strict=True)]
            return {"kind": "rgb", "quantity": style.quantity, "unit": style.unit, "channels": channels}


def _stops(style: RampStyle) -> list[list[Any]]:
    """Values and colours between which the legend's bar is blended."""
    if 2 <= len(style.colours) <= MAX_STOPS:
        places, colours = np.linspace(0.0, 1.0, len(style.colours)), list(style.colours)
    else:
        table = np.frombuffer(style.table, np.uint8).reshape(RAMP_SIZE, 4)
        entries, places = _steps(table) or _even()
        colours = [to_text(table[i]) for i in entries]
    values = style.vmin + places * (style.vmax - style.vmin)
    return [[float(value), colour] for value, colour in zip(values, colours, strict=True)]


def _steps(table: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
    """Entries of a table of few colours, and the places (0 to 1) of the beginning and end of each; else None."""
    starts = np.flatnonzero(np.r_[True, (table[1:] != table[:-1]).any(axis=1)])
    if len(starts) > MAX_STEPS:
        return None
    # The painter rounds half up, so entry i begins half an entry before its place.
    edges = np.clip((np.r_[starts, len(table)] - 0.5) / (len(table) - 1), 0.0, 1.0)
    return np.repeat(starts, 2), np.stack([edges[:-1], edges[1:]], axis=1).ravel()


def _even() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Entries and places spread evenly."""
    places = np.linspace(0.0, 1.0, MAX_STOPS)
    return np.floor(places * (RAMP_SIZE - 1) + 0.5).astype(np.intp), places
