"""Chains in one SQLite file: the store of a laptop and of a single server.

A write-ahead log makes every acknowledged `put` survive a killed process. One connection under a lock serves all
threads of a process (a look-up takes microseconds); other processes open the same file.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earthloom.base.errors import ReadError, Unavailable
from earthloom.stores.record import Record, now_ms, text_of

APPLICATION_ID = 0x454C7374  # "ELst" in the header of the file: whose it is
SCHEMA_VERSION = 2  # 1 had no pinned keys
LOCKED_S = 10  # waited for while another process writes
PAGE = 100  # records read at once

_SCHEMA = (
    "create table chain(key text primary key, graph text not null, created integer not null, used integer not null,"
    " pinned integer not null default 0)"
)
_TO_2 = "alter table chain add column pinned integer not null default 0"


class SqliteStore:
    """Process graphs by key in a file; implements `Store`.

    Parameters
    ----------
    path
        The file; it is made, with its folders, if it does not exist.

    Raises
    ------
    ReadError
        If there is a file that is no store of ours, or one of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = _open(self.path)

    def put(self, key: str, graph: dict[str, Any]) -> None:
        """Keep a graph; a key that is there already keeps the graph that was posted first, and is used now.

        Raises
        ------
        InvalidArgument, TooLarge
            If the graph is no JSON, or too large.
        """
        text, now = text_of(graph), now_ms()
        with self._writing() as db:
            db.execute(
                "insert into chain values (?, ?, ?, ?, 0) on conflict do update set used = excluded.used",
                (key, text, now, now),
            )

    def get(self, key: str) -> dict[str, Any] | None:
        """The graph of a key, or None."""
        with self._reading() as db:
            row = db.execute("select graph from chain where key = ?", (key,)).fetchone()
        if row is None:
            return None
        graph: dict[str, Any] = json.loads(row[0])
        return graph

    def touch(self, key: str) -> None:
        """Note that the key was used now."""
        with self._writing() as db:
            db.execute("update chain set used = ? where key = ?", (now_ms(), key))

    def pin(self, key: str, pinned: bool = True) -> bool:
        """Keep a key for ever, or no longer; whether it is there."""
        with self._writing() as db:
            return db.execute("update chain set pinned = ? where key = ?", (pinned, key)).rowcount > 0

    def delete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        with self._writing() as db:
            return db.execute("delete from chain where key = ?", (key,)).rowcount > 0

    def clean(self, before_ms: int) -> int:
        """Forget what was last used before a moment and is not pinned; how many keys these were."""
        with self._writing() as db:
            return db.execute("delete from chain where used < ? and not pinned", (before_ms,)).rowcount

    def records(self) -> Iterator[Record]:
        """All that is kept, by key."""
        after = ""
        while True:
            with self._reading() as db:
                rows = db.execute("select * from chain where key > ? order by key limit ?", (after, PAGE)).fetchall()
            if not rows:
                return
            for key, graph, created, used, pinned in rows:
                yield Record(key, graph, created, used, bool(pinned))
            after = rows[-1][0]

    def restore(self, record: Record) -> bool:
        """Keep a record as another store gave it, if its key is not there; whether it was not."""
        row = (record.key, record.graph, record.created_ms, record.used_ms, record.pinned)
        with self._writing() as db:
            return db.execute("insert into chain values (?, ?, ?, ?, ?) on conflict do nothing", row).rowcount > 0

    def check(self) -> None:
        """Tell the log what an operator should know at the start: nothing, for the file is open."""

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time; a disk that is full or gone becomes `Unavailable`."""
        with self._lock:
            try:
                yield self._db
            except sqlite3.OperationalError as error:
                raise Unavailable(
                    f"The store of chains {self.path} cannot be used: {error}.",
                    hint="Nothing that it kept is lost. Look at its disk, then try again.",
                    store=str(self.path),
                ) from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db, db:
            yield db


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCKED_S, check_same_thread=False)
    try:
        if _pragma(db, "application_id") == 0:
            _create(db, path)
        if _pragma(db, "application_id") != APPLICATION_ID:
            raise _not_ours(path, "it belongs to another program")
        if _pragma(db, "user_version") == 1:
            _migrate(db)
        version = _pragma(db, "user_version")
        if version != SCHEMA_VERSION:
            raise ReadError(
                f"The store of chains {path} has version {version}; this Earthloom reads version {SCHEMA_VERSION}.",
                hint="Use the Earthloom that wrote it, or another file.",
                file=str(path),
            )
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
    except sqlite3.OperationalError as error:
        db.close()
        raise ReadError(f"The store of chains {path} cannot be opened: {error}.", file=str(path)) from None
    except sqlite3.DatabaseError as error:
        db.close()
        raise _not_ours(path, str(error)) from None
    except ReadError:
        db.close()
        raise
    return db


def _create(db: sqlite3.Connection, path: Path) -> None:
    # The write lock first: of two processes that start at once, the second finds the table made.
    db.execute("begin immediate")
    with db:
        tables = db.execute("select count(*) from sqlite_schema").fetchone()[0]
        if tables == 0:
            db.execute(_SCHEMA)
            db.execute(f"pragma application_id = {APPLICATION_ID}")
            db.execute(f"pragma user_version = {SCHEMA_VERSION}")
        elif _pragma(db, "application_id") == 0:
            raise _not_ours(path, "it belongs to another program")


def _migrate(db: sqlite3.Connection) -> None:
    """Bring a file of version 1 to version 2."""
    db.execute("begin immediate")
    with db:
        if _pragma(db, "user_version") == 1:  # unless another process was quicker
            db.execute(_TO_2)
            db.execute("pragma user_version = 2")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"pragma {name}").fetchone()[0])


def _not_ours(path: Path, reason: str) -> ReadError:
    return ReadError(
        f"{path} is no store of chains: {reason}.",
        hint="Give the path of a new file, or remove this one.",
        file=str(path),
    )
