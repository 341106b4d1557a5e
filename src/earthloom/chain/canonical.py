"""The one way to write an argument, chosen by the schema of its parameter and never by the look of the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from earthloom.base import times
from earthloom.base.colours import canonical_colour
from earthloom.base.errors import InvalidArgument

SHORT_DIMENSIONS = {"time": "t", "band": "bands"}


def plain(value: Any) -> Any:
    """A value in which numpy's scalars and arrays, tuples and dates are JSON.

    Raises
    ------
    InvalidArgument
        If something in it is no JSON.
    """
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise InvalidArgument(f"{value!r} of type {type(value).__name__} cannot stand in a chain.")


def _interval(value: Any) -> Any:
    return [None if v is None else times.to_text(times.parse(v)) for v in value]


def _colors(value: Any) -> Any:
    # A text is the name of a palette; only a list holds colours.
    return value if isinstance(value, str) else [canonical_colour(v) for v in value]


def _classes(value: Any) -> Any:
    return [{**v, "color": canonical_colour(v["color"])} for v in value]


def _epsg(value: Any) -> Any:
    text = str(value).strip()
    match = re.fullmatch(r"(?:EPSG:)?(\d+)", text, re.IGNORECASE)
    if match is None:
        raise InvalidArgument(f'"{value}" is not an EPSG code.', hint="Write 3035 or EPSG:3035.")
    return int(match[1])


def _box(value: Any) -> Any:
    dropped = {k for k in ("base", "height") if value.get(k) is None}
    if "crs" in value and _epsg(value["crs"]) == 4326:
        dropped.add("crs")
    return {k: _epsg(v) if k == "crs" else v for k, v in value.items() if k not in dropped}


_WRITE: dict[str, Callable[[Any], Any]] = {
    "temporal-interval": _interval,
    "colors": _colors,
    "classes": _classes,
    "epsg-code": _epsg,
    "bounding-box": _box,
    "dimension": lambda v: SHORT_DIMENSIONS.get(v, v),
    "udf-code": lambda v: v.replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n",
}


def canonical_argument(value: Any, subtype: str) -> Any:
    """An argument in its canonical writing.

    Parameters
    ----------
    value
        A JSON value, not null and without references to nodes.
    subtype
        Subtype of the parameter's schema.

    Raises
    ------
    InvalidArgument
        If the value has no meaning for this subtype (a date, a colour, an EPSG code that is none).
    """
    write = _WRITE.get(subtype)
    return write(value) if write else value
