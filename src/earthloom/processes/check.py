"""A value against the schema of a parameter: the part of JSON Schema that our own schemas use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_IS = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, float) and v.is_integer()),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, Sequence) and not isinstance(v, str),
    "object": lambda v: isinstance(v, Mapping),
}
_ARTICLE = {"array": "a list", "object": "an object", "integer": "a whole number", "null": "null"}


def mismatch(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Why `value` does not fit `schema`, as the end of a sentence ("is not a number"); None if it fits."""
    if "anyOf" in schema:
        reasons = [mismatch(value, s) for s in schema["anyOf"]]
        return None if None in reasons else f"is neither {' nor '.join(_name(s) for s in schema['anyOf'])}"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_IS[k](value) for k in kinds):
        return f"is not {' or '.join(_ARTICLE.get(k, f'a {k}') for k in kinds if k != 'null' or len(kinds) == 1)}"
    if value is None:
        return None
    if "enum" in schema and value not in schema["enum"]:
        return f"is none of {', '.join(map(str, schema['enum']))}"
    if "minimum" in schema and value < schema["minimum"]:
        return f"is less than {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        return f"is more than {schema['maximum']}"
    if isinstance(value, Mapping):
        missing = [k for k in schema.get("required", []) if k not in value]
        if missing:
            return f"lacks {', '.join(missing)}"
        inner = [(k, s) for k, s in schema.get("properties", {}).items() if k in value]
        return next((f"has {k} that {why}" for k, s in inner if (why := mismatch(value[k], s))), None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) < schema.get("minItems", 0):
            return "has too few entries"
        if len(value) > schema.get("maxItems", len(value)):
            return "has too many entries"
        items = schema.get("items", {})
        return next((f"holds {v!r}, which {why}" for v in value if (why := mismatch(v, items))), None)
    return None


def _name(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "anything")
    return " or ".join(_ARTICLE.get(k, f"a {k}") for k in ([kind] if isinstance(kind, str) else kind))
