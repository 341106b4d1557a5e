"""The commands as a person types them: what they print, refuse and leave behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from earthloom.base.errors import InvalidArgument
from earthloom.cli.serve import address, listen
from earthloom.server.settings import DEFAULT_PORT

COMMAND = [sys.executable, "-m", "earthloom"]


def _run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"COLUMNS": "120"} | env,
    )


def _one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error of a command that the user can mend: one line, no traceback."""
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


def test_version_and_help() -> None:
    assert re.fullmatch(r"earthloom \d+\.\d+\.\d+\n", _run("--version").stdout)
    text = _run("--help").stdout
    for command in ("demo", "serve", "ingest", "doctor", "token"):
        assert command in text


# ingest


def _items(data: Path) -> int:
    with sqlite3.connect(data / "catalogue.sqlite") as database:
        [count] = database.execute("select count(*) from item").fetchone()
    database.close()
    return int(count)


def test_ingest_twice_changes_nothing(pack: Path, tmp_path: Path) -> None:
    done = _run("ingest", pack, "--data", tmp_path)
    assert done.returncode == 0, done.stderr
    first = _items(tmp_path)
    assert re.match(rf"{first} items in \d+ collections: {first} new, 0 replaced, 0 unchanged", done.stdout)
    again = _run("ingest", pack / "catalog.json", "--data", tmp_path)
    assert f"0 new, 0 replaced, {first} unchanged" in again.stdout
    assert _items(tmp_path) == first


def test_ingest_a_folder_takes_dates_from_paths_and_reports_bad_files(pack: Path, tmp_path: Path) -> None:
    folder, data = tmp_path / "images", tmp_path / "data"
    folder.mkdir()
    for date in ("20200506", "20200804"):
        shutil.copy(pack / "sentinel2-series" / f"S2_L2A_retezat_{date}_B04.tif", folder)
    (folder / "bad_20200901_B04.tif").write_bytes(b"not a tiff")
    done = _run("ingest", folder, "--collection", "mine", "--pattern", r"(?P<date>\d{8})", "--data", data)
    assert done.returncode == 0, done.stderr
    assert "2 items in 1 collections: 2 new" in done.stdout
    assert re.search(r"^refused: .*bad_20200901", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["no/such/folder"], "There is no no/such/folder"),
        (["."], "need the id of a collection"),
        ([".", "--collection", "x"], "no GeoTIFF"),
        (["broken.json"], "no JSON"),
        (["other.json"], "no STAC"),
        (["other.json", "--date", "2020"], "--date is for GeoTIFFs"),
        ([".", "--collection", "x", "--pattern", "("], "no regular expression"),
    ],
)
def test_ingest_refuses_in_one_line_and_leaves_nothing(tmp_path: Path, arguments: list[str], reason: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"type": "Topology"}')
    if "--pattern" in arguments:
        (tmp_path / "a.tif").write_bytes(b"")
    done = subprocess.run(
        [*COMMAND, "ingest", *arguments, "--data", "data"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert reason in _one_line(done)
    if (tmp_path / "data" / "catalogue.sqlite").exists():
        assert _items(tmp_path / "data") == 0


# token


def test_a_token_is_printed_once_and_names_are_listed(tmp_path: Path) -> None:
    made = [_run("token", "add", name, "--data", tmp_path) for name in ("anna", "ben")]
    assert all(re.fullmatch(r"[\w-]{43}\n", done.stdout) and not done.stderr for done in made)
    assert made[0].stdout != made[1].stdout
    assert "has a token already" in _one_line(_run("token", "add", "anna", "--data", tmp_path))
    listed = _run("token", "list", "--data", tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["name", "anna", "ben"]
    assert _run("token", "remove", "anna", "--data", tmp_path).returncode == 0
    assert "Near names: ben" in _one_line(_run("token", "remove", "bem", "--data", tmp_path))
    assert "anna" not in _run("token", "list", "--data", tmp_path).stdout
    assert "no name for a token" in _one_line(_run("token", "add", "a b", "--data", tmp_path))


# serve


@contextmanager
def _running(*arguments: str | Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"HEADLESS": "1"},
    )
    watchdog = threading.Timer(150, process.kill)
    watchdog.start()
    try:
        with process:
            yield process
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_serve_prints_its_address_first_and_stops_at_a_signal(tmp_path: Path, signal_name: str) -> None:
    with _running("serve", "--port", "0", "--data", tmp_path / "new" / "data") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"
        assert httpx.get(f"{url}/collections", trust_env=False).json()["collections"] == []
        process.send_signal(getattr(signal, signal_name))
        assert process.stdout.read() == ""
        assert "Traceback" not in process.stderr.read()
        assert process.wait(20) == 0


def test_serve_refuses_a_taken_port_and_a_public_host(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = address(taken).rpartition(":")[2]
        assert f"Port {port} is taken" in _one_line(_run("serve", "--port", port, "--data", tmp_path))
    assert "earthloom token add NAME" in _one_line(_run("serve", "--host", "0.0.0.0", "--data", tmp_path))
    assert "EARTHLOOM_PORT" in _one_line(_run("serve", "--data", tmp_path, EARTHLOOM_PORT="many"))


def test_a_catalogue_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").write_text("not a database at all, but long enough to be read as one" * 20)
    assert "is no catalogue" in _one_line(_run("serve", "--port", "0", "--data", tmp_path))


# demo


@pytest.fixture(scope="module")
def checkout(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own, so that the user's demo folder is left alone: the sources are linked, the pack copied."""
    root = tmp_path_factory.mktemp("demo") / "checkout"
    shutil.copytree(pack, root / "examples" / "demo_pack")
    (root / "examples" / "first.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    (root / "src").symlink_to(Path(__file__).parents[2] / "src")
    return root


@pytest.fixture
def demo(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("PYTHONPATH", str(checkout / "src"))
    return lambda *arguments: _running("demo", *arguments, cwd=checkout)


def _until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ready."):
            return said
    assert process.stderr is not None
    raise AssertionError(said + process.stderr.read())


def _children(pid: int) -> dict[int, str]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def _gone(pid: int) -> bool:
    for _ in range(240):
        if not Path(f"/proc/{pid}").exists():
            return True
        threading.Event().wait(0.05)
    return False


@pytest.mark.slow
def test_demo_builds_once_answers_and_leaves_nothing(demo: Callable[..., Any], checkout: Path) -> None:
    shutil.rmtree(checkout / ".demo", ignore_errors=True)
    for start in ("first", "second"):
        with demo("--no-lab", "--port", "0") as process:
            said = _until_ready(process)
            assert ("Building the catalogue" in said) == (start == "first")
            [url] = re.findall(r"^Engine +(http\S+)$", said, re.MULTILINE)
            [engine] = _children(process.pid)
            ids = {c["id"] for c in httpx.get(f"{url}/collections", trust_env=False).json()["collections"]}
            assert "sentinel2-series" in ids
            assert httpx.get(f"{url}/places", params={"name": "Ispra"}, trust_env=False).status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == "Stopping.\n"
            assert process.stderr.read() == ""
            assert process.wait(30) == 0
        assert not Path(f"/proc/{engine}").exists()
    assert (checkout / ".demo" / "data" / "chains.sqlite").exists()


@pytest.mark.slow
def test_demo_says_when_its_engine_dies(demo: Callable[..., Any]) -> None:
    with demo("--no-lab", "--port", "0") as process:
        _until_ready(process)
        [engine] = _children(process.pid)
        os.kill(engine, signal.SIGKILL)
        assert process.wait(30) == 1
        assert "The engine has stopped (signal SIGKILL)" in process.stderr.read()


@pytest.mark.slow
def test_a_killed_demo_leaves_no_engine(demo: Callable[..., Any]) -> None:
    with demo("--no-lab", "--port", "0") as process:
        _until_ready(process)
        [engine] = _children(process.pid)
        process.kill()
        assert _gone(engine)


@pytest.mark.slow
def test_demo_takes_the_next_port_unless_one_was_named(demo: Callable[..., Any]) -> None:
    try:
        taken = listen("127.0.0.1", DEFAULT_PORT)
    except InvalidArgument:
        pytest.skip(f"port {DEFAULT_PORT} is not free here, so nothing can be said of it")
    with taken:
        taken.listen()
        with demo("--no-lab") as process:
            said = _until_ready(process)
            assert f"Port {DEFAULT_PORT} is taken" in said
            assert not re.search(rf"^Engine .*:{DEFAULT_PORT}$", said, re.MULTILINE)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        with demo("--no-lab", "--port", str(DEFAULT_PORT)) as process:
            assert process.wait(60) == 1
            assert process.stderr.read().startswith(f"Error: Port {DEFAULT_PORT} is taken")


@pytest.mark.slow
def test_demo_with_jupyterlab(demo: Callable[..., Any], checkout: Path) -> None:
    with demo("--port", "0") as process:
        said = _until_ready(process)
        [page] = re.findall(r"^JupyterLab +(http\S+)$", said, re.MULTILINE)
        assert "/lab/tree/first.ipynb?token=" in page
        url, token = page.split("/lab/")[0], page.rpartition("=")[2]
        children = _children(process.pid)
        assert len(children) == 2
        assert not any(token in command for command in children.values())
        assert "first.ipynb" in {path.name for path in (checkout / ".demo" / "notebooks").iterdir()}
        with httpx.Client(base_url=url, trust_env=False, headers={"Authorization": f"token {token}"}) as http:
            kernel = http.post("/api/kernels", json={"name": "python3"})
            assert kernel.status_code == 201, kernel.text
        assert httpx.get(f"{url}/api/contents", trust_env=False).status_code == 403
        [lab] = [pid for pid, command in children.items() if "cli.lab" in command]
        [python] = [pid for pid, command in _children(lab).items() if "ipykernel" in command]
        environment = Path(f"/proc/{python}/environ").read_bytes().decode()
        assert re.search(r"EARTHLOOM_URL=http://127\.0\.0\.1:\d+\0", environment)
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    for pid in (*children, python):
        assert _gone(pid)
