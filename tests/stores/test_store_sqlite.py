"""The store keeps chains: over threads, restarts and killed processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from earthloom.base.errors import InvalidArgument, ReadError
from earthloom.stores.sqlite import SqliteStore

GRAPH = {"load": {"process_id": "load_collection", "arguments": {"id": "a", "bands": ["B04"]}, "result": True}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "sub" / "chains.sqlite")
    yield store
    store.close()


def used(store: SqliteStore, key: str) -> int:
    with sqlite3.connect(store.path) as db:
        value = int(db.execute("select used from chain where key = ?", (key,)).fetchone()[0])
    db.close()
    return value


def test_gives_back_what_was_put(store: SqliteStore) -> None:
    store.put("k", GRAPH)
    assert store.get("k") == GRAPH
    assert list(store.get("k") or {}) == ["load"]
    assert store.get("other") is None


def test_keeps_the_graph_that_was_posted_first(store: SqliteStore) -> None:
    store.put("k", GRAPH)
    store.put("k", {"other": {}})
    assert store.get("k") == GRAPH


def test_delete_says_whether_it_was_there(store: SqliteStore) -> None:
    store.put("k", GRAPH)
    assert store.delete("k")
    assert not store.delete("k")
    assert store.get("k") is None


def test_touch_notes_the_use_once_a_minute(store: SqliteStore) -> None:
    store.put("k", GRAPH)
    first = used(store, "k")
    store.touch("k")
    assert used(store, "k") == first
    with sqlite3.connect(store.path) as db:
        db.execute("update chain set used = used - 61000")
    db.close()
    store.touch("k")
    assert used(store, "k") >= first
    store.touch("unknown")


def test_a_graph_that_is_no_json_is_refused(store: SqliteStore) -> None:
    with pytest.raises(InvalidArgument, match="no JSON"):
        store.put("k", {"a": float("nan")})
    with pytest.raises(InvalidArgument, match="no JSON"):
        store.put("k", {"a": object()})


def test_two_threads_and_a_second_opening(store: SqliteStore) -> None:
    other = SqliteStore(store.path)

    def write(which: int) -> None:
        for n in range(100):
            (store, other)[which].put(f"{which}-{n}", {"n": {"value": n}})
            assert (store, other)[which].get(f"{which}-{n}") == {"n": {"value": n}}

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 1)))
    assert all(store.get(f"1-{n}") for n in range(100))
    assert all(other.get(f"0-{n}") for n in range(100))
    other.close()


def test_survives_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "chains.sqlite")
    first.put("k", GRAPH)
    first.close()
    second = SqliteStore(tmp_path / "chains.sqlite")
    assert second.get("k") == GRAPH
    second.close()


def test_an_acknowledged_chain_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys; from earthloom.stores.sqlite import SqliteStore\n"
        "store = SqliteStore(sys.argv[1])\n"
        "for n in range(10**9):\n"
        "    store.put(str(n), {'n': {'value': n}}); print(n, flush=True)\n"
    )
    path = tmp_path / "chains.sqlite"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 50:
                os.kill(process.pid, signal.SIGKILL)
                break
        acknowledged = int(line)
    store = SqliteStore(path)
    assert all(store.get(str(n)) == {"n": {"value": n}} for n in range(acknowledged + 1))
    store.close()


def test_another_programs_file_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be read as the header of one " * 20)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as db:
        db.execute("create table t(a)")
    db.close()
    for path in (text, foreign):
        with pytest.raises(ReadError, match="no store of chains") as caught:
            SqliteStore(path)
        assert caught.value.where["file"] == str(path)
    with sqlite3.connect(foreign) as db:
        assert db.execute("select name from sqlite_schema").fetchall() == [("t",)]
    db.close()


def test_another_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "chains.sqlite"
    SqliteStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 0")
    db.close()
    with pytest.raises(ReadError, match="version 0"):
        SqliteStore(path)
