"""The cache of decoded blocks: bounded in bytes, each block decoded once however many threads ask for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Lock

from earthloom.base.lru import Lru
from earthloom.raster.decode import Block


class BlockCache:
    """Decoded blocks by key.

    Parameters
    ----------
    max_bytes
        Memory for pixels; None is a quarter of what this machine or container has.
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self._blocks: Lru[Hashable, Block] = Lru(memory_bytes() // 4 if max_bytes is None else max_bytes)
        self._lock = Lock()
        self._in_flight: dict[Hashable, Future[Block]] = {}
        self.decoded = 0

    @property
    def nbytes(self) -> int:
        """Memory of the kept blocks."""
        return self._blocks.cost

    def find(self, key: Hashable) -> Block | None:
        """The block, if it is kept."""
        return self._blocks.get(key)

    def get(self, keys: Sequence[Hashable], decode: Callable[[list[int]], list[Block]]) -> list[Block]:
        """The blocks of some keys, decoding those that nobody has.

        Parameters
        ----------
        keys
            Blocks that one decoding gives together, such as the bands of one place.
        decode
            Takes positions in `keys`, gives their blocks. An error of it goes to all who wait, and is not kept.
        """
        waiting: dict[int, Future[Block]] = {}
        ours: dict[int, Future[Block]] = {}
        found: dict[int, Block] = {}
        with self._lock:
            for k, key in enumerate(keys):
                block = self._blocks.get(key)
                if block is not None:
                    found[k] = block
                elif key in self._in_flight:
                    waiting[k] = self._in_flight[key]
                else:
                    ours[k] = self._in_flight[key] = Future()
        # Ours first: who decodes never waits for others meanwhile, so that nobody waits in a circle.
        if ours:
            try:
                decoded = decode(list(ours))
            except BaseException as error:
                with self._lock:
                    for k in ours:
                        del self._in_flight[keys[k]]
                for future in ours.values():
                    future.set_exception(error)
                raise
            with self._lock:
                self.decoded += len(decoded)
                for k, block in zip(ours, decoded, strict=True):
                    self._blocks.put(keys[k], block, block.nbytes)
                    del self._in_flight[keys[k]]
            for (k, future), block in zip(ours.items(), decoded, strict=True):
                future.set_result(block)
                found[k] = block
        for k, future in waiting.items():
            found[k] = future.result()
        return [found[k] for k in range(len(keys))]


def memory_bytes() -> int:
    """Memory of this machine, or of the container that we run in if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
