"""What the catalogue decides for a plan: its items, their order, the labels of time.

A selection is kept until the catalogue changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earthloom.base import times
from earthloom.base.asset import Asset
from earthloom.base.canon import digest
from earthloom.base.errors import ReadError
from earthloom.catalog.protocol import Bbox, Footprint
from earthloom.engine.source import Source
from earthloom.engine.stored import Stored, offset_of, stored_of

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine
    from earthloom.engine.plan import Plan

WIDE = ("int32", "uint32", "int64", "uint64", "float64")  # computed in float64, all others in float32
OFFSETS_LOOKED_UP = 1000  # items of a source whose offsets decide on the type of its digital numbers


@dataclass(frozen=True, eq=False, slots=True)
class SourceItems:
    """The items of one source.

    Parameters
    ----------
    items
        In the catalogue's order.
    labels
        The distinct date-times of all items, ascending.
    boxes
        Rectangle of each item in degrees, (items, 4).
    dtype
        float32, or float64 if a band is stored wider.
    stored
        What the files hold, by band; only of sources of other than physical values.
    """

    items: tuple[Footprint, ...]
    labels: tuple[str, ...]
    boxes: NDArray[np.float64]
    dtype: str
    find_assets: Callable[[Sequence[str]], Mapping[str, Sequence[Asset]]]
    stored: Mapping[str, Stored]

    def meeting(self, box: Bbox) -> list[Footprint]:
        """The items whose rectangle meets a box, in order."""
        if not len(self.items):
            return []
        west, south, east, north = box
        w, s, e, n = self.boxes.T
        across = np.where(w <= e, (w <= east) & (e >= west), (w <= east) | (e >= west))
        return [self.items[i] for i in np.flatnonzero(across & (s <= north) & (n >= south))]

    @staticmethod
    def label(item: Footprint) -> str:
        """Label of an item on the axis t."""
        return times.to_text(times.from_ms(item.t_ms))

    def assets(self, items: Sequence[Footprint], source: Source) -> list[Asset]:
        """The assets of some items for the bands of the source, in the order of the items.

        Those of stored or digital numbers have no scale.

        Raises
        ------
        ReadError
            If an item stores other numbers than the collection says.
        """
        found = self.find_assets([f.id for f in items])
        assets = [a for f in items for a in found[f.id] if a.band in source.bands]
        if source.numbers == "physical":
            return assets
        for a in assets:
            if not np.can_cast(a.dtype, self.stored[a.band].dtype):
                raise ReadError(
                    f"{a.band} of {a.item} is stored as {a.dtype}, in other items as {self.stored[a.band].dtype}.",
                    hint="Compute with physical values.",
                    item=a.item,
                    band=a.band,
                    file=a.href,
                )
        return [replace(a, scale=1.0, offset=offset_of(a) if source.numbers == "digital" else 0.0) for a in assets]


@dataclass(frozen=True, eq=False, slots=True)
class Selection:
    """The items of all sources of a plan, at one state of the catalogue."""

    sources: Mapping[int, SourceItems]
    revision: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Whether no source has an item."""
        return not any(s.items for s in self.sources.values())

    @property
    def bbox(self) -> Bbox | None:
        """Rectangle of all items in degrees; None if there are none, the world where one crosses 180 degrees."""
        boxes = [s.boxes for s in self.sources.values() if len(s.items)]
        if not boxes:
            return None
        w, s, e, n = np.concatenate(boxes).T
        if (w > e).any():
            return -180.0, float(s.min()), 180.0, float(n.max())
        return float(w.min()), float(s.min()), float(e.max()), float(n.max())

    def digest(self, box: Bbox) -> str:
        """Digest of the items that meet a box, and of their revision: part of a tile's ETag."""
        return digest([[f.id for f in s.meeting(box)] for s in self.sources.values()] + [list(self.revision)])


def selection_for(engine: Engine, plan: Plan) -> Selection:
    """The selection of a plan, from the cache while the catalogue's collections stay as they are.

    Raises
    ------
    NotFound
        If a filter names a property that no item has.
    """
    sources = plan.sources
    revision = engine.revisions(plan)
    cached = engine.selections.get(plan.key)
    if cached is not None and cached.revision == revision:
        return cached
    chosen = {i: _kept_items(engine, source) for i, source in sources.items()}
    selection = Selection(chosen, revision)
    engine.selections.put(plan.key, selection)
    return selection


def _kept_items(engine: Engine, source: Source) -> SourceItems:
    """The items of a source; chains that differ in other steps, as by a moved argument, share them."""
    name = digest([asdict(source), engine.revision(source.query.collection)])
    items = engine.items.get(name)
    if items is None:
        items = _items(engine, source)
        engine.items.put(name, items)
    return items


def _items(engine: Engine, source: Source) -> SourceItems:
    collection = source.query.collection
    # An item without a geometry can be found, but has no place on a grid.
    items = [f for f in engine.catalogue.cover(source.query)[0] if f.bbox is not None]
    assets: dict[str, Sequence[Asset]] = {}

    def find(ids: Sequence[str]) -> Mapping[str, Sequence[Asset]]:
        missing = [i for i in ids if i not in assets]
        if missing:
            assets.update(engine.assets(collection, missing))
        return assets

    if not source.mosaic:
        # The axis of time must not hold items without any of the bands; a mosaic does not see them anyway.
        found = find([f.id for f in items])
        items = [f for f in items if any(a.band in source.asked for a in found[f.id])]
    docs = {b["name"]: b for b in engine.band_docs(collection)}
    wide = any(docs[b].get("data_type", "float32") in WIDE for b in source.bands)
    stored: dict[str, Stored] = {}
    if source.numbers != "physical":
        for band in source.bands:
            offsets = _offsets(items, band, find) if source.numbers == "digital" else ()
            stored[band] = stored_of(docs[band], offsets, exact=source.method == "near")
    return SourceItems(
        items=tuple(items),
        labels=tuple(sorted({SourceItems.label(f) for f in items})),
        boxes=np.array([f.bbox for f in items], np.float64).reshape(-1, 4),
        dtype="float64" if wide else "float32",
        find_assets=find,
        stored=stored,
    )


def _offsets(
    items: Sequence[Footprint], band: str, find: Callable[[Sequence[str]], Mapping[str, Sequence[Asset]]]
) -> list[int] | None:
    """The offsets of a band's digital numbers; None if there are too many items to look at each."""
    if len(items) > OFFSETS_LOOKED_UP:
        return None
    found = find([f.id for f in items])
    return [offset_of(a) for f in items for a in found[f.id] if a.band == band]
