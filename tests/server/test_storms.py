"""Many people at once, some of them hostile, and processes that are killed: nobody loses what another one breaks."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from earthloom.server.tokens import Tokens

Graph = dict[str, Any]
Start = Callable[..., AbstractContextManager[str]]
Z, X, Y = 17, 73599, 47044  # over the series, and three more to the east

HOSTILE = {
    "loops": "def f(img):\n    while True:\n        pass\n",
    "crashes": "import os\ndef f(img):\n    os._exit(1)\n",
    "hoards": "import numpy as np\ndef f(img):\n    return [np.ones(2**27) for _ in range(99)][0]\n",
    "babbles": "def f(img):\n    for _ in range(10**9):\n        print('x' * 1000)\n",
}


@pytest.fixture
def many(own_data: Path) -> dict[str, str]:
    """Tokens of people with a name."""
    tokens = Tokens(own_data)
    return {name: tokens.add(name) for name in [*HOSTILE, *(f"good{i}" for i in range(8))]}


@pytest.mark.slow
def test_hostile_functions_take_nothing_from_others(
    own_data: Path,
    start_server: Start,
    function: Callable[..., Graph],
    many: dict[str, str],
    asker: Any,
    without: Callable[[Graph], Graph],
    tried_once: Callable[[Graph], Graph],
) -> None:
    good = function("def f(img):\n    return img[0] * 2\n")
    stop = threading.Event()

    def attack(url: str, name: str) -> int:
        with asker(url, many[name]) as http:
            key = http.keep(tried_once(function(HOSTILE[name])))
            count = 0
            # Always other tiles: what has just failed would not be run again.
            paths = itertools.cycle(f"/tiles/{key}/{Z + 2}/{4 * X + i % 16}/{4 * Y + i // 16}.npy" for i in range(64))
            while not stop.is_set():
                with ThreadPoolExecutor(4) as threads:
                    answers = list(threads.map(http.get, itertools.islice(paths, 4)))
                assert [a.text for a in answers if a.status_code not in (200, 422, 503)] == []
                count += sum(answer.status_code == 422 for answer in answers)
            return count

    with start_server(own_data) as url, asker(url) as local, ThreadPoolExecutor(12) as threads:
        plain = local.keep(without(good))
        expected = local.tile(plain, Z, X, Y)[0] * 2
        # The worst comes first.
        attacks = [threads.submit(attack, url, name) for name in HOSTILE]
        time.sleep(1)

        def work(name: str) -> None:
            with asker(url, many[name]) as http:
                key = http.keep(good)
                for _ in range(10):
                    np.testing.assert_array_equal(http.tile(key, Z, X, Y), expected)

        def look() -> float:
            started = time.monotonic()
            local.tile(plain, Z, X, Y)
            return time.monotonic() - started

        try:
            works = [threads.submit(work, name) for name in many if name not in HOSTILE]
            waits = []
            while not all(done.done() for done in works):
                waits.append(look())
                time.sleep(0.05)
            for done in works:
                done.result()
        finally:
            stop.set()
        assert all(attack.result() > 0 for attack in attacks)
        assert max(waits) < 2


def _workers(server: int) -> dict[int, int]:
    """Processes that run functions of a server's users, with their parent, the zygote."""
    parents, niceness = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)], niceness[int(folder.name)] = int(fields[1]), int(fields[16])

    def below(pid: int) -> bool:
        while pid > 1 and pid != server:
            pid = parents.get(pid, 0)
        return pid == server

    # They alone made themselves nicer.
    return {pid: parents[pid] for pid in parents if niceness[pid] > niceness.get(server, 0) and below(pid)}


def _server_pid(data: Path) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"--data\0{data}\0".encode() in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError


@pytest.mark.slow
def test_no_tile_is_lost_when_workers_and_their_zygote_are_killed(
    own_data: Path, start_server: Start, function: Callable[..., Graph], asker: Any, without: Callable[[Graph], Graph]
) -> None:
    names = [f"user{i}" for i in range(5)]
    people = {name: Tokens(own_data).add(name) for name in names}
    graph = function("import time\ndef f(img):\n    time.sleep(0.01)\n    return img[0] * 2\n")
    random = np.random.default_rng(1)
    over = threading.Event()
    killed: list[str] = []

    def kill(server: int) -> None:
        """SIGKILL that the server did not send, as the kernel or an operator may: nobody's fault."""
        zygotes = [1.0, 2.0, 3.5]
        started = time.monotonic()
        while not over.wait(0.2):
            workers = _workers(server)
            if not workers:
                continue
            victim, kind = int(random.choice(list(workers))), "worker"
            if zygotes and time.monotonic() - started > zygotes[0]:
                zygotes.pop(0)
                victim, kind = workers[victim], "zygote"
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                killed.append(kind)

    with start_server(own_data) as url, ThreadPoolExecutor(101) as threads:
        clients = {name: asker(url, token) for name, token in people.items()}
        local = clients[names[0]]
        key, plain = local.keep(graph), local.keep(without(graph))
        expected = {i: local.tile(plain, Z, X + i, Y)[0] * 2 for i in range(4)}
        killer = threads.submit(kill, _server_pid(own_data))

        def ask(i: int) -> tuple[int, httpx.Response]:
            x = i % 4
            while True:
                answer = clients[names[i % 5]].get(f"/tiles/{key}/{Z}/{X + x}/{Y}.npy")
                if answer.status_code != 503:
                    return x, answer
                time.sleep(int(answer.headers["retry-after"]))  # as the map does

        answers = []
        try:
            while killed.count("zygote") < 3 or len(answers) < 500:
                answers += threads.map(ask, range(100))
        finally:
            over.set()
        killer.result()
        for client in clients.values():
            client.close()
    assert killed.count("worker") > 10
    assert [answer.text for _, answer in answers if answer.status_code != 200] == []
    for x, answer in answers:
        np.testing.assert_array_equal(asker.values(answer), expected[x])
