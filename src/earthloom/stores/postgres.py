"""Chains in PostgreSQL: the store of an institute that has such a database anyway.

One connection under a lock serves all threads of a process: an engine asks its store once for a chain that it does not
know yet, and then keeps the plan. A watchdog cuts a connection whose server is slow, and the next call makes a new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

from earthloom.base.errors import Unavailable
from earthloom.base.log import log
from earthloom.stores.record import Record, now_ms, text_of
from earthloom.stores.remote import bad_address, unavailable

TIMEOUT_S = 3
CLEAN_S = 600  # one statement over the whole table
PAGE = 100  # records read at once
_LOCK = 0x454C7374  # of those who would make the table at once

_SCHEMA = (
    "create table if not exists earthloom_chain(key text primary key, graph text not null, created bigint not null,"
    " used bigint not null, pinned boolean not null default false)"
)


class PostgresStore:
    """Process graphs by key in PostgreSQL; implements `Store`. It connects, and makes its table, when first asked.

    Parameters
    ----------
    url
        `postgresql://[user:password@]host:port/database`, with options as libpq knows them.
    name
        The address as errors show it, without the password.

    Raises
    ------
    InvalidArgument
        If the address cannot be read.
    """

    def __init__(self, url: str, name: str) -> None:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise bad_address("postgresql") from None
        self._url, self.name = url, name
        self._lock = threading.Lock()
        self._db: psycopg.Connection[tuple[Any, ...]] | None = None

    def put(self, key: str, graph: dict[str, Any]) -> None:
        """Keep a graph; a key that is there already keeps the graph that was posted first, and is used now.

        Raises
        ------
        InvalidArgument, TooLarge
            If the graph is no JSON, or too large.
        """
        text, now = text_of(graph), now_ms()
        self._ask(
            "insert into earthloom_chain values (%s, %s, %s, %s) on conflict (key) do update set used = excluded.used"
            " returning 1",
            (key, text, now, now),
        )

    def get(self, key: str) -> dict[str, Any] | None:
        """The graph of a key, or None."""
        rows = self._ask("select graph from earthloom_chain where key = %s", (key,))
        return json.loads(rows[0][0]) if rows else None

    def touch(self, key: str) -> None:
        """Note that the key was used now."""
        self._ask("update earthloom_chain set used = %s where key = %s returning 1", (now_ms(), key))

    def pin(self, key: str, pinned: bool = True) -> bool:
        """Keep a key for ever, or no longer; whether it is there."""
        return bool(self._ask("update earthloom_chain set pinned = %s where key = %s returning 1", (pinned, key)))

    def delete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        return bool(self._ask("delete from earthloom_chain where key = %s returning 1", (key,)))

    def clean(self, before_ms: int) -> int:
        """Forget what was last used before a moment and is not pinned; how many keys these were."""
        sql = (
            "with gone as (delete from earthloom_chain where used < %s and not pinned returning 1)"
            " select count(*) from gone"
        )
        return int(self._ask(sql, (before_ms,), CLEAN_S)[0][0])

    def records(self) -> Iterator[Record]:
        """All that is kept, by key."""
        after = ""
        while rows := self._ask(
            "select key, graph, created, used, pinned from earthloom_chain where key > %s order by key limit %s",
            (after, PAGE),
        ):
            for row in rows:
                yield Record(*row)
            after = rows[-1][0]

    def restore(self, record: Record) -> bool:
        """Keep a record as another store gave it, if its key is not there; whether it was not."""
        row = (record.key, record.graph, record.created_ms, record.used_ms, record.pinned)
        sql = "insert into earthloom_chain values (%s, %s, %s, %s, %s) on conflict do nothing returning 1"
        return bool(self._ask(sql, row))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def check(self) -> None:
        """Tell the log what an operator should know at the start: a store that is away."""
        try:
            self._ask("select 1", ())
        except Unavailable as error:
            log.warning("%s", error)

    def _ask(self, sql: str, values: tuple[Any, ...], timeout_s: float = TIMEOUT_S) -> list[tuple[Any, ...]]:
        """The rows that a statement gives. Each of ours may be given twice without harm."""
        if not self._lock.acquire(timeout=2 * TIMEOUT_S):
            raise unavailable(self.name, "others wait for it already")
        try:
            idle = self._db is not None
            try:
                return self._once(sql, values, timeout_s)
            except _Lost:
                # One more try at once: a connection that lay idle may have been cut by a restart.
                if not idle:
                    raise
                return self._once(sql, values, timeout_s)
        except psycopg.DataError:
            return []  # a key with a character that no text of PostgreSQL has, so none of ours
        except psycopg.Error as error:
            self._drop()
            raise unavailable(self.name, str(error)) from None
        finally:
            self._lock.release()

    def _once(self, sql: str, values: tuple[Any, ...], timeout_s: float) -> list[tuple[Any, ...]]:
        db = self._db = self._db or self._connect()
        try:
            with _deadline(db, timeout_s) as late:
                return db.execute(sql.encode(), values).fetchall()
        except psycopg.OperationalError as error:
            if late.is_set():
                raise psycopg.OperationalError(f"it is slow, more than {timeout_s} s") from None
            if db.closed:
                self._drop()
                raise _Lost(str(error)) from None
            raise

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        db = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=TIMEOUT_S,
            application_name="earthloom",
            prepare_threshold=None,  # so that it works through PgBouncer
        )
        try:
            with _deadline(db, TIMEOUT_S), db.transaction():
                # Asked first: who may not make tables may still use one that an administrator made.
                if db.execute("select to_regclass('earthloom_chain')").fetchone() == (None,):
                    db.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
                    db.execute(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


class _Lost(psycopg.OperationalError):
    """The connection was cut by the other side."""


@contextlib.contextmanager
def _deadline(db: psycopg.Connection[tuple[Any, ...]], timeout_s: float) -> Iterator[threading.Event]:
    """Cut the connection if the block takes longer; the event tells whether that was so.

    A limit of the server's own would not help against a server that is stopped, or a network that swallows packets.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with socket.socket(fileno=os.dup(db.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()
