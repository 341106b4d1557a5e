"""Notes that chains are used, beside the tiles: no tile waits for it, or fails by it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from earthloom.base.errors import EarthloomError
from earthloom.base.log import log
from earthloom.base.lru import Lru
from earthloom.stores.protocol import Store

EVERY_S = 3600  # the store learns of a use at most once an hour for each key
AGAIN_S = 60  # after the store did not take it
KEYS = 100_000  # remembered; of one that was dropped the store learns again


class Uses:
    """Tells a store which of its keys are used, from a thread of its own.

    Parameters
    ----------
    store
        The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next: Lru[str, float] = Lru(KEYS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-uses")

    def note(self, key: str) -> None:
        """The key was used now; returns at once."""
        now = time.monotonic()
        if now >= (self._next.get(key) or 0):
            self._next.put(key, now + EVERY_S)
            self._thread.submit(self._touch, key)

    def close(self) -> None:
        """Let the note under way end; those that wait are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _touch(self, key: str) -> None:
        try:
            self._store.touch(key)
        except EarthloomError as error:
            self._next.put(key, time.monotonic() + AGAIN_S)
            log.warning("That %s was used could not be noted. %s", key, error)
