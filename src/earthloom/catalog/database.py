"""The SQLite file of a catalogue: its schema, its connections, its compressed documents.

One writer at a time, any number of readers beside it (write-ahead log): a reader sees the catalogue as it was when it
began. A killed process leaves whole batches only.
"""

from __future__ import annotations

import operator
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import zstandard

from earthloom.base.errors import ReadError
from earthloom.catalog.item import elements

APPLICATION_ID = 0x454C6361  # "ELca" in the header of the file: whose it is
SCHEMA_VERSION = 1
DICTIONARY_BYTES = 64 * 1024
DICTIONARY_SAMPLES = (200, 2000)  # at least, at most
ZSTD_LEVEL = 9  # a tenth smaller than 3; 55 microseconds an item, where 19 takes 3 milliseconds for another tenth

# Beside the item as delivered (`doc`) all is derived from it. `collection.levels` are the bits of the levels of cells
# in use, `hot` the properties that it declares in its summaries (they are in `prop`), `names` all that its items have,
# `longest` the longest item [ms]. `cover.cell` holds the collection in its upper bits.
_SCHEMA = """
create table collection(k integer primary key, id text unique not null, doc blob not null, zdict blob,
  levels integer not null default 0, hot text not null default '[]', names text not null default '[]',
  longest integer not null default 0);
create table item(k integer primary key, id text not null, c integer not null, t integer not null, t2 integer not null,
  cloud real, platform text, orbit integer, grid text, x0 real, y0 real, x1 real, y1 real,
  geom blob, sha blob not null, updated integer, base text not null);
create table doc(k integer primary key, z blob not null);
create table cover(cell integer, t integer, k integer, cloud real, x0 real, y0 real, x1 real, y1 real,
  primary key(cell, t, k)) without rowid;
create table prop(k integer, name text, value, primary key(k, name, value)) without rowid;
create table change(rev integer primary key autoincrement, c integer not null, t0 integer not null, t1 integer not null,
  x0 real, y0 real, x1 real, y1 real, n integer not null);
create unique index item_id on item(c, id);
create index item_t on item(c, t, cloud, grid);
create index change_c on change(c, rev);
"""

_OPERATORS = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Connection:
    """A connection and the decoders of its documents, used by one thread at a time."""

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path = path
        self.db = _open(path, write=write)
        self._decoders: dict[tuple[int, int], zstandard.ZstdDecompressor] = {}
        self.db.create_function("property", 3, self._property, deterministic=True)
        self.db.create_function("holds", 5, self._holds, deterministic=True)

    def document(self, collection: int, z: bytes) -> bytes:
        """An item as it was delivered."""
        # The dictionary is looked for when a frame names one: it may be trained after this connection was opened.
        wanted = zstandard.get_frame_parameters(z).dict_id
        decoder = self._decoders.get((collection, wanted))
        if decoder is None:
            trained = None
            if wanted:
                row = self.db.execute("select zdict from collection where k = ?", (collection,)).fetchone()
                trained = zstandard.ZstdCompressionDict(row[0])
            decoder = self._decoders[collection, wanted] = zstandard.ZstdDecompressor(dict_data=trained)
        text: bytes = decoder.decompress(z)
        return text

    def _values(self, collection: int, z: bytes, name: str) -> list[Any]:
        return elements(orjson.loads(self.document(collection, z))["properties"].get(name))

    def _property(self, collection: int, z: bytes, name: str) -> Any:
        """SQL `property(c, z, name)`: the least value of a property, texts after numbers; null if it has none."""
        values = self._values(collection, z, name)
        return min(values, key=lambda v: (isinstance(v, str), v), default=None)

    def _holds(self, collection: int, z: bytes, name: str, op: str, wanted: Any) -> bool:
        """SQL `holds(c, z, name, op, value)`: whether a property fulfils a condition, as in `query`."""
        values = self._values(collection, z, name)
        if op == "!=":
            return bool(values) and wanted not in values
        alike = [v for v in values if isinstance(v, str) == isinstance(wanted, str)]
        return any(_OPERATORS[op](v, wanted) for v in alike)


class Database:
    """A catalogue's file, made if it does not exist.

    Raises
    ------
    ReadError
        If there is a file that is no catalogue of ours, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._writer = Connection(path, write=True)
        self._write_lock = threading.Lock()
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A reading connection, in one transaction: all queries inside see one state."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = Connection(self._path, write=False)
        connection.db.execute("begin")
        try:
            yield connection
        finally:
            connection.db.execute("rollback")
            self._idle.put(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """The writing connection, in one transaction: committed at the end, undone by an error."""
        with self._write_lock:
            self._writer.db.execute("begin immediate")
            try:
                yield self._writer
            except BaseException:
                self._writer.db.execute("rollback")
                raise
            self._writer.db.execute("commit")

    def close(self) -> None:
        """Close the connections that nobody uses; the database cannot be used afterwards."""
        with self._write_lock:
            while not self._idle.empty():
                self._idle.get_nowait().db.close()
            self._writer.db.close()


def train(documents: list[bytes]) -> bytes | None:
    """A compression dictionary for items like these; None if there are too few to learn from."""
    least, most = DICTIONARY_SAMPLES
    if len(documents) < least:
        return None
    step = -(-len(documents) // most)
    try:
        trained: bytes = zstandard.train_dictionary(DICTIONARY_BYTES, [*documents[::step]]).as_bytes()
    except zstandard.ZstdError:  # too little text to fill a dictionary
        return None
    return trained


def compressor(zdict: bytes | None) -> zstandard.ZstdCompressor:
    """Packs items with a collection's dictionary."""
    trained = None if zdict is None else zstandard.ZstdCompressionDict(zdict)
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL, dict_data=trained)


def _open(path: Path, *, write: bool) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
    db: sqlite3.Connection | None = None
    try:
        db = sqlite3.connect(address, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
        if write and _pragma(db, "application_id") == 0:
            _create(db)
        if _pragma(db, "application_id") != APPLICATION_ID:
            raise _not_ours(path, "it belongs to another program")
        if (version := _pragma(db, "user_version")) != SCHEMA_VERSION:
            raise ReadError(
                f"The catalogue {path} has version {version}; this Earthloom reads version {SCHEMA_VERSION}.",
                hint="Ingest the imagery again into a new file, or use the Earthloom that wrote it.",
                file=str(path),
            )
        if write:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = normal")
        db.execute("pragma mmap_size = 2147483648")
        db.execute("pragma cache_size = -65536")  # [KiB]
    except sqlite3.OperationalError as error:
        if db is not None:
            db.close()
        raise ReadError(f"The catalogue {path} cannot be opened: {error}.", file=str(path)) from None
    except sqlite3.DatabaseError as error:
        if db is not None:
            db.close()
        raise _not_ours(path, str(error)) from None
    except ReadError:
        if db is not None:
            db.close()
        raise
    return db


def _create(db: sqlite3.Connection) -> None:
    # The write lock first: of two processes that start at once, the second finds the tables made.
    db.execute("begin immediate")
    if db.execute("select count(*) from sqlite_schema").fetchone()[0] == 0:
        for statement in _SCHEMA.split(";")[:-1]:
            db.execute(statement)
        db.execute(f"pragma application_id = {APPLICATION_ID}")
        db.execute(f"pragma user_version = {SCHEMA_VERSION}")
    db.execute("commit")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"pragma {name}").fetchone()[0])


def _not_ours(path: Path, reason: str) -> ReadError:
    return ReadError(
        f"{path} is no catalogue: {reason}.", hint="Give the path of a new file, or remove this one.", file=str(path)
    )
