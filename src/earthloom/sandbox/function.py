"""A user's function as it travels: text, a name and arguments, of limited size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from earthloom.base.errors import TooLarge
from earthloom.base.tilecontext import MAX_TEXT_BYTES


@dataclass(frozen=True)
class Function:
    """A self-contained module and the function in it that is called.

    Parameters
    ----------
    source
        Text of the module. It is never parsed in this process.
    name
        The function; empty if the text defines one of openEO's (`apply_datacube` ...).
    """

    source: str
    name: str

    @cached_property
    def size_bytes(self) -> int:
        """Length of the text."""
        return len(self.source.encode("utf-8", "surrogatepass"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of both: which workers can run it."""
        text = f"{self.name}\0{self.source}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()


def check(function: Function) -> None:
    """Refuse a source that is too long; it has not been looked at."""
    if function.size_bytes > MAX_TEXT_BYTES:
        raise TooLarge(
            f"The source of the function has {function.size_bytes >> 10} KiB; "
            f"at most {MAX_TEXT_BYTES >> 10} KiB are accepted.",
            hint="Leave data out of the source: pass it as a collection or as arguments.",
            function=function.name or None,
        )


def encode(arguments: Mapping[str, Any]) -> bytes:
    """Arguments as they travel; TooLarge if they are too long."""
    data = json_bytes(arguments)
    if len(data) > MAX_TEXT_BYTES:
        raise TooLarge(
            f"The arguments have {len(data) >> 10} KiB; at most {MAX_TEXT_BYTES >> 10} KiB are accepted.",
            hint="Pass large data as a collection.",
        )
    return data


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON, written fast where that can be."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value).encode()
