"""The store in a file: the suite of all stores, killed processes, other files and versions, a full disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from earthloom.base.errors import ReadError, Unavailable
from earthloom.stores.protocol import Store
from earthloom.stores.sqlite import SqliteStore
from earthloom.testing.stores import StoreTests

GRAPH = {"load": {"process_id": "load_collection", "arguments": {"id": "a", "bands": ["B04"]}, "result": True}}


class TestSqlite(StoreTests):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SqliteStore(tmp_path / "sub" / "chains.sqlite")


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


def test_a_file_of_version_1_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "chains.sqlite"
    with sqlite3.connect(path) as db:
        db.execute(
            "create table chain(key text primary key, graph text not null, created integer not null,"
            " used integer not null)"
        )
        db.execute("insert into chain values ('k', '{\"a\":1}', 5, 6)")
        db.execute("pragma application_id = 0x454C7374")
        db.execute("pragma user_version = 1")
    db.close()
    for _ in range(2):
        store = SqliteStore(path)
        assert store.get("k") == {"a": 1}
        store.close()
    store = SqliteStore(path)
    assert store.pin("k")
    assert [(r.created_ms, r.used_ms, r.pinned) for r in store.records()] == [(5, 6, True)]
    store.close()


def test_a_full_file_system_is_told_and_loses_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "chains.sqlite")
    store.put("k", GRAPH)
    pages = store._db.execute("pragma page_count").fetchone()[0]
    store._db.execute(f"pragma max_page_count = {pages}")  # SQLite then fails as on a full disk
    with pytest.raises(Unavailable, match="full") as caught:
        store.put("large", {"a": "x" * 100_000})
    assert caught.value.where["store"] == str(store.path)
    assert store.get("k") == GRAPH
    store._db.execute("pragma max_page_count = 1000000")
    store.put("large", {"a": "x" * 100_000})
    assert store.get("large")
    store.close()
