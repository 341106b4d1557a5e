"""What the engine and the doors ask of a catalogue: collections, items, covers, changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Bbox = tuple[float, float, float, float]
OnConflict = Literal["newer", "replace", "skip", "fail"]


@dataclass(frozen=True, slots=True)
class Search:
    """Which items, in which order.

    Parameters
    ----------
    collection
        Id of the collection.
    bbox
        (west, south, east, north) in degrees; west > east crosses the antimeridian.
    intersects
        A GeoJSON geometry in degrees.
    start_ms, end_ms
        Half-open interval of time, milliseconds since 1970; None is open.
    properties
        Conditions (name, operator, value), all of which must hold; operators = != < <= > >=.
    sort
        (property, ascending) pairs; after them always newest first, then id.
    limit
        The first so many in that order; None is all.
    ids
        Only these items.
    """

    collection: str
    bbox: Bbox | None = None
    intersects: dict[str, Any] | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    properties: tuple[tuple[str, str, Any], ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Items in order as JSON texts, and what belongs to them.

    Parameters
    ----------
    items
        The items, as they were delivered.
    bases
        For each item where it was read from: its relative addresses are resolved against this (`assets_of`). Empty
        if nobody told.
    next
        Continues the search; None at its end.
    matched
        Number of items of the whole search, if it was asked for.
    """

    items: list[bytes]
    bases: list[str]
    next: str | None = None
    matched: int | None = None


@dataclass(frozen=True, slots=True)
class PutReport:
    """What a batch did.

    Parameters
    ----------
    added, replaced
        Number of new items, and of items with a new content.
    same
        Number of items that were left as they were: equal, or not newer, or to be skipped.
    rejected
        (id, reason) of the items that were refused.
    revision
        The collection's revision after the batch.
    """

    added: int = 0
    replaced: int = 0
    same: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """One item of a cover: its id, its time (milliseconds since 1970) and its rectangle in degrees.

    An item without a place has no rectangle; it stands in covers without boxes only.
    """

    id: str
    t_ms: int
    bbox: Bbox | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a collection: the revision that it made, the time and the rectangle that it touched.

    A rectangle of None is everywhere.
    """

    revision: int
    t0_ms: int
    t1_ms: int
    bbox: Bbox | None


class Catalogue(Protocol):
    """A system of record of STAC collections and items. Safe to use from several threads."""

    def put_collection(self, doc: dict[str, Any]) -> None:
        """Add or replace a collection (a STAC Collection document)."""
        ...

    def collections(self, ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The collection documents, by id; unknown ids are left out."""
        ...

    def put(
        self,
        collection: str,
        items: Iterable[bytes | dict[str, Any]],
        *,
        bases: Iterable[str] | None = None,
        on_conflict: OnConflict = "newer",
    ) -> PutReport:
        """Add or replace items in one transaction; a bad item is rejected with its reason and stops nothing.

        Parameters
        ----------
        collection
            Id of the collection, which exists.
        items
            STAC items.
        bases
            For each item where it was read from (path or address of its JSON); without it the item's `self` link
            tells.
        on_conflict
            What happens to an item whose id is there with another content: `newer` replaces it unless its `updated`
            (else `created`) is older, `replace` always does, `skip` never, `fail` raises and puts nothing.
        """
        ...

    def properties(self, collection: str) -> list[str]:
        """Names of the properties that items of the collection have, sorted."""
        ...

    def get(self, collection: str, ids: Sequence[str]) -> list[bytes]:
        """Items as JSON texts, in the order of `ids`; unknown ones are left out."""
        ...

    def search(self, query: Search, *, token: str | None = None, page: int = 1000, count: bool = False) -> Page:
        """One page of the items of a search, in its order."""
        ...

    def cover(self, query: Search, boxes: Sequence[Bbox] | None = None) -> list[list[Footprint]]:
        """For each box the items of the search whose footprint meets it, in the search's order.

        Without boxes one list: all items of the search. `limit` counts before the boxes cut.
        """
        ...

    def changes(self, collection: str, since: int = 0) -> tuple[int, list[Change]]:
        """The revision now, and what changed after revision `since`."""
        ...
