"""Chains in one SQLite file: the store of a laptop and of a single server.

A write-ahead log makes every acknowledged `put` survive a killed process. One connection under a lock serves all
threads of a process (a look-up takes microseconds); other processes open the same file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from earthloom.base.errors import InvalidArgument, ReadError

APPLICATION_ID = 0x454C7374  # "ELst" in the header of the file: whose it is
SCHEMA_VERSION = 1
TOUCH_AFTER_MS = 60_000  # tiles touch their chain all the time; the file learns of it once a minute

_SCHEMA = (
    "create table chain(key text primary key, graph text not null, created integer not null, used integer not null)"
)


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
        """Keep a graph; a key that is there already keeps the graph that was posted first.

        Raises
        ------
        InvalidArgument
            If the graph is no JSON.
        """
        try:
            text = json.dumps(graph, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"The graph is no JSON: {error}.", argument="graph") from None
        now = _now_ms()
        with self._lock, self._db:
            self._db.execute("insert into chain values (?, ?, ?, ?) on conflict do nothing", (key, text, now, now))

    def get(self, key: str) -> dict[str, Any] | None:
        """The graph of a key, or None."""
        with self._lock:
            row = self._db.execute("select graph from chain where key = ?", (key,)).fetchone()
        if row is None:
            return None
        graph: dict[str, Any] = json.loads(row[0])
        return graph

    def touch(self, key: str) -> None:
        """Note that the key was used now, to the minute."""
        now = _now_ms()
        with self._lock:
            row = self._db.execute("select used from chain where key = ?", (key,)).fetchone()
            if row is not None and now - row[0] > TOUCH_AFTER_MS:
                with self._db:
                    self._db.execute("update chain set used = ? where key = ?", (now, key))

    def delete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        with self._lock, self._db:
            return self._db.execute("delete from chain where key = ?", (key,)).rowcount > 0

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        with self._lock:
            self._db.close()


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        if db.execute("pragma application_id").fetchone()[0] == 0:
            _create(db, path)
        found = db.execute("pragma application_id").fetchone()[0]
        version = db.execute("pragma user_version").fetchone()[0]
        if found != APPLICATION_ID:
            raise _not_ours(path, "it belongs to another program")
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
        elif db.execute("pragma application_id").fetchone()[0] == 0:
            raise _not_ours(path, "it belongs to another program")


def _not_ours(path: Path, reason: str) -> ReadError:
    return ReadError(
        f"{path} is no store of chains: {reason}.",
        hint="Give the path of a new file, or remove this one.",
        file=str(path),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
