"""Which layers the server's page shows: chains that somebody shared, each with a name, in a file of the data folder."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from earthloom.base.errors import InvalidArgument, NotFound

LONGEST_NAME = 200  # characters

_SCHEMA = """create table if not exists shared(
    key text primary key, name text not null, who text not null, at integer not null, place integer not null)"""


@dataclass(frozen=True, slots=True)
class Share:
    """A layer of the page: key of its chain, its name, who shared it and when (ISO 8601, UTC)."""

    key: str
    name: str
    who: str
    at: str


class Shares:
    """The shared layers of a data folder, in its file `shared.sqlite`. Safe to use from several threads and processes.

    Parameters
    ----------
    data
        The data folder.
    """

    def __init__(self, data: Path) -> None:
        self.file = data / "shared.sqlite"

    def all(self) -> list[Share]:
        """All shared layers, the top one first."""
        with self._open() as db:
            rows = db.execute("select key, name, who, at from shared order by place desc").fetchall()
        return [Share(key, name, who, _iso(at)) for key, name, who, at in rows]

    def add(self, key: str, name: str, who: str) -> None:
        """Share a chain. A layer of the same name by the same person shows the new chain from now on, in its place.

        Raises
        ------
        InvalidArgument
            If the name is empty or too long, or another person has shared this chain.
        """
        name = name.strip()
        if not 0 < len(name) <= LONGEST_NAME:
            raise InvalidArgument(
                f"A shared layer needs a name of at most {LONGEST_NAME} characters; this has {len(name)}.",
                argument="name",
            )
        with self._open() as db:
            db.execute("begin immediate")
            old = db.execute("select name, who from shared where key = ?", (key,)).fetchone()
            if old and old[1] != who:
                raise InvalidArgument(f'This chain is shared already, as "{old[0]}" by {old[1]}.', key=key)
            mine = "from shared where (name = ? and who = ?) or key = ?"
            (place,) = db.execute(f"select max(place) {mine}", (name, who, key)).fetchone()
            db.execute(f"delete {mine}", (name, who, key))
            if place is None:
                (place,) = db.execute("select coalesce(max(place), 0) + 1 from shared").fetchone()
            db.execute(
                "insert into shared values (?, ?, ?, ?, ?)", (key, name, who, time.time_ns() // 1_000_000, place)
            )

    def remove(self, key: str, who: str) -> None:
        """Take a layer off the page; its chain is kept.

        Raises
        ------
        NotFound
            If no such chain is shared.
        InvalidArgument
            If another person has shared it.
        """
        with self._open() as db:
            db.execute("begin immediate")
            old = db.execute("select name, who from shared where key = ?", (key,)).fetchone()
            if old is None:
                raise NotFound(f'No layer with the key "{key}" is shared.', hint="GET /shared lists them.", key=key)
            if old[1] != who:
                raise InvalidArgument(
                    f'"{old[0]}" was shared by {old[1]}.', hint="Who shared a layer takes it back.", key=key
                )
            db.execute("delete from shared where key = ?", (key,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A transaction, in a connection of its own: it is asked for seldom, and from any thread."""
        db = sqlite3.connect(self.file, timeout=10)
        try:
            with db:
                db.execute(_SCHEMA)
                yield db
        finally:
            db.close()


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
