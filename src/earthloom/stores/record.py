"""A chain as all stores keep it: its graph as text, when it was made and used, and whether it stays for ever."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from earthloom.base.errors import InvalidArgument, TooLarge

MAX_GRAPH_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """One chain of a store.

    Parameters
    ----------
    key
        Its key.
    graph
        Its process graph as JSON text.
    created_ms, used_ms
        When it was first kept and last used [ms since 1970].
    pinned
        Whether it stays, however long nobody uses it.
    """

    key: str
    graph: str
    created_ms: int
    used_ms: int
    pinned: bool = False


def text_of(graph: dict[str, Any]) -> str:
    """A graph as JSON text, the order of its members kept.

    Raises
    ------
    InvalidArgument
        If the graph is no JSON.
    TooLarge
        If it has more than `MAX_GRAPH_BYTES`.
    """
    try:
        text = json.dumps(graph, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"The graph is no JSON: {error}.", argument="graph") from None
    if size > MAX_GRAPH_BYTES:
        raise TooLarge(
            f"The graph has {size / 1e6:.2f} MB; a store keeps graphs of at most {MAX_GRAPH_BYTES / 1e6:.0f} MB.",
            hint="Geometries are what makes a graph large: give a place by name, or simplify its outline.",
            argument="graph",
        )
    return text


def now_ms() -> int:
    """The moment [ms since 1970]."""
    return time.time_ns() // 1_000_000
