"""Types of parameters: annotations that carry a JSON schema. Subtypes are openEO's where it has them.

The subtype also says how a value is written in the canonical form of a chain (`chain/canonical.py`).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from earthloom.base.cube import Cube
from earthloom.processes.context import Array


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A JSON schema; `subtype` as in openEO."""

    json: dict[str, Any]

    @property
    def subtype(self) -> str:
        """The subtype, or empty."""
        return str(self.json.get("subtype", ""))


def _typed(type_: str | list[str], subtype: str = "", **more: Any) -> Schema:
    return Schema({"type": type_} | ({"subtype": subtype} if subtype else {}) | more)


_NUMBER = {"type": ["number", "null"]}

# Data: from other steps, or scalars inside callbacks.
Data = Annotated[Cube, _typed("object", "datacube")]
Raster = Annotated[Array, _typed("object", "datacube")]
Number = Annotated[Array, Schema(_NUMBER)]
Boolean = Annotated[Array, _typed(["boolean", "null"])]
Value = Annotated[Any, Schema({})]
Values = Annotated[Any, _typed("array", "labeled-array", items={})]
Numbers = Annotated[Array, _typed("array", "labeled-array", items=_NUMBER)]

# Plain arguments.
CollectionId = Annotated[str, _typed("string", "collection-id")]
Band = Annotated[str, _typed("string", "band-name")]
Bands = Annotated[
    list[str], _typed("array", "band-names", items={"type": "string", "subtype": "band-name"}, minItems=1)
]
Dimension = Annotated[str, _typed("string", "dimension")]
Interval = Annotated[
    list[str | None],
    _typed(
        "array", "temporal-interval", items={"type": ["string", "null"], "format": "date-time"}, minItems=2, maxItems=2
    ),
]
Box = Annotated[
    dict[str, Any],
    _typed(
        "object",
        "bounding-box",
        required=["west", "south", "east", "north"],
        properties={k: {"type": "number"} for k in ("west", "south", "east", "north")},
    ),
]
Geometry = Annotated[dict[str, Any], _typed("object", "geojson", required=["type"])]
Properties = Annotated[dict[str, Any], _typed("object", "metadata-filter")]
Settings = Annotated[dict[str, Any], _typed("object")]
Source = Annotated[str, _typed("string", "udf-code")]
Epsg = Annotated[int, _typed(["integer", "string"], "epsg-code")]
Colors = Annotated[
    str | list[str],
    Schema(
        {
            "subtype": "colors",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        }
    ),
]
ClassList = Annotated[
    list[dict[str, Any]],
    _typed("array", "classes", items={"type": "object", "required": ["value", "color"]}, minItems=1),
]
Resolver = Annotated[Callable[..., Array], _typed("object", "process-graph", parameters=["x", "y", "context"])]
Reducer = Annotated[Callable[..., Array], _typed("object", "process-graph", parameters=["data", "context"])]
PerValue = Annotated[Callable[..., Array], _typed("object", "process-graph", parameters=["x", "context"])]

_PLAIN: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def schema_of(annotation: Any) -> Schema:
    """The schema of an annotation: one of the types above, a plain type, a Literal, a list, or a union with None.

    Raises
    ------
    TypeError
        If the annotation says nothing that a schema can say.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return next(a for a in args[1:] if isinstance(a, Schema))
    if annotation is Any:
        return Schema({})
    if annotation in _PLAIN:
        return Schema({"type": _PLAIN[annotation]})
    if origin is Literal:
        return Schema({"type": "string", "enum": list(args)})
    if origin is list:
        return Schema({"type": "array", "items": schema_of(args[0]).json})
    if origin in (typing.Union, types.UnionType):
        inner = [schema_of(a).json for a in args if a is not type(None)]
        if len(inner) == 1 and "type" in inner[0]:
            kinds = inner[0]["type"] if isinstance(inner[0]["type"], list) else [inner[0]["type"]]
            nullable = [*kinds, *(["null"] if type(None) in args and "null" not in kinds else [])]
            return Schema(inner[0] | {"type": nullable})
        subtype = {"subtype": inner[0]["subtype"]} if "subtype" in inner[0] else {}
        return Schema(subtype | {"anyOf": [*inner, *([{"type": "null"}] if type(None) in args else [])]})
    raise TypeError(f"no schema for {annotation!r}")
