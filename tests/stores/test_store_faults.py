"""Stores that are away, slow or killed: the answer says so, without the password, and all heals by itself."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from earthloom.base.errors import Unavailable
from earthloom.stores.open import open_store
from earthloom.stores.protocol import Store
from earthloom.testing.stores import GRAPH

pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize("kind", ["redis", "postgres"])
PASSWORD = "gehe1m"


@pytest.fixture
def remote(kind: str, request: pytest.FixtureRequest) -> Any:
    server = request.getfixturevalue(f"{kind}_server")
    server.empty()
    return server


@pytest.fixture
def store(remote: Any, tmp_path: Path) -> Iterator[Store]:
    store = open_store(remote.url, tmp_path)
    yield store
    store.close()


def refused(store: Store, name: str) -> float:
    """Each call says that the store is away, and not the password; the longest time that one took [s]."""
    longest = 0.0
    calls: list[Callable[[], object]] = [
        lambda: store.get("k"),
        lambda: store.put("k", GRAPH),
        lambda: store.touch("k"),
        lambda: list(store.records()),
    ]
    for call in calls:
        start = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer") as caught:
            call()
        longest = max(longest, time.monotonic() - start)
        assert caught.value.where == {"store": name}
        assert name in str(caught.value)
        assert PASSWORD not in str(caught.value) + repr(caught.value.to_dict())
        assert caught.value.__cause__ is None
    return longest


@BOTH
def test_a_store_that_is_killed_heals_when_it_comes_back(remote: Any, store: Store) -> None:
    store.put("k", GRAPH)
    remote.kill()
    try:
        assert refused(store, remote.name) < 3
    finally:
        remote.start()
    assert store.get("k") == GRAPH
    store.put("other", GRAPH)
    assert len(list(store.records())) == 2


@BOTH
def test_a_restart_between_two_calls_is_not_seen(remote: Any, store: Store) -> None:
    store.put("k", GRAPH)
    remote.kill()
    remote.start()
    assert store.get("k") == GRAPH


@BOTH
def test_a_store_that_is_slow_does_not_hold_its_callers(remote: Any, store: Store) -> None:
    store.put("k", GRAPH)
    remote.signal(signal.SIGSTOP)
    try:
        assert refused(store, remote.name) < 8
    finally:
        remote.signal(signal.SIGCONT)
    assert store.get("k") == GRAPH


@BOTH
def test_many_threads_get_their_answer_from_a_slow_store(remote: Any, store: Store) -> None:
    store.put("k", GRAPH)
    answers: list[str] = []

    def ask() -> None:
        try:
            store.get("k")
            answers.append("ok")
        except Unavailable:
            answers.append("unavailable")

    remote.signal(signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert time.monotonic() - start < 15
    finally:
        remote.signal(signal.SIGCONT)
    assert answers == ["unavailable"] * 8
    assert store.get("k") == GRAPH


@BOTH
def test_a_store_that_is_away_at_the_start_is_told_and_heals(remote: Any, tmp_path: Path, caplog: Any) -> None:
    remote.kill()
    try:
        with caplog.at_level(logging.WARNING, "earthloom"):
            store = open_store(remote.url, tmp_path)
            store.check()
        assert remote.name in caplog.text
        assert PASSWORD not in caplog.text
    finally:
        remote.start()
    store.put("k", GRAPH)
    assert store.get("k") == GRAPH
    store.close()


def chain(n: int) -> dict[str, Any]:
    """A chain, each with a key of its own."""
    whole = {"id": "elevation", "spatial_extent": None, "temporal_extent": None}
    nodes = {
        "load": {"process_id": "load_collection", "arguments": whole},
        "mosaic": {"process_id": "mosaic", "arguments": {"data": {"from_node": "load"}}},
        "slope": {"process_id": "slope", "arguments": {"data": {"from_node": "mosaic"}, "z_factor": 1 + n / 4}},
        "colour": {"process_id": "color", "arguments": {"data": {"from_node": "slope"}}, "result": True},
    }
    return {"process_graph": nodes}


@BOTH
def test_kill_9_under_requests_loses_nothing(
    remote: Any, own_data: Path, start_server: Callable[..., AbstractContextManager[str]], monkeypatch: Any
) -> None:
    monkeypatch.setenv("EARTHLOOM_STORE", remote.url)
    kept: dict[int, str] = {}
    refusals: list[httpx.Response] = []
    stop = threading.Event()

    def post(first: int, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            n = first
            while not stop.is_set():
                answer = client.post("/chains", json=chain(n))
                if answer.status_code == 201:
                    kept[n] = answer.json()["key"]
                    n += 4
                else:
                    refusals.append(answer)
                    time.sleep(0.05)

    with start_server(own_data) as url:
        threads = [threading.Thread(target=post, args=(i, url)) for i in range(4)]
        for thread in threads:
            thread.start()
        try:
            _wait(lambda: len(kept) > 20 or bool(refusals))
            assert not refusals, refusals[0].text
            remote.kill()
            _wait(lambda: len(refusals) > 3)
            before = len(kept)
            remote.start()
            _wait(lambda: len(kept) > before + 20)
        finally:
            stop.set()
            for thread in threads:
                thread.join(40)
        for answer in refusals:
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert remote.name in answer.json()["message"]
            assert PASSWORD not in answer.text
            assert int(answer.headers["Retry-After"]) >= 1
    assert len(set(kept.values())) == len(kept)
    assert PASSWORD not in (own_data / "server.log").read_text()
    # All that was acknowledged is there after a restart of everything.
    remote.kill()
    remote.start()
    with start_server(own_data) as url, httpx.Client(base_url=url, timeout=30) as client:
        answers = {n: client.get(f"/chains/{key}") for n, key in kept.items()}
    assert [n for n, answer in answers.items() if answer.status_code != 200] == []
    assert all(answer.json()["process_graph"] == chain(n)["process_graph"] for n, answer in answers.items())


def test_tiles_of_a_known_chain_go_on_without_the_store(
    redis_server: Any, own_data: Path, start_server: Callable[..., AbstractContextManager[str]]
) -> None:
    redis_server.empty()
    options = ("--store", redis_server.url)
    with start_server(own_data, *options) as url, httpx.Client(base_url=url, timeout=30) as client:
        tile = client.post("/chains", json=chain(1)).json()["tiles"].format(z=0, x=0, y=0)
        first = client.get(tile)
        assert first.status_code == 200
        redis_server.kill()
        try:
            assert client.get(tile).content == first.content
            unknown = client.get(f"/chains/{'0' * 32}")
            assert (unknown.status_code, unknown.json()["code"]) == (503, "unavailable")
        finally:
            redis_server.start()
        assert client.get(f"/chains/{'0' * 32}").status_code == 404


def test_two_engines_over_one_redis_answer_the_same_keys(
    redis_server: Any, own_data: Path, start_server: Callable[..., AbstractContextManager[str]]
) -> None:
    redis_server.empty()
    options = ("--store", redis_server.url)
    with start_server(own_data, *options) as one, start_server(own_data, *options) as two:
        key = httpx.post(f"{one}/chains", json=chain(1), timeout=30).json()["key"]
        tiles = [httpx.get(f"{url}/tiles/{key}/0/0/0.png", timeout=30) for url in (one, two)]
        assert [t.status_code for t in tiles] == [200, 200]
        assert tiles[0].content == tiles[1].content


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)
