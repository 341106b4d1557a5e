"""A search as SQL with bound parameters, and the tokens by which it is continued.

A condition on a property holds for an item that has the property and fulfils it; for a property that is a list one
element is enough (for `!=` none may be equal). Numbers fulfil conditions with numbers, texts those with texts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.catalog.cover import query_cells
from earthloom.catalog.footprint import footprint, narrowest, parts, shape_of
from earthloom.catalog.protocol import Bbox, Search

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")

# Properties with a column of their own: the column, and the type of its values.
HOT: dict[str, tuple[str, type]] = {
    "eo:cloud_cover": ("cloud", float),
    "platform": ("platform", str),
    "sat:relative_orbit": ("orbit", int),
    "grid:code": ("grid", str),
}
_ALWAYS = {"datetime": "i.t", "id": "i.id"}  # what every item can be sorted by
_DOC = "(select d.z from doc d where d.k = i.k)"


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the catalogue's file knows of a collection: see the schema in `database`."""

    k: int
    id: str
    levels: int
    declared: frozenset[str]
    names: tuple[str, ...]
    longest_ms: int


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its parameters.

    Parameters
    ----------
    text, params
        The query. Its rows are k, id, t, x0, y0, x1, y1, geom and the values that it sorts by, in the search's order.
    exact
        Geometries that a footprint must meet: what the rectangles in the SQL cannot decide.
    """

    text: str
    params: dict[str, Any]
    exact: tuple[Any, ...]

    def count(self) -> str:
        """The SQL that counts the rows; right only where there is nothing to be tested exactly."""
        return f"select count(*) from ({self.text})"


class _Parameters(dict[str, Any]):
    def add(self, value: Any) -> str:
        """Keep a value; its name in the SQL."""
        name = f"p{len(self)}"
        self[name] = value
        return f":{name}"


def statement(
    search: Search, shelf: Shelf, boxes: Sequence[Bbox] | None = None, after: Sequence[Any] | None = None
) -> Statement:
    """The SQL of a search.

    Parameters
    ----------
    search
        What is searched; its `limit` is the caller's affair.
    shelf
        Its collection.
    boxes
        Rectangles outside of which nothing is wanted.
    after
        What `position` gave for a row: only those behind it.

    Raises
    ------
    NotFound
        If a property is one that no item of the collection has.
    InvalidArgument
        If an operator, a value or a place is none.
    """
    params = _Parameters()
    area, exact = _area(search, boxes)
    sorts = [_sorted_by(name, shelf, params) for name, _ in search.sort]
    head, source = _source(search, shelf, area, params)
    where = ["i.c = " + params.add(shelf.k), *_times("i", search, shelf, params), *_places(area, params)]
    where += [_condition(shelf, *condition, params) for condition in search.properties]
    if after is not None:
        where.append(_behind(search, after, params))
    directions = ["asc" if ascending else "desc" for _, ascending in search.sort]
    order = [f"s{n} is null, s{n} {direction}" for n, direction in enumerate(directions)]
    columns = "".join(f", {sql} as s{n}" for n, sql in enumerate(sorts))
    text = (
        f"{head} select i.k, i.id, i.t, i.x0, i.y0, i.x1, i.y1, i.geom{columns} from {source}"
        f" where {' and '.join(where)} order by {', '.join([*order, 'i.t desc', 'i.id'])}"
    )
    return Statement(text, params, exact)


def position(row: Sequence[Any]) -> list[Any]:
    """Where a row stands in the order of its search: the values that it is sorted by, its time, its id."""
    return [*row[8:], row[2], row[1]]


def next_token(search: Search, row: Sequence[Any], delivered: int) -> str:
    """The text that continues a search behind a row, `delivered` items having been given."""
    text = json.dumps([_mark(search), delivered, position(row)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(search: Search, text: str) -> tuple[int, list[Any]]:
    """Number of items delivered, and the position of the last one.

    Raises
    ------
    InvalidArgument
        If it is no token of this search.
    """
    try:
        mark, delivered, after = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        good = mark == _mark(search) and isinstance(delivered, int) and len(after) == len(search.sort) + 2
    except (binascii.Error, UnicodeError, ValueError, TypeError):
        good = False
    if not good:
        raise InvalidArgument(
            "The token does not continue this search.", hint="Use the `next` of its last page.", argument="token"
        )
    return delivered, after


def _mark(search: Search) -> str:
    return hashlib.sha256(repr(search).encode()).hexdigest()[:12]


def _area(search: Search, boxes: Sequence[Bbox] | None) -> tuple[list[Bbox] | None, tuple[Any, ...]]:
    """Rectangles (west <= east) that hold all that is wanted, None for everywhere; and the exact geometries."""
    area, exact = None, []
    if search.bbox is not None:
        area = parts(search.bbox)
        exact.append(shape_of(area))
    if search.intersects is not None:
        shape = footprint(search.intersects)
        exact.append(shape)
        area = _both(area, _around([p.bounds for p in shapely.get_parts(shape)]))
    if boxes is not None:
        area = _both(area, _around([piece for box in boxes for piece in parts(box)]))
    return area, tuple(exact)


def _around(pieces: Sequence[Bbox]) -> list[Bbox]:
    if not pieces:
        return []
    array = np.array(pieces)
    west, east = narrowest(array)
    return parts((west, float(array[:, 1].min()), east, float(array[:, 3].max())))


def _both(area: list[Bbox] | None, other: list[Bbox]) -> list[Bbox]:
    if area is None:
        return other
    pairs = [(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])) for a in area for b in other]
    return [(w, s, e, n) for w, s, e, n in pairs if w <= e and s <= n]


def _source(search: Search, shelf: Shelf, area: list[Bbox] | None, params: _Parameters) -> tuple[str, str]:
    """`with` clause and `from` clause: how the candidates are found.

    The plans are pinned (`cross join`, `indexed by`, `not indexed` for the rowid, `in` instead of a join with the
    cells): with statistics at hand SQLite has turned such joins round and scanned the whole index for a filter.
    """
    if search.ids is not None:
        return (
            f"with wanted(id) as (select distinct value from json_each({params.add(json.dumps(search.ids))}))",
            "wanted cross join item i indexed by item_id on i.id = wanted.id",
        )
    if area is None:
        return "", "item i indexed by item_t"
    cells = [query_cells(shelf.k, piece, shelf.levels) for piece in area]
    if any(c is None for c in cells):
        return "", "item i indexed by item_t"
    clouds = [c for c in search.properties if c[0] == "eo:cloud_cover"]
    hits = []
    for piece, numbers in zip(area, cells, strict=True):
        west, south, east, north = (params.add(value) for value in piece)
        terms = [
            f"v.cell in (select value from json_each({params.add(json.dumps(numbers))}))",
            f"v.x1 >= {west} and v.x0 <= {east} and v.y1 >= {south} and v.y0 <= {north}",
            *_times("v", search, shelf, params),
            *[_compare("v.cloud", op, _checked(name, op, value), params) for name, op, value in clouds],
        ]
        hits.append(f"select v.k from cover v where {' and '.join(terms)}")
    # `union` also takes an item once that stands in several cells.
    none = "select null where 0"
    return f"with hit(k) as ({' union '.join([*hits, none])})", "hit cross join item i not indexed on i.k = hit.k"


def _times(table: str, search: Search, shelf: Shelf, params: _Parameters) -> list[str]:
    terms = []
    if search.start_ms is not None:
        # An item that began before the interval may reach into it: the index is asked from the longest item back.
        terms.append(f"{table}.t >= {params.add(search.start_ms - shelf.longest_ms)}")
        if table == "i":
            terms.append(f"i.t2 >= {params.add(search.start_ms)}")
    if search.end_ms is not None:
        terms.append(f"{table}.t < {params.add(search.end_ms)}")
    return terms


def _places(area: list[Bbox] | None, params: _Parameters) -> list[str]:
    if area is None:
        return []
    terms = ["0"]
    for piece in area:
        w, s, e, n = (params.add(v) for v in piece)
        starts, ends = f"i.x0 <= {e}", f"i.x1 >= {w}"
        across = f"i.x0 > i.x1 and ({starts} or {ends})"
        terms.append(f"(({starts} and {ends} or {across}) and i.y0 <= {n} and i.y1 >= {s})")
    return [f"({' or '.join(terms)})"]


def _condition(shelf: Shelf, name: str, op: str, value: Any, params: _Parameters) -> str:
    _known(name, shelf)
    value = _checked(name, op, value)
    if name in HOT:
        return _compare(f"i.{HOT[name][0]}", op, value, params)
    if name not in shelf.declared:
        return f"holds(i.c, {_DOC}, {params.add(name)}, {params.add(op)}, {params.add(value)})"
    has = f"exists (select 1 from prop p where p.k = i.k and p.name = {params.add(name)}"
    if op == "!=":
        return f"({has}) and not {has} and p.value = {params.add(value)}))"
    kind = "typeof(p.value) = 'text'" if isinstance(value, str) else "typeof(p.value) <> 'text'"
    return f"{has} and {kind} and {_compare('p.value', op, value, params)})"


def _compare(sql: str, op: str, value: Any, params: _Parameters) -> str:
    return f"{sql} {op} {params.add(value)}"  # `op` is one of OPERATORS: `_checked` has seen it


def _sorted_by(name: str, shelf: Shelf, params: _Parameters) -> str:
    if name in _ALWAYS:
        return _ALWAYS[name]
    _known(name, shelf)
    if name in HOT:
        return f"i.{HOT[name][0]}"
    if name in shelf.declared:
        return f"(select min(p.value) from prop p where p.k = i.k and p.name = {params.add(name)})"
    return f"property(i.c, {_DOC}, {params.add(name)})"


def _behind(search: Search, after: Sequence[Any], params: _Parameters) -> str:
    """The rows after a position, in lexicographic order over the sorted columns."""
    columns: list[tuple[str, bool, Any]] = []
    for n, (_, ascending) in enumerate(search.sort):
        columns.append((f"(s{n} is null)", True, int(after[n] is None)))
        if after[n] is not None:
            columns.append((f"s{n}", ascending, after[n]))
    columns += [("i.t", False, after[-2]), ("i.id", True, after[-1])]
    alternatives = []
    for n, (sql, ascending, value) in enumerate(columns):
        equal = [f"{s} = {params.add(v)}" for s, _, v in columns[:n]]
        alternatives.append(" and ".join([*equal, f"{sql} {'>' if ascending else '<'} {params.add(value)}"]))
    newest = "" if search.sort else f"i.t <= {params.add(after[-2])} and "  # lets the index start there
    return f"{newest}({' or '.join(alternatives)})"


def _known(name: str, shelf: Shelf) -> None:
    # A collection without items has no properties yet, and nothing to be missed.
    if shelf.names and name not in shelf.names:
        raise NotFound.name(
            "property", name, shelf.names, within=f'the items of "{shelf.id}"', collection=shelf.id, argument=name
        )


def _checked(name: str, op: str, value: Any) -> Any:
    if op not in OPERATORS:
        raise InvalidArgument(
            f'"{op}" is no operator.', hint=f"Operators are {' '.join(OPERATORS)}.", argument="filter"
        )
    if not isinstance(value, (str, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidArgument(
            f"{name} cannot be compared with {value!r}.", hint="Give a number or a text.", argument="filter"
        )
    numeric = name in HOT and HOT[name][1] is not str
    if name in HOT and isinstance(value, str) is numeric:
        raise InvalidArgument(f"{name} is a {'number' if numeric else 'text'}; {value!r} is not.", argument="filter")
    # SQLite's integers have 64 bits; one beyond them compares as the float next to it.
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value
