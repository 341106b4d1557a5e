"""Many tiles at once at a real server: equal ones are computed once, unwanted ones never, and layers take turns."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

Graph = dict[str, Any]
Z, X, Y = 17, 73599, 47044  # over the series, and more to the east
CORES = 64  # more tiles than any machine of ours computes at once


@pytest.fixture
def slow(one_band: Callable[..., Graph]) -> Callable[[float], Graph]:
    """A plain chain of some hundred steps; of each number another one."""

    def make(number: float) -> Graph:
        graph = one_band("sentinel2-series", "B04", "2020-08-01", "2020-09-01")
        del graph["band"]["result"]
        below = "band"
        for i in range(150):
            x = {"from_parameter": "x"}
            callback = {
                "add": {"process_id": "add", "arguments": {"x": x, "y": number}},
                "root": {"process_id": "power", "arguments": {"base": {"from_node": "add"}, "p": 0.9}, "result": True},
            }
            arguments = {"data": {"from_node": below}, "process": {"process_graph": callback}}
            graph[f"step{i}"] = {"process_id": "apply", "arguments": arguments}
            below = f"step{i}"
        graph[below]["result"] = True
        return graph

    return make


@pytest.fixture
def http(own_data: Path, start_server: Callable[..., AbstractContextManager[str]], asker: Any) -> Iterator[Any]:
    """Somebody at a server of its own."""
    with start_server(own_data) as url, asker(url) as client:
        yield client


def _metric(http: Any, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


class Askers:
    """Connections that have asked for tiles, and do not wait to be answered."""

    def __init__(self, http: Any) -> None:
        self.place = urlsplit(str(http.base_url))
        self.sockets: list[socket.socket] = []

    def ask(self, path: str) -> None:
        """Ask, and stay."""
        made = socket.create_connection((self.place.hostname, self.place.port), timeout=20)
        made.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.place.netloc}\r\n\r\n".encode())
        self.sockets.append(made)

    def hang_up(self) -> None:
        """All of them."""
        for made in self.sockets:
            made.close()


@pytest.mark.slow
def test_a_function_runs_once_for_all_who_ask_for_the_same_tile(http: Any, function: Callable[..., Graph]) -> None:
    key = http.keep(function("import time\ndef f(img):\n    print('runs')\n    time.sleep(0.5)\n    return img[0]\n"))
    before = len(http.get(f"/logs/{key}").json()["lines"])  # its trial
    with ThreadPoolExecutor(8) as threads:
        tiles = list(threads.map(lambda _: http.tile(key, Z, X, Y), range(8)))
    for tile in tiles[1:]:
        np.testing.assert_array_equal(tile, tiles[0])
    assert len(http.get(f"/logs/{key}").json()["lines"]) == before + 1
    assert _metric(http, "earthloom_tiles_joined_total") == 7


@pytest.mark.slow
def test_tiles_nobody_waits_for_are_dropped(http: Any, slow: Callable[[float], Graph]) -> None:
    key = http.keep(slow(0.1))
    http.tile(key, Z, X, Y)
    started = time.monotonic()
    http.tile(key, Z, X, Y)
    alone = time.monotonic() - started
    askers = Askers(http)
    for i in range(CORES + 40):
        askers.ask(f"/tiles/{key}/{Z}/{X + i % 16}/{Y + i // 16}.npy")
    _until(lambda: _metric(http, "earthloom_tiles_waiting") > 40)
    askers.hang_up()
    started = time.monotonic()
    http.tile(key, Z, X + 20, Y)
    assert time.monotonic() - started < max(20 * alone, 1)
    _until(lambda: _metric(http, "earthloom_tiles_waiting") == 0)
    gone = _metric(http, 'earthloom_tiles_total{outcome="gone"}')
    assert gone > 30
    drawn = _metric(http, 'earthloom_tiles_total{outcome="drawn"}')
    assert gone + drawn == CORES + 40 + 3


@pytest.mark.slow
def test_a_slow_layer_does_not_starve_a_quick_one(
    http: Any, slow: Callable[[float], Graph], one_band: Callable[..., Graph]
) -> None:
    late, quick = http.keep(slow(0.2)), http.keep(one_band("sentinel2-series", "B04", "2020-08-01", "2020-09-01"))
    http.tile(quick, Z, X, Y)
    started = time.monotonic()
    http.tile(late, Z, X, Y)
    alone = time.monotonic() - started
    askers = Askers(http)
    for i in range(CORES + 100):
        askers.ask(f"/tiles/{late}/{Z}/{X + i % 16}/{Y + i // 16}.npy")
    _until(lambda: _metric(http, "earthloom_tiles_waiting") > 80)
    waits = []
    for i in range(4):
        started = time.monotonic()
        http.tile(quick, Z, X + i, Y)
        waits.append(time.monotonic() - started)
    left = _metric(http, "earthloom_tiles_waiting")
    askers.hang_up()
    assert left > 40, "the slow ones were through before: nothing is shown"
    assert sorted(waits)[1] < 10 * alone


@pytest.mark.slow
def test_who_asks_for_too_much_is_told_to_come_again(
    own_data: Path, start_server: Callable[..., AbstractContextManager[str]], asker: Any, slow: Callable[[float], Graph]
) -> None:
    told = []

    def ask(i: int) -> int:
        while True:
            answer = client.get(f"/tiles/{key}/{Z}/{X + i % 16}/{Y + i // 16}.npy")
            if answer.status_code != 503:
                return int(answer.status_code)
            told.append((answer.json()["code"], int(answer.headers["retry-after"])))
            time.sleep(told[-1][1])  # as the map does

    with start_server(own_data, "--queue", "4") as url, asker(url) as client, ThreadPoolExecutor(CORES + 20) as threads:
        key = client.keep(slow(0.3))
        assert list(threads.map(ask, range(CORES + 20))) == [200] * (CORES + 20)
        assert _metric(client, 'earthloom_tiles_total{outcome="busy"}') == len(told) > 0
    assert {code for code, _ in told} == {"busy"}
    assert all(after > 0 for _, after in told)
