"""Every hostile behaviour, in six environments: nothing is harmed, nobody else is hurt, the server is as it was."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("the fences are Linux's", allow_module_level=True)

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent
TIMEOUT_S = 120


def module(name: str) -> ModuleType:
    """A module beside this file, which programs of this folder import too."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


ALL: dict[str, tuple[int, str, str]] = module("environments").ENVIRONMENTS
ENVIRONMENTS = [name for name in ALL if name != "container-closed"]
Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Lines]]]:
    """What the servers print, two at a time, of all environments for which tests were chosen."""
    chosen = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {call.params["environment"] for call in chosen if call is not None and "environment" in call.params}
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run, name) for name in ENVIRONMENTS if name in wanted}


@pytest.fixture
def lines(runs: dict[str, Future[Lines]], environment: str) -> Lines:
    """What the server of an environment printed; skipped where it cannot be had."""
    found = runs[environment].result(6 * TIMEOUT_S)
    lacking = found[0].get("lacking", "")
    if lacking:
        if os.environ.get("EARTHLOOM_TEST_REQUIRE") == "all" and "installed" in lacking:
            pytest.fail(lacking)
        pytest.skip(lacking)
    return found


def run(environment: str, *names: str) -> Lines:
    command = [sys.executable, str(FOLDER / "hostile.py"), environment, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        found.append({"name": "the server itself", "came": done.stderr, "wrong": "it failed"})
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_level(environment: str, lines: Lines) -> None:
    first = lines[0]
    user, _, level = ALL[environment]
    fences = {name: ok for name, ok, _, _ in first["fences"]}
    reasons = "; ".join(reason for _, ok, reason, _ in first["fences"] if not ok)
    if first["level"] != level and "did harm" not in reasons:
        pytest.skip(f"this machine gives only the level {first['level']}: {reasons}")
    assert first["level"] == level, first
    assert fences["system calls"]
    assert fences["Landlock"] == (level != "minimal")
    assert fences["namespaces"] == (level == "full")
    assert fences["a user for each worker"] == (user == 0)
    for name, ok, reason, remedy in first["fences"]:
        assert ok or (reason and remedy), name


def test_an_interpreter_in_a_closed_home() -> None:
    """As root in a container workers keep the user of the server, who alone can read the libraries; all else holds."""
    if os.geteuid() != 0 or all(p.stat().st_mode & 0o001 for p in Path(os.__file__).resolve().parents):
        pytest.skip("the interpreter is open to all users")
    names = ["2 read_file_of_another_tenant", "9 read_process_files", "17 kill_others", "23 change_own_rights"]
    first, *found, end = run("container-closed", *names)
    if "lacking" in first:
        pytest.skip(first["lacking"])
    assert first["level"] == "container"
    assert ["closed to other users" in reason for name, _, reason, _ in first["fences"] if "user" in name] == [True]
    assert [(line["name"], line["wrong"]) for line in found] == [(name, "") for name in names]
    assert end["wrong"] == ""


@pytest.mark.parametrize("number", range(1, 52))
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_behaviour(lines: Lines, number: int) -> None:
    found = [line for line in lines[1:] if line["name"].split()[0] == str(number)]
    assert found, "the server ended before"
    assert {line["name"]: (line["wrong"], line["came"]) for line in found if line["wrong"]} == {}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_server_lived_on_and_closed_everything(lines: Lines) -> None:
    assert lines[-1] == {"name": "the end", "came": "0 more files, children []", "wrong": ""}
