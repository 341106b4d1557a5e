"""A thread-safe table of the least recently used values, bounded by their cost (bytes or a count)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Values by key; when their cost exceeds `limit`, those not used for longest are dropped.

    A value that costs more than the whole limit is not kept at all.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = Lock()
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._cost = 0

    @property
    def cost(self) -> int:
        """What the kept values cost together."""
        return self._cost

    def get(self, key: K) -> V | None:
        """The value, now the most recently used; None if it is not kept."""
        with self._lock:
            entry = self._values.get(key)
            if entry is None:
                return None
            self._values.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V, cost: int = 1) -> None:
        """Keep a value, dropping older ones as needed."""
        if cost > self.limit:
            return
        with self._lock:
            old = self._values.pop(key, None)
            self._cost += cost - (old[1] if old is not None else 0)
            self._values[key] = value, cost
            while self._cost > self.limit:
                _, (_, dropped) = self._values.popitem(last=False)
                self._cost -= dropped

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._values.clear()
            self._cost = 0
