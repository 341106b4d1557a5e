"""Users' functions over HTTP: values, mistakes, logs, tenants, and what is told of the isolation."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from earthloom.server.tokens import Tokens

Graph = dict[str, Any]
Start = Callable[..., AbstractContextManager[str]]
Z, X, Y = 17, 73599, 47044  # over the series, and three more to the east


@pytest.fixture(scope="module")
def http(server: str) -> Iterator[httpx.Client]:
    with _client(server) as client:
        yield client


@pytest.fixture
def function(series: Callable[..., Graph]) -> Callable[..., Graph]:
    """The mosaic of two bands, and a user's function of it; `context` as a client writes it."""

    def make(source: str, name: str = "f", **context: object) -> Graph:
        graph = series("sentinel2-series", ["B04", "B08"], "2020-08-01", "2020-09-01")
        del graph["load"]["result"]
        graph["mosaic"] = {"process_id": "mosaic", "arguments": {"data": {"from_node": "load"}}}
        arguments = {
            "data": {"from_node": "mosaic"},
            "udf": textwrap.dedent(source),
            "runtime": "Python",
            "context": {"function": name, **context},
        }
        graph["run"] = {"process_id": "run_udf", "arguments": arguments, "result": True}
        return graph

    return make


def _client(url: str, token: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else None
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60)


def _post(http: httpx.Client, graph: Graph) -> str:
    answer = http.post("/chains", json=graph)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def _values(answer: httpx.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    values: np.ndarray[Any, Any] = np.load(io.BytesIO(answer.content), allow_pickle=False)
    return values


def _tile(http: httpx.Client, key: str, x: int = X, y: int = Y) -> np.ndarray[Any, Any]:
    return _values(http.get(f"/tiles/{key}/{Z}/{x}/{y}.npy"))


def _input(graph: Graph) -> Graph:
    """The same chain without its function."""
    plain = {name: dict(node) for name, node in graph.items() if name != "run"}
    plain["mosaic"]["result"] = True
    return plain


def test_a_function_gives_what_numpy_gives(http: httpx.Client, function: Callable[..., Graph]) -> None:
    graph = function(
        """
        def f(img, gain):
            return (img[1] - img[0]) / (img[1] + img[0]) * gain
        """,
        arguments={"gain": 2},
    )
    answer = http.post("/chains", json=graph).json()
    assert (answer["dims"], answer["bands"], answer["warnings"]) == (["y", "x"], None, [])
    red, near = _tile(http, _post(http, _input(graph)))
    assert np.isfinite(red).any()
    np.testing.assert_array_equal(_tile(http, answer["key"]), (near - red) / (near + red) * 2)


def test_a_mistake_is_told_where_the_chain_is_posted(http: httpx.Client, function: Callable[..., Graph]) -> None:
    answer = http.post("/chains", json=function("def f(img):\n    limit = 0\n    return img / [][limit]\n"))
    assert (answer.status_code, answer.json()["code"]) == (422, "function-failed")
    where = answer.json()["where"]
    assert (where["node"], where["function"], where["line"]) == ("run", "f", 3)
    assert "IndexError" in answer.json()["message"]
    assert "return img / [][limit]" in where["traceback"]
    for ours in ("earthloom", "site-packages", str(Path(__file__).parents[2]), "sandbox"):
        assert ours not in answer.text


@pytest.mark.parametrize(
    ("source", "status", "code", "word"),
    [
        ("def f(img) return img", 422, "function-failed", "not Python"),
        ("f = 3", 422, "function-failed", '"f"'),
        ("def f(img):\n    return img[0, :5]", 422, "function-failed", "shape"),
        ("import requests\ndef f(img):\n    return img", 422, "function-failed", "requests"),
        ("#" * (65 << 10) + "\ndef f(img):\n    return img", 413, "too-large", "source"),
    ],
)
def test_what_is_no_function(
    http: httpx.Client, function: Callable[..., Graph], source: str, status: int, code: str, word: str
) -> None:
    answer = http.post("/chains", json=function(source))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert word in answer.json()["message"]


def test_what_a_function_is_given(http: httpx.Client, function: Callable[..., Graph]) -> None:
    graph = function("def f(img):\n    raise ValueError", margin=2)  # it fails, and does not run
    asked = {"process_graph": graph, "lon": 22.152, "lat": 45.205, "zoom": Z}
    answer = http.post("/udf/input", json=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-npz")
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as archive:
        values, mask, header = archive["values"], archive["mask"], json.loads(str(archive["header"]))
    assert (values.shape, mask.shape, header["dims"]) == ((2, 516, 516), (2, 516, 516), ["bands", "y", "x"])
    grid = header["grid"]
    assert (grid["width"], grid["height"], header["zoom"]) == (512, 512, Z)
    x, y = grid["col"] // 256, grid["row"] // 256
    key = _post(http, _input(graph))
    whole = np.block([[_tile(http, key, x + i, y + j) for i in (0, 1)] for j in (0, 1)])
    np.testing.assert_array_equal(values[:, 2:-2, 2:-2], whole)
    np.testing.assert_array_equal(mask, np.isfinite(values))
    # The place is in the middle half of the window, so that there are neighbours on each side of it.
    pixel = (22.152 + 180) / 360 * 256 * 2**Z
    assert 128 <= pixel - grid["col"] < 384


@pytest.mark.parametrize(
    ("changed", "argument"),
    [
        ({"lon": None}, "lon"),
        ({"lat": 91}, "lat"),
        ({"zoom": 1.5}, "zoom"),
        ({"zoom": True}, "zoom"),
        ({"tiles": 3}, "tiles"),
    ],
)
def test_places_that_are_none(
    http: httpx.Client, function: Callable[..., Graph], changed: Graph, argument: str
) -> None:
    asked = {"process_graph": function("def f(img):\n    return img"), "lon": 22, "lat": 45, "zoom": Z} | changed
    answer = http.post("/udf/input", json=asked)
    assert (answer.status_code, answer.json()["where"]) == (400, {"argument": argument})


def test_tenants_share_neither_state_nor_logs(
    own_data: Path, start_server: Start, function: Callable[..., Graph]
) -> None:
    graph = function(
        """
        count = 0
        def f(img):
            global count
            count += 1
            print("call", count)
            return img[0] * 0 + count
        """,
        mask="own",
    )
    anna, ben = (Tokens(own_data).add(name) for name in ("anna", "ben"))
    with start_server(own_data) as url, _client(url, anna) as one, _client(url, ben) as two, _client(url) as local:
        key = _post(one, graph)
        counts = [np.nanmax(_tile(one, key)) for _ in range(4)]
        assert counts == sorted(set(counts))  # her worker remembers
        assert np.nanmax(_tile(two, key)) == 1
        assert np.nanmax(_tile(local, key)) == 1
        lines = one.get(f"/logs/{key}").json()["lines"]
        assert [line["text"] for line in lines] == [f"call {i}" for i in range(1, int(counts[-1]) + 1)]
        assert {line["stream"] for line in lines} == {"stdout"}
        assert lines[-1]["place"] == f"{Z}/{X}/{Y}"
        assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
        assert [line["text"] for line in two.get(f"/logs/{key}").json()["lines"]] == ["call 1"]
        assert two.get(f"/logs/{'0' * 32}").status_code == 404


@pytest.mark.slow
def test_who_waits_too_long_is_told_when_to_come_back(
    own_data: Path, start_server: Start, function: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHLOOM_SANDBOX_WAIT_S", "0.1")
    monkeypatch.setenv("EARTHLOOM_SANDBOX_RUNNING", "1")
    graph = function("import time\ndef f(img):\n    time.sleep(0.8)\n    return img[0]\n")
    with start_server(own_data) as url, _client(url) as http:
        key = _post(http, graph)
        paths = [f"/tiles/{key}/{Z}/{X + i}/{Y}.npy" for i in range(3)]
        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(http.get, paths))
        assert sorted({answer.status_code for answer in answers}) == [200, 503]
        late = next(answer for answer in answers if answer.status_code == 503)
        assert late.json()["code"] == "busy"
        assert late.headers["retry-after"] == str(late.json()["where"]["retry_after"])


def test_what_is_counted(http: httpx.Client, function: Callable[..., Graph]) -> None:
    def read() -> dict[tuple[str, ...], float]:
        answer = http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        families = text_string_to_metric_families(answer.text)
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    key = _post(http, function("def f(img):\n    return img[0] + 1\n"))
    before = read()
    _tile(http, key)
    _tile(http, key)
    http.get(f"/tiles/{key}/{Z}/{X}/{Y}.npy", headers={"If-None-Match": "*"})
    http.get(f"/tiles/{'0' * 32}/{Z}/{X}/{Y}.png")
    after = read()

    def more(*name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more("earthloom_tiles_total", "drawn") == 2
    assert more("earthloom_tiles_total", "known") == 1
    assert more("earthloom_tiles_total", "not-found") == 1
    assert more("earthloom_tile_seconds_count", "yes") == 3
    assert more("earthloom_sandbox_calls_total") == 2
    assert after["earthloom_sandbox_workers",] >= 1
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "user-code.md").read_text()
    shown = {re.sub("_(count|sum|bucket|created)$", "", name) for name, *_ in after} - {"earthloom_tiles"}
    assert shown == set(re.findall(r"`(earthloom_\w+)`", page))


def test_a_tile_that_failed_just_now_is_not_tried_again(http: httpx.Client, function: Callable[..., Graph]) -> None:
    graph = _harmless(function("def f(img):\n    print('ran')\n    raise ValueError('no')\n"))
    key = _post(http, graph)
    first, second, other = (http.get(f"/tiles/{key}/{Z}/{x}/{Y}.npy") for x in (X, X, X + 1))
    assert first.json() == second.json()
    assert (first.status_code, second.status_code, other.status_code) == (422, 422, 422)
    assert [line["text"] for line in http.get(f"/logs/{key}").json()["lines"]].count("ran") == 2
    time.sleep(2.1)
    assert http.get(f"/tiles/{key}/{Z}/{X}/{Y}.npy").status_code == 422
    assert [line["text"] for line in http.get(f"/logs/{key}").json()["lines"]].count("ran") == 3


# the isolation


def test_the_isolation_is_told(http: httpx.Client) -> None:
    for _ in range(100):
        sandbox = http.get("/health").json()["sandbox"]
        if sandbox["ready"]:
            break
        time.sleep(0.1)
    assert sandbox["required"] == "minimal"
    assert sandbox["level"] in ("full", "container", "minimal")
    assert sandbox["isolated"] is True
    assert {fence["name"] for fence in sandbox["fences"]} >= {"system calls", "Landlock", "namespaces"}
    assert all(fence["ok"] or (fence["reason"] and fence["remedy"]) for fence in sandbox["fences"])
    assert set(sandbox["libraries"]) == {"numpy", "scipy", "numba", "scikit-image"}
    document = http.get("/").json()
    assert (document["title"], document["sandbox"]) == ("Earthloom", sandbox)
    routes = {entry["path"]: entry["methods"] for entry in document["endpoints"]}
    assert routes["/tiles/{key}/{z}/{x}/{y}"] == ["GET"]
    assert routes["/udf/input"] == ["POST"]
    python = http.get("/udf_runtimes").json()["Python"]
    assert python["type"] == "language"
    assert python["default"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert python["versions"][python["default"]]["libraries"]["numpy"] == {"version": np.__version__}
    assert sandbox["level"] in python["description"]


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without bubblewrap, of which namespaces are asked."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("EARTHLOOM_SANDBOX_REQUIRE", "full")


@pytest.mark.usefixtures("no_bubblewrap")
def test_below_the_required_level_functions_are_refused_and_the_rest_works(
    own_data: Path, start_server: Start, function: Callable[..., Graph]
) -> None:
    graph = function("def f(img):\n    return img[0]\n")
    with start_server(own_data) as url, _client(url) as http:
        answer = http.post("/chains", json=graph)
        assert (answer.status_code, answer.json()["code"]) == (501, "not-supported")
        assert "bubblewrap" in answer.json()["hint"]
        assert _tile(http, _post(http, _input(graph))).shape == (2, 256, 256)
        sandbox = http.get("/health").json()["sandbox"]
        assert (sandbox["level"], sandbox["required"], sandbox["isolated"]) == (None, "full", False)
        missing = [fence for fence in sandbox["fences"] if not fence["ok"]]
        assert "namespaces" in {fence["name"] for fence in missing}
        assert http.get("/udf_runtimes").json() == {}
    log = " ".join((own_data / "server.log").read_text().split())
    assert "Functions of users are refused" in log
    assert "Fence missing: namespaces" in log


def _doctor(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "earthloom", "doctor", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"COLUMNS": "120"},
    )


def test_the_doctor_tries_this_machine() -> None:
    done = _doctor()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Users' functions run at the level" in done.stdout
    assert f"numpy {np.__version__}" in done.stdout


@pytest.mark.usefixtures("no_bubblewrap")
def test_the_doctor_says_what_helps() -> None:
    done = _doctor()
    assert (done.returncode, done.stderr) == (1, "")
    assert "refused here: the level full is required" in done.stdout
    assert "namespaces" in done.stdout
    assert "missing" in done.stdout
    assert "bubblewrap" in done.stdout


def test_a_server_for_others_is_not_started_without_isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHLOOM_SANDBOX_REQUIRE", "none")
    Tokens(tmp_path).add("anna")
    for options in ([], ["--host", "0.0.0.0"]):
        command = [sys.executable, "-m", "earthloom", "serve", "--port", "0", "--data", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert 'cannot be "none"' in done.stderr
        assert "Traceback" not in done.stderr


# many at once

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


def _harmless(graph: Graph) -> Graph:
    """A chain that passes its trial when posted: what it does, it does later."""
    source = graph["run"]["arguments"]["udf"]
    lazy = "seen = 0\n" + source.replace("def f(img):\n", "def f(img):\n    if armed():\n        return img[0]\n")
    graph["run"]["arguments"]["udf"] = lazy + "\ndef armed():\n    global seen\n    seen += 1\n    return seen == 1\n"
    return graph


@pytest.mark.slow
def test_hostile_functions_take_nothing_from_others(
    own_data: Path, start_server: Start, function: Callable[..., Graph], many: dict[str, str]
) -> None:
    good = function("def f(img):\n    return img[0] * 2\n")
    stop = threading.Event()

    def attack(url: str, name: str) -> int:
        with _client(url, many[name]) as http:
            key = _post(http, _harmless(function(HOSTILE[name])))
            count = 0
            while not stop.is_set():
                with ThreadPoolExecutor(4) as threads:
                    paths = [f"/tiles/{key}/{Z}/{X + i}/{Y}.npy" for i in range(4)]
                    answers = list(threads.map(http.get, paths))
                assert [a.text for a in answers if a.status_code not in (200, 422, 503)] == []
                count += sum(answer.status_code == 422 for answer in answers)
            return count

    with start_server(own_data) as url, _client(url) as local, ThreadPoolExecutor(12) as threads:
        plain = _post(local, _input(good))
        expected = _tile(local, plain)[0] * 2
        # The worst comes first.
        attacks = [threads.submit(attack, url, name) for name in HOSTILE]
        time.sleep(1)

        def work(name: str) -> None:
            with _client(url, many[name]) as http:
                key = _post(http, good)
                for _ in range(10):
                    np.testing.assert_array_equal(_tile(http, key), expected)

        def look() -> float:
            started = time.monotonic()
            _tile(local, plain)
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
    own_data: Path, start_server: Start, function: Callable[..., Graph]
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
        clients = {name: _client(url, token) for name, token in people.items()}
        local = clients[names[0]]
        key = _post(local, graph)
        expected = {i: _tile(local, _post(local, _input(graph)), X + i)[0] * 2 for i in range(4)}
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
        np.testing.assert_array_equal(_values(answer), expected[x])


_WITHOUT_FENCES = """
import ctypes, json, sys

library = ctypes.CDLL(sys.argv[1])
library.seccomp_init.restype = ctypes.c_void_p
library.seccomp_load.argtypes = [ctypes.c_void_p]
add = library.seccomp_rule_add_array
add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
filter = library.seccomp_init(0x7FFF0000)  # allow all but the call that makes filters: ENOSYS
assert add(filter, 0x00050000 | 38, library.seccomp_syscall_resolve_name(b"seccomp"), 0, None) == 0
assert library.seccomp_load(filter) == 0

import earthloom as el

connected = el.connect()
answer = connected.register(json.loads(sys.argv[2]))
tile = connected.tile(answer["key"], *map(int, sys.argv[3:]))
print(json.dumps([answer["warnings"], connected.health()["sandbox"], float(tile[128, 128])]))
"""


def test_where_there_are_no_fences_a_notebook_s_own_engine_says_so(
    need: Callable[[str], str], own_data: Path, function: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EARTHLOOM_URL", raising=False)
    monkeypatch.setenv("EARTHLOOM_DATA", str(own_data))
    graph = json.dumps(function("def f(img):\n    return img[0] * 0 + 7\n"))
    arguments = [need("libseccomp2"), graph, *map(str, (Z, X, Y))]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_FENCES, *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    warnings, sandbox, value = json.loads(done.stdout)
    assert any("not isolated" in warning for warning in warnings)
    assert (sandbox["level"], sandbox["isolated"], value) == ("none", False, 7)
