"""How well users' functions are isolated: what server and doctor tell, and what is refused where it is not enough."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earthloom.server.tokens import Tokens

pytestmark = pytest.mark.slow

Graph = dict[str, Any]
Start = Callable[..., AbstractContextManager[str]]
Z, X, Y = 17, 73599, 47044  # over the series, and three more to the east


@pytest.fixture(scope="module")
def http(server: str, asker: Any) -> Iterator[Any]:
    with asker(server) as client:
        yield client


def test_the_isolation_is_told(http: Any) -> None:
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
    own_data: Path, start_server: Start, function: Callable[..., Graph], asker: Any, without: Callable[[Graph], Graph]
) -> None:
    graph = function("def f(img):\n    return img[0]\n")
    with start_server(own_data) as url, asker(url) as http:
        answer = http.post("/chains", json=graph)
        assert (answer.status_code, answer.json()["code"]) == (501, "not-supported")
        assert "bubblewrap" in answer.json()["hint"]
        assert http.tile(http.keep(without(graph)), Z, X, Y).shape == (2, 256, 256)
        sandbox = http.get("/health").json()["sandbox"]
        assert (sandbox["level"], sandbox["required"], sandbox["isolated"]) == (None, "full", False)
        missing = [fence for fence in sandbox["fences"] if not fence["ok"]]
        assert "namespaces" in {fence["name"] for fence in missing}
        assert "bubblewrap" in sandbox["refusal"]
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
    assert 'refused here. This server does not run users\' functions: the isolation "full"' in " ".join(
        done.stdout.split()
    )
    assert "namespaces" in done.stdout
    assert "missing" in done.stdout
    assert "bubblewrap" in done.stdout


def test_the_doctor_names_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHLOOM_SANDBOX_LIBRARIES", "numpy,nowhere-to-be-found")
    done = _doctor()
    assert (done.returncode, done.stderr) == (1, "")
    assert "nowhere-to-be-found" in done.stdout


def test_a_server_for_others_is_not_started_without_isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHLOOM_SANDBOX_REQUIRE", "none")
    Tokens(tmp_path).add("anna")
    for options in ([], ["--host", "0.0.0.0"]):
        command = [sys.executable, "-m", "earthloom", "serve", "--port", "0", "--data", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert 'cannot be "none"' in done.stderr
        assert "Traceback" not in done.stderr


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
