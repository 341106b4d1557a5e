"""Stores by address, exports, and notes of use."""

from __future__ import annotations

import json
import logging
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from earthloom.base.errors import InvalidArgument, ReadError, Unavailable
from earthloom.stores import uses
from earthloom.stores.open import open_store
from earthloom.stores.postgres import PostgresStore
from earthloom.stores.record import Record, now_ms
from earthloom.stores.redis import RedisStore
from earthloom.stores.remote import name_of
from earthloom.stores.sqlite import SqliteStore
from earthloom.stores.transfer import export_chains, import_chains
from earthloom.stores.uses import Uses
from earthloom.testing.stores import GRAPH


def test_the_default_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    for address, file in ((None, "chains.sqlite"), ("", "chains.sqlite"), (f"{tmp_path}/my.db", "my.db")):
        store = open_store(address, tmp_path)
        assert isinstance(store, SqliteStore)
        assert store.path == tmp_path / file
        store.close()


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("redis://127.0.0.1:1/0", RedisStore),
        ("rediss://127.0.0.1:1/0", RedisStore),
        ("postgresql://127.0.0.1:1/x", PostgresStore),
    ],
)
def test_an_address_says_which_store(address: str, kind: type, tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "earthloom"):
        store = open_store(address, tmp_path)
        store.check()
    assert isinstance(store, kind)
    assert f"The store of chains {address} does not answer" in caplog.text
    store.close()


def test_an_unknown_scheme_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no store for mysql://") as caught:
        open_store("mysql://user:gehe1m@host/x", tmp_path)
    assert caught.value.near == ("redis://", "rediss://", "postgresql://")
    assert "gehe1m" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "redis://user:gehe1m@host:port/0",
        "redis://user:gehe1m@host:6379/0?socket_timeout=gehe1m",
        "redis://user:gehe1m@host:6379/0?nonsense=1",
        "postgresql://user:gehe1m%zz@host/x",
        "postgresql://user:gehe1m@host/x?nonsense=1",
        "postgresql://user:gehe1m@[host/x",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(address: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot be read") as caught:
        open_store(address, tmp_path)
    assert "gehe1m" not in str(caught.value)


def test_a_name_has_neither_password_nor_options() -> None:
    assert name_of("redis://:gehe1m@host:6379/0?password=gehe1m") == "redis://host:6379/0"
    assert name_of("postgresql://u:gehe1m@[::1]:5/db?password=gehe1m") == "postgresql://[::1]:5/db"


def test_an_import_that_holds_a_bad_line_keeps_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "chains.sqlite")
    good = {"key": "k", "created": 1, "used": 2, "pinned": False, "graph": GRAPH}
    bad: list[Any] = [
        {**good, "pinned": 1},
        {**good, "created": "1"},
        {**good, "graph": []},
        {**good, "key": "a\0"},
        {**good, "graph": {"a": "x" * 1_000_001}},
        [],
    ]
    for line in [*map(json.dumps, bad), "{", ""]:
        file = tmp_path / "chains.jsonl"
        file.write_text(json.dumps(good) + "\n" + line + "\n")
        with pytest.raises(ReadError, match=r"Line 2 of .* is no chain"):
            import_chains(store, file)
        assert list(store.records()) == []
    with pytest.raises(ReadError, match="cannot be read: No such file"):
        import_chains(store, tmp_path / "none")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ReadError, match="cannot be read"):
        import_chains(store, file)
    store.close()


def test_an_export_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    class Breaking(SqliteStore):
        def records(self):
            yield Record("k", "{}", 1, 1)
            raise Unavailable("gone")

    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "chains.jsonl").write_text("before")
    store = Breaking(tmp_path / "chains.sqlite")
    with pytest.raises(Unavailable):
        export_chains(store, folder / "chains.jsonl")
    assert [f.name for f in folder.iterdir()] == ["chains.jsonl"]
    assert (folder / "chains.jsonl").read_text() == "before"
    with pytest.raises(ReadError, match="cannot be written: No such file"):
        export_chains(store, tmp_path / "none" / "chains.jsonl")
    store.close()


def test_an_export_of_one_kind_of_store_is_read_by_another(tmp_path: Path, redis_server, postgres_server) -> None:
    redis_server.empty()
    postgres_server.empty()
    stores = [open_store(a, tmp_path) for a in (None, redis_server.url, postgres_server.url, f"{tmp_path}/back.db")]
    stores[0].put("k", GRAPH)
    stores[0].pin("k")
    stores[0].restore(Record("old", '{"ä":[1,2.5,"\\u0000"]}', 5, 6))
    for one, next_ in pairwise(stores):
        export_chains(one, tmp_path / "chains.jsonl")
        assert import_chains(next_, tmp_path / "chains.jsonl") == (2, 0)
    assert list(stores[0].records()) == list(stores[-1].records())
    for store in stores:
        store.close()


def test_a_use_is_noted_once_an_hour_for_each_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "chains.sqlite")
    for key in ("a", "b"):
        store.restore(Record(key, "{}", 1, 1))
    clock = [1000.0]
    monkeypatch.setattr(uses.time, "monotonic", lambda: clock[0])
    notes = Uses(store)

    def used() -> list[int]:
        notes._thread.submit(int).result(10)  # those before it are done
        return [r.used_ms for r in store.records()]

    before = now_ms()
    notes.note("a")
    first, other = used()
    assert first >= before
    assert other == 1
    store.delete("a")
    store.restore(Record("a", "{}", 1, 1))
    clock[0] += 3599
    notes.note("a")
    assert used() == [1, 1]
    clock[0] += 2
    notes.note("a")
    assert used()[0] >= before
    notes.close()
    store.close()


def test_a_store_that_is_away_fails_no_use_and_is_told_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(tmp_path / "chains.sqlite")
    store.restore(Record("k", "{}", 1, 1))
    notes = Uses(store)
    clock = [1000.0]
    monkeypatch.setattr(uses.time, "monotonic", lambda: clock[0])
    store._db.execute("pragma query_only = 1")
    start = time.perf_counter()
    with caplog.at_level(logging.WARNING, "earthloom"):
        notes.note("k")
        assert time.perf_counter() - start < 1
        notes._thread.submit(int).result(10)
    assert "could not be noted" in caplog.text
    store._db.execute("pragma query_only = 0")
    clock[0] += 61
    notes.note("k")
    notes._thread.submit(int).result(10)
    (record,) = store.records()
    assert record.used_ms > 1
    notes.close()
    store.close()
