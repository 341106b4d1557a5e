"""What the engine asks of a store: chains by key.

Every store passes `earthloom.testing.stores.StoreTests`. One that is elsewhere is asked anew for each call, so that it
heals by itself when it comes back; until then a call raises `Unavailable` after a few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from earthloom.stores.record import Record


class Store(Protocol):
    """Process graphs by key, lasting."""

    def put(self, key: str, graph: dict[str, Any]) -> None:
        """Keep a graph; a key that is there already keeps the graph that was posted first, and is used now."""
        ...

    def get(self, key: str) -> dict[str, Any] | None:
        """The graph of a key, or None."""
        ...

    def touch(self, key: str) -> None:
        """Note that the key was used now."""
        ...

    def pin(self, key: str, pinned: bool = True) -> bool:
        """Keep a key for ever, or no longer; whether it is there."""
        ...

    def delete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        ...

    def clean(self, before_ms: int) -> int:
        """Forget what was last used before a moment and is not pinned; how many keys these were."""
        ...

    def records(self) -> Iterator[Record]:
        """All that is kept, by key."""
        ...

    def restore(self, record: Record) -> bool:
        """Keep a record as another store gave it, if its key is not there; whether it was not."""
        ...

    def check(self) -> None:
        """Tell the log what an operator should know at the start: a store that is away, or one that forgets."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the store cannot be used afterwards."""
        ...
