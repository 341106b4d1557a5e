"""The record of an item: the facts that a catalogue searches by, taken from its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from earthloom.base.errors import InvalidArgument
from earthloom.catalog.footprint import footprints, rectangles
from earthloom.catalog.normalise import times_of, updated_of
from earthloom.catalog.protocol import Bbox

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Record:
    """The searchable facts of one item.

    Parameters
    ----------
    id
        Id of the item.
    t_ms, t2_ms
        First and last moment, milliseconds since 1970; equal for an item with a `datetime`.
    updated_ms
        When it was last changed, if it says so.
    shape, bbox
        Regular footprint and the rectangle around it (west > east crosses 180); None for an item without a place.
    properties
        The properties that are not null.
    """

    id: str
    t_ms: int
    t2_ms: int
    updated_ms: int | None
    shape: Any
    bbox: Bbox | None
    properties: Mapping[str, Any]


def records(items: Sequence[Any], collection: str) -> list[Record | str]:
    """The record of each item, or the reason why it is refused.

    Parameters
    ----------
    items
        STAC items, parsed.
    collection
        Id of the collection that they go to.
    """
    shapes, reasons = footprints([item.get("geometry") if isinstance(item, dict) else None for item in items])
    boxes = rectangles(shapes)
    found: list[Record | str] = []
    for item, shape, reason, box in zip(items, shapes, reasons, boxes, strict=True):
        try:
            wrong = _wrong(item, collection) or reason
            if wrong:
                found.append(wrong)
                continue
            start, end = times_of(item)
            bbox = None if shape is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
            properties = {k: v for k, v in item["properties"].items() if v is not None}
            found.append(Record(item["id"], start, end, updated_of(item), shape, bbox, properties))
        except InvalidArgument as error:
            found.append(error.message)
    return found


def elements(value: Any) -> list[Scalar]:
    """The plain values that a property holds: itself, or those of its list; none for an object."""
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, Scalar)]


def union(boxes: Sequence[Bbox]) -> Bbox | None:
    """A rectangle around rectangles; all longitudes if one of them crosses 180."""
    if not boxes:
        return None
    array = np.array(boxes)
    if (array[:, 0] > array[:, 2]).any():
        return -180.0, float(array[:, 1].min()), 180.0, float(array[:, 3].max())
    low, high = array.min(axis=0), array.max(axis=0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])


def _wrong(item: Any, collection: str) -> str | None:
    if not isinstance(item, dict):
        return "it is no JSON object"
    if not isinstance(item.get("id"), str) or not item["id"]:
        return "it has no id"
    if not isinstance(item.get("properties"), dict) or not isinstance(item.get("assets"), dict):
        return "it is no STAC item: properties and assets must be objects"
    if item.get("collection") not in (None, collection):
        return f'it says that its collection is "{item["collection"]}"'
    return None
