"""The catalogue in one SQLite file: the system of record, and the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.catalog.cover import split
from earthloom.catalog.database import Connection, Database
from earthloom.catalog.protocol import Bbox, Change, Footprint, OnConflict, Page, PutReport, Search
from earthloom.catalog.put import declare, put_items
from earthloom.catalog.query import Shelf, Statement, next_token, read_token, statement

_CHUNK = 500  # candidates that are tested at once

EVER = (-(2**63), 2**63 - 1)  # all times, in a change of a collection itself


class SqliteCatalogue:
    """Collections and items in a file; implements `Catalogue`. Safe to use from several threads and processes.

    Parameters
    ----------
    path
        The file; it is made, with its folders, if it does not exist. Not on a network file system.

    Raises
    ------
    ReadError
        If there is a file that is no catalogue of ours, or one of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._database = Database(self.path)

    def close(self) -> None:
        """Close the file; the catalogue cannot be used afterwards."""
        self._database.close()

    def put_collection(self, doc: dict[str, Any]) -> None:
        """Add or replace a collection (a STAC Collection document); an equal one changes nothing.

        Raises
        ------
        InvalidArgument
            If it has no id or is no JSON.
        """
        if not isinstance(doc.get("id"), str) or not doc["id"]:
            raise InvalidArgument("A collection needs an id.", argument="doc")
        try:
            text = orjson.dumps(doc)
        except orjson.JSONEncodeError as error:
            raise InvalidArgument(f'Collection "{doc["id"]}" is no JSON: {error}.', collection=doc["id"]) from None
        with self._database.write() as connection:
            db = connection.db
            row = db.execute("select k, doc from collection where id = ?", (doc["id"],)).fetchone()
            if row is not None and row[1] == text:
                return
            if row is None:
                k = db.execute("insert into collection(id, doc) values (?, ?)", (doc["id"], text)).lastrowid
            else:
                k = row[0]
                db.execute("update collection set doc = ? where k = ?", (text, k))
            declare(connection, int(k or 0), doc)
            db.execute("insert into change(c, t0, t1, n) values (?, ?, ?, 0)", (k, *EVER))

    def collections(self, ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The collection documents, sorted by id; unknown ids are left out."""
        with self._database.read() as connection:
            rows = connection.db.execute("select id, doc from collection order by id").fetchall()
        return [orjson.loads(doc) for id, doc in rows if ids is None or id in ids]

    def put(
        self,
        collection: str,
        items: Iterable[bytes | dict[str, Any]],
        *,
        bases: Iterable[str] | None = None,
        on_conflict: OnConflict = "newer",
    ) -> PutReport:
        """Add or replace items in one transaction; see `Catalogue.put`.

        Raises
        ------
        NotFound
            If there is no such collection.
        InvalidArgument
            With `fail`, if an item is there already with another content.
        """
        with self._database.read() as connection:
            _shelf(connection, collection)
        return put_items(self._database, collection, items, bases, on_conflict)

    def properties(self, collection: str) -> list[str]:
        """Names of the properties that items of the collection have, sorted."""
        with self._database.read() as connection:
            return list(_shelf(connection, collection).names)

    def get(self, collection: str, ids: Sequence[str]) -> list[bytes]:
        """Items as JSON texts, in the order of `ids`; unknown ones are left out."""
        with self._database.read() as connection:
            c = _shelf(connection, collection).k
            query = "select d.z from item i join doc d on d.k = i.k where i.c = ? and i.id = ?"
            rows = [connection.db.execute(query, (c, id)).fetchone() for id in ids]
            return [connection.document(c, row[0]) for row in rows if row is not None]

    def search(self, query: Search, *, token: str | None = None, page: int = 1000, count: bool = False) -> Page:
        """One page of the items of a search, in its order.

        Parameters
        ----------
        query
            What is searched.
        token
            The `next` of the page before.
        page
            The most items on a page.
        count
            Whether `matched` is wanted: it costs a pass over all that the search finds.

        Raises
        ------
        NotFound
            If there is no such collection, or no item has a property that is asked for.
        InvalidArgument
            If a condition, a place or the token is none.
        """
        if page < 1:
            raise InvalidArgument(f"A page of {page} items is none.", argument="page")
        _check_limit(query)
        delivered, after = (0, None) if token is None else read_token(query, token)
        room = page if query.limit is None else min(page, query.limit - delivered)
        with self._database.read() as connection:
            shelf = _shelf(connection, query.collection)
            # One more than fits: it tells whether there is a next page.
            rows = list(islice(_rows(connection, statement(query, shelf, after=after)), room + 1))
            matched = _matched(connection, query, shelf) if count else None
            more = len(rows) > room and (query.limit is None or delivered + room < query.limit)
            rows = rows[:room]
            items, bases = [], []
            for row in rows:
                sql = "select d.z, i.base from doc d join item i on i.k = d.k where d.k = ?"
                z, base = connection.db.execute(sql, (row[0],)).fetchone()
                items.append(connection.document(shelf.k, z))
                bases.append(base)
        return Page(items, bases, next_token(query, rows[-1], delivered + room) if more and rows else None, matched)

    def cover(self, query: Search, boxes: Sequence[Bbox] | None = None) -> list[list[Footprint]]:
        """For each box the items of the search whose footprint meets it, in the search's order.

        Without boxes one list: all items of the search. `limit` counts before the boxes cut.

        Raises
        ------
        NotFound, InvalidArgument
            As `search` does.
        """
        _check_limit(query)
        with self._database.read() as connection:
            shelf = _shelf(connection, query.collection)
            # With a limit the boxes must not narrow the search: which items are the first is decided without them.
            within = boxes if query.limit is None else None
            rows = list(islice(_rows(connection, statement(query, shelf, within)), query.limit))
        found = [Footprint(row[1], row[2], _box(row[3:7])) for row in rows]
        if boxes is None:
            return [found]
        bounds = np.array([row[3:7] for row in rows], np.float64).reshape(-1, 4)
        return split(found, _shapes(rows), bounds, boxes)

    def changes(self, collection: str, since: int = 0) -> tuple[int, list[Change]]:
        """The revision now, and what changed after revision `since`, oldest first.

        Raises
        ------
        NotFound
            If there is no such collection.
        """
        with self._database.read() as connection:
            c = _shelf(connection, collection).k
            query = "select rev, t0, t1, x0, y0, x1, y1 from change where c = ? and rev > ? order by rev"
            rows = connection.db.execute(query, (c, since)).fetchall()
            now = connection.db.execute("select max(rev) from change where c = ?", (c,)).fetchone()[0]
        return now, [Change(rev, t0, t1, _box(box)) for rev, t0, t1, *box in rows]


def _shelf(connection: Connection, collection: str) -> Shelf:
    query = "select k, levels, hot, names, longest from collection where id = ?"
    row = connection.db.execute(query, (collection,)).fetchone()
    if row is None:
        known = [id for (id,) in connection.db.execute("select id from collection order by id")]
        raise NotFound.name("collection", collection, known, collection=collection)
    k, levels, declared, names, longest = row
    return Shelf(k, collection, levels, frozenset(orjson.loads(declared)), tuple(orjson.loads(names)), longest)


def _rows(connection: Connection, sql: Statement) -> Iterator[Sequence[Any]]:
    """The rows of a statement whose footprint meets the exact geometries, in order, read as far as they are wanted."""
    cursor = connection.db.execute(sql.text, sql.params)
    for exact in sql.exact:
        shapely.prepare(exact)
    while chunk := cursor.fetchmany(_CHUNK):
        if sql.exact:
            shapes = _shapes(chunk)
            met = np.logical_and.reduce([shapely.intersects(exact, shapes) for exact in sql.exact])
            yield from (chunk[n] for n in map(int, np.flatnonzero(met)))
        else:
            yield from chunk


def _box(values: Sequence[Any]) -> Bbox | None:
    west, south, east, north = values
    return None if west is None else (west, south, east, north)


def _shapes(rows: Sequence[Sequence[Any]]) -> Any:
    return shapely.from_wkb(np.array([row[7] for row in rows], dtype=object))


def _matched(connection: Connection, query: Search, shelf: Shelf) -> int:
    sql = statement(query, shelf)
    if sql.exact:
        number = sum(1 for _ in _rows(connection, sql))
    else:
        number = int(connection.db.execute(sql.count(), sql.params).fetchone()[0])
    return number if query.limit is None else min(number, query.limit)


def _check_limit(query: Search) -> None:
    if query.limit is not None and query.limit < 1:
        raise InvalidArgument(f"A limit of {query.limit} items is none.", argument="limit")
