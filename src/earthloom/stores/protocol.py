"""What the engine asks of a store: chains by key."""

from __future__ import annotations

from typing import Any, Protocol


class Store(Protocol):
    """Process graphs by key, lasting."""

    def put(self, key: str, graph: dict[str, Any]) -> None:
        """Keep a graph; a key that is there already keeps the graph that was posted first."""
        ...

    def get(self, key: str) -> dict[str, Any] | None:
        """The graph of a key, or None."""
        ...

    def touch(self, key: str) -> None:
        """Note that the key was used now."""
        ...

    def delete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        ...
