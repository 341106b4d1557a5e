"""A user's function as it travels: text and a name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

MAX_SOURCE_BYTES = 64 << 10


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
