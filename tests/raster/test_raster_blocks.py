"""The cache of blocks by itself: once in flight, bounded, errors not kept."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from earthloom.base.lru import Lru
from earthloom.raster.blocks import BlockCache, memory_bytes
from earthloom.raster.decode import Block


def block(n: int = 10) -> Block:
    return Block(np.zeros(n, np.uint8), None)


def test_default_is_a_share_of_memory() -> None:
    assert 2**27 < memory_bytes() < 2**50


def test_least_recently_used_go_first() -> None:
    lru: Lru[str, int] = Lru(3)
    for key in "abc":
        lru.put(key, ord(key))
    assert lru.get("a") == ord("a")
    lru.put("d", 1)
    assert [lru.get(k) is not None for k in "abcd"] == [True, False, True, True]
    lru.put("a", 5, cost=2)
    assert (lru.cost, lru.get("a"), lru.get("c")) == (3, 5, None)
    lru.put("huge", 9, cost=4)
    assert lru.get("huge") is None
    lru.clear()
    assert (lru.cost, lru.get("a")) == (0, None)


def test_decodes_only_what_nobody_has() -> None:
    cache = BlockCache(10_000)
    asked: list[list[int]] = []

    def decode(positions: list[int]) -> list[Block]:
        asked.append(positions)
        return [block() for _ in positions]

    first = cache.get(["a", "b"], decode)
    again = cache.get(["c", "b", "a"], decode)
    assert asked == [[0, 1], [0]]
    assert again[1] is first[1]
    assert again[2] is first[0]
    assert cache.decoded == 3


def test_threads_wait_for_the_one_that_decodes() -> None:
    cache = BlockCache(0)  # nothing is kept: only the table of those in flight is at work
    start = threading.Barrier(8)
    lock, running, calls = threading.Lock(), 0, 0

    def decode(positions: list[int]) -> list[Block]:
        nonlocal running, calls
        with lock:
            running, calls = running + 1, calls + 1
            assert running == 1
        time.sleep(0.2)
        with lock:
            running -= 1
        return [block() for _ in positions]

    def ask(_: int) -> Block:
        start.wait()
        return cache.get(["key"], decode)[0]

    with ThreadPoolExecutor(8) as threads:
        assert len({id(b) for b in threads.map(ask, range(8))}) == 1
    assert calls == 1


def test_errors_reach_all_who_wait_and_are_not_kept() -> None:
    cache, start = BlockCache(1000), threading.Barrier(4)
    broken = True

    def decode(positions: list[int]) -> list[Block]:
        time.sleep(0.1)
        if broken:
            raise OSError("broken")
        return [block() for _ in positions]

    def ask(_: int) -> str:
        start.wait()
        with pytest.raises(OSError, match="broken") as caught:
            cache.get(["key"], decode)
        return str(caught.value)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(4))) == ["broken"] * 4
    broken = False
    assert cache.get(["key"], decode)[0].values is not None
    assert cache.decoded == 1


def test_overlapping_requests_never_wait_in_a_circle() -> None:
    cache = BlockCache(100_000)

    def ask(n: int) -> int:
        keys = [(n + k) % 7 for k in range(4)]
        return len(cache.get(keys if n % 2 else keys[::-1], lambda p: [time.sleep(0.001) or block() for _ in p]))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(200), timeout=30)) == [4] * 200
    assert cache.decoded == 7
