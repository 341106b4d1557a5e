"""`earthloom store`: out, in, clean, pin, as one types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from earthloom.stores.record import Record, now_ms
from earthloom.stores.sqlite import SqliteStore

DAY_MS = 86_400_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = SqliteStore(tmp_path / "data" / "chains.sqlite")
    for key, days in (("new", 1), ("old", 100), ("older", 400)):
        store.restore(Record(key, '{"a":1}', 1, now_ms() - days * DAY_MS))
    store.close()
    return tmp_path / "data"


def run(*words: object, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "earthloom", "store", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def keys(path: Path) -> list[str]:
    store = SqliteStore(path)
    try:
        return [r.key for r in store.records()]
    finally:
        store.close()


@pytest.mark.slow
def test_export_and_import(data: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "chains.jsonl", tmp_path / "other.sqlite"
    assert run("export", file, "--data", data) == f"3 chains written to {file}.\n"
    assert run("import", file, "--store", other) == "3 chains taken in, 0 were here already.\n"
    assert run("import", file, EARTHLOOM_STORE=str(other)) == "0 chains taken in, 3 were here already.\n"
    assert keys(other) == ["new", "old", "older"]


@pytest.mark.slow
def test_clean_and_pin(data: Path) -> None:
    assert run("pin", "older", "--data", data) == ""
    assert "1 chain forgotten, not used for 90 days." in run("clean", "--data", data)
    assert keys(data / "chains.sqlite") == ["new", "older"]
    assert run("unpin", "older", "--data", data) == ""
    assert "0 chains forgotten, not used for 500 days." in run("clean", "--data", data, EARTHLOOM_STORE_DAYS="500")
    assert "2 chains forgotten, not used for 0.5 days." in run("clean", "--days", 0.5, "--data", data)
    assert "No chain" in run("pin", "older", "--data", data, code=1)


@pytest.mark.slow
def test_a_store_that_is_away_is_one_line(tmp_path: Path) -> None:
    said = run("export", tmp_path / "x", "--store", "redis://:gehe1m@127.0.0.1:1/0", code=1)
    assert said.startswith("Error: The store of chains redis://127.0.0.1:1/0 does not answer")
    assert said.count("\n") == 1
    assert "gehe1m" not in said
    assert not (tmp_path / "x").exists()
