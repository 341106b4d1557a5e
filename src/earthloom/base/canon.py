"""Canonical JSON (RFC 8785) and its digest."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from earthloom.base.errors import InvalidArgument


def canonical(value: Any) -> bytes:
    """The one text of a JSON value (RFC 8785).

    Raises
    ------
    InvalidArgument
        If the value has no such text: NaN, infinity, integers over 2**53, or no JSON at all.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise InvalidArgument(f"{error}.", hint="Numbers are finite, and integers stay under 2**53.") from None


def digest(value: Any) -> str:
    """SHA-256 of the canonical text, 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
