"""JSON in and out: what a request's body may be, and answers written by orjson."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from starlette.responses import Response

from earthloom.base.errors import InvalidArgument


class Json(Response):
    """An answer as JSON. NaN and infinity, which JSON has not, become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


async def _document(request: Request) -> dict[str, Any]:
    try:
        document = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise InvalidArgument(f"The body is a JSON {_kind(document)}, not an object.")
    return document


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}[type(value)]


# Parsed by us, not by FastAPI: its own error for a broken body names no place in it.
Document = Annotated[dict[str, Any], Depends(_document)]

# What the routes that take a Document say in /openapi.json.
OPENAPI = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
