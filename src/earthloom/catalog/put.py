"""Items into the catalogue's file: one batch, one transaction, one revision."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import shapely

from earthloom.base.errors import InvalidArgument
from earthloom.catalog.cover import item_cells
from earthloom.catalog.database import Connection, Database, compressor, train
from earthloom.catalog.item import Record, elements, records, union
from earthloom.catalog.protocol import Bbox, OnConflict, PutReport
from earthloom.catalog.query import HOT

_INSERT = "insert into item values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = """update item set t = ?, t2 = ?, cloud = ?, platform = ?, orbit = ?, grid = ?,
  x0 = ?, y0 = ?, x1 = ?, y1 = ?, geom = ?, sha = ?, updated = ?, base = ? where k = ?"""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """An item on its way in: its text, its record, where it was read from, and the digest of text and place."""

    text: bytes
    record: Record
    base: str
    sha: bytes


def put_items(
    database: Database,
    collection: str,
    items: Iterable[bytes | dict[str, Any]],
    bases: Iterable[str] | None,
    on_conflict: OnConflict,
) -> PutReport:
    """Add or replace items of a collection that exists; see `Catalogue.put`."""
    deliveries, rejected = _unpack(collection, items, bases)
    with database.write() as connection:
        db = connection.db
        row = db.execute("select k, zdict, levels, hot, names, longest from collection where id = ?", (collection,))
        c, zdict, levels, declared, names, longest = row.fetchone()
        if zdict is None:
            zdict = train([d.text for d in deliveries])
        writer = _Writer(connection, c, zdict, frozenset(orjson.loads(declared)))
        for delivery in deliveries:
            writer.put(delivery, on_conflict, collection)
        if writer.added or writer.replaced:
            seen = set(orjson.loads(names)).union(*(d.record.properties for d in deliveries), ("datetime",))
            lengths = [d.record.t2_ms - d.record.t_ms for d in deliveries]
            db.execute(
                "update collection set zdict = ?, levels = ?, names = ?, longest = ? where k = ?",
                (zdict, levels | writer.levels, orjson.dumps(sorted(seen)).decode(), max(longest, *lengths, 0), c),
            )
            box = union(writer.boxes) or (None, None, None, None)
            db.execute(
                "insert into change(c, t0, t1, x0, y0, x1, y1, n) values (?, ?, ?, ?, ?, ?, ?, ?)",
                (c, min(writer.times), max(writer.times), *box, writer.added + writer.replaced),
            )
        revision = db.execute("select max(rev) from change where c = ?", (c,)).fetchone()[0]
    return PutReport(writer.added, writer.replaced, writer.same, rejected, revision)


def declare(connection: Connection, c: int, doc: dict[str, Any]) -> None:
    """Keep the properties that a collection declares in its `summaries` where SQL finds them, for all its items."""
    db = connection.db
    declared = sorted(name for name in doc.get("summaries") or () if name not in HOT)
    before = orjson.loads(db.execute("select hot from collection where k = ?", (c,)).fetchone()[0])
    if declared == before:
        return
    db.execute("update collection set hot = ? where k = ?", (orjson.dumps(declared).decode(), c))
    db.execute("delete from prop where k in (select k from item where c = ?)", (c,))
    rows = db.execute("select d.k, d.z from doc d join item i on i.k = d.k where i.c = ?", (c,))
    for k, z in rows.fetchall():
        _put_properties(db, k, orjson.loads(connection.document(c, z))["properties"], declared)


class _Writer:
    """One batch on its way into the tables, with what it has done so far."""

    def __init__(self, connection: Connection, c: int, zdict: bytes | None, declared: frozenset[str]) -> None:
        self._db = connection.db
        self._c = c
        self._declared = declared
        self._compressor = compressor(zdict)
        self.added = self.replaced = self.same = self.levels = 0
        self.boxes: list[Bbox] = []
        self.times: list[int] = []

    def put(self, delivery: _Delivery, on_conflict: OnConflict, collection: str) -> None:
        """Add the item, or replace the one that is there, or leave it."""
        record = delivery.record
        query = "select k, sha, updated, t, t2, x0, y0, x1, y1 from item where c = ? and id = ?"
        there = self._db.execute(query, (self._c, record.id)).fetchone()
        if there is None:
            self._write(delivery, None)
            self.added += 1
            return
        k, sha, updated, t, t2, *box = there
        older = record.updated_ms is not None and updated is not None and record.updated_ms < updated
        if sha == delivery.sha or on_conflict == "skip" or (on_conflict == "newer" and older):
            self.same += 1
            return
        if on_conflict == "fail":
            raise InvalidArgument(
                f'Item "{record.id}" is in the collection "{collection}" already, with another content.',
                hint='Nothing was put. Replace it with on_conflict="replace".',
                collection=collection,
                item=record.id,
            )
        self._remove(k, t, t2, box)
        self._write(delivery, k)
        self.replaced += 1

    def _remove(self, k: int, t: int, t2: int, box: Sequence[Any]) -> None:
        self.times += [t, t2]
        self._db.execute("delete from prop where k = ?", (k,))
        if box[0] is not None:
            bbox = (box[0], box[1], box[2], box[3])
            self.boxes.append(bbox)
            _, cells = item_cells(self._c, bbox)
            self._db.executemany("delete from cover where cell = ? and t = ? and k = ?", [(n, t, k) for n in cells])

    def _write(self, delivery: _Delivery, k: int | None) -> None:
        record, db = delivery.record, self._db
        self.times += [record.t_ms, record.t2_ms]
        hot = [_hot(record, name) for name in HOT]
        geometry = None if record.shape is None else shapely.to_wkb(record.shape)
        facts = (
            *(record.t_ms, record.t2_ms, *hot, *(record.bbox or (None,) * 4)),
            *(geometry, delivery.sha, record.updated_ms, delivery.base),
        )
        z = self._compressor.compress(delivery.text)
        if k is None:
            k = db.execute(_INSERT, (None, record.id, self._c, *facts)).lastrowid
            db.execute("insert into doc values (?, ?)", (k, z))
        else:
            db.execute(_UPDATE, (*facts, k))
            db.execute("update doc set z = ? where k = ?", (z, k))
        assert k is not None
        _put_properties(db, k, record.properties, self._declared)
        if record.bbox is not None:
            self.boxes.append(record.bbox)
            level, cells = item_cells(self._c, record.bbox)
            self.levels |= 1 << level
            rows = [(cell, record.t_ms, k, hot[0], *box) for cell, box in cells.items()]
            db.executemany("insert into cover values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _put_properties(db: sqlite3.Connection, k: int, properties: Any, declared: Iterable[str]) -> None:
    rows = [(k, name, value) for name in declared for value in elements(properties.get(name))]
    db.executemany("insert or ignore into prop values (?, ?, ?)", rows)


def _hot(record: Record, name: str) -> Any:
    _, kind = HOT[name]
    value = record.properties.get(name)
    if kind is str:
        return value if isinstance(value, str) else None
    return kind(value) if isinstance(value, int | float) else None


def _unpack(
    collection: str, items: Iterable[bytes | dict[str, Any]], bases: Iterable[str] | None
) -> tuple[list[_Delivery], list[tuple[str, str]]]:
    arrived: list[tuple[int, bytes, Any, str]] = []
    rejected: list[tuple[str, str]] = []
    # Without bases the item's own `self` link tells where it lies, when its assets are asked for.
    located = zip(items, itertools.repeat("")) if bases is None else zip(items, bases, strict=True)
    for n, (item, base) in enumerate(located, 1):
        try:
            text = item if isinstance(item, bytes) else orjson.dumps(item)
            arrived.append((n, text, orjson.loads(text), base))
        except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
            rejected.append((_name(item, n), f"it is no JSON: {error}"))
    found = records([item for _, _, item, _ in arrived], collection)
    deliveries = []
    for (n, text, item, base), record in zip(arrived, found, strict=True):
        if isinstance(record, Record):
            sha = hashlib.sha256(base.encode() + b"\0" + text).digest()
            deliveries.append(_Delivery(text, record, base, sha))
        else:
            rejected.append((_name(item, n), record))
    return deliveries, rejected


def _name(item: Any, n: int) -> str:
    return str(item["id"]) if isinstance(item, dict) and item.get("id") else f"item {n} of the batch"
