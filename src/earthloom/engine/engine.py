"""The engine: a catalogue, a reader, a store and places, with what is kept between requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from earthloom.base import times
from earthloom.base.asset import Asset
from earthloom.base.errors import InvalidGraph, NotFound
from earthloom.base.lru import Lru
from earthloom.catalog.normalise import assets_of
from earthloom.catalog.places import Places
from earthloom.catalog.protocol import Bbox, Catalogue, Footprint, Search
from earthloom.catalog.sqlite import SqliteCatalogue
from earthloom.chain.graph import Node
from earthloom.chain.key import key
from earthloom.chain.parse import graph_of, parse
from earthloom.engine import encode, paint
from earthloom.engine.function import Shape, Udf
from earthloom.engine.plan import Plan, compile_plan
from earthloom.engine.selection import Selection, SourceItems, selection_for
from earthloom.engine.source import Source, source_of
from earthloom.engine.style import Style
from earthloom.engine.udf import functions_of, try_function
from earthloom.processes import terrain
from earthloom.processes.define import get_process
from earthloom.raster import warp
from earthloom.raster.mosaic import MosaicReader
from earthloom.raster.reader import Reader
from earthloom.sandbox.function import Function
from earthloom.sandbox.sandbox import Sandbox
from earthloom.sandbox.settings import SandboxSettings
from earthloom.stores.open import DEFAULT_DAYS, open_store
from earthloom.stores.protocol import Store
from earthloom.stores.uses import Uses

PLANS, SELECTIONS, STYLES, FUNCTIONS = 1000, 200, 2000, 2000  # kept in memory


class Engine:
    """Chains in, pictures and values out.

    Parameters
    ----------
    catalogue, reader, store, places
        The parts that it works with.
    sandbox
        Limits of the users' own functions; None takes the defaults. Nothing is started before the first one runs.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        reader: Reader,
        store: Store,
        places: Places,
        sandbox: SandboxSettings | None = None,
    ) -> None:
        self.catalogue, self.reader, self.store, self.places = catalogue, reader, store, places
        self.uses = Uses(store)
        self.sandbox = Sandbox(sandbox)
        self.plans: Lru[str, Plan] = Lru(PLANS)
        self.selections: Lru[str, Selection] = Lru(SELECTIONS)
        self.items: Lru[str, SourceItems] = Lru(SELECTIONS)
        self.styles: Lru[str, Style] = Lru(STYLES)
        self.shapes: Lru[tuple[str, tuple[int, ...]], Shape] = Lru(FUNCTIONS)
        self._functions: Lru[str, tuple[Function, ...]] = Lru(FUNCTIONS)
        self._docs: dict[str, tuple[int, dict[str, Any]]] = {}

    def put(self, document: Mapping[str, Any], tenant: str = "local") -> str:
        """Check a chain and keep it. Functions of a new chain are tried once, see `udf.try_function`.

        Parameters
        ----------
        document
            `{"process_graph": ...}`, `{"process": ...}` or a bare graph.
        tenant
            Who posts it.

        Returns
        -------
        Its key.

        Raises
        ------
        EarthloomError
            If the graph is none, names something that is not there, or one of its functions fails.
        """
        node = parse(document)
        name = key(node)
        if self.kept_plan(name) is None:
            # Before the trial: what a function printed until it failed is wanted most.
            self._functions.put(name, functions_of(node))
            selection_for(self, self.compile(node, tenant))
        self.store.put(name, dict(graph_of(document)))
        return name

    def compile(self, node: Node, tenant: str) -> Plan:
        """The plan of a chain, kept from now on."""

        def learn(before: Plan, udf: Udf, digest: str) -> Shape:
            return try_function(self, before, udf, digest, tenant)

        plan = compile_plan(node, self.bands_of, learn)
        functions = [plan.steps[i] for i in plan.functions]
        if any("t" in plan.steps[s.inputs["data"]].dims for s in functions):
            plan = replace(plan, revision=self.revisions(plan))
        if all(s.shape is not None and s.shape.known for s in functions):
            self.plans.put(plan.key, plan)
        return plan

    def kept_plan(self, key: str) -> Plan | None:
        """The plan of a key, if it is kept here and still holds."""
        plan = self.plans.get(key)
        if plan is None or (plan.revision is not None and plan.revision != self.revisions(plan)):
            return None
        self.uses.note(key)
        return plan

    def functions(self, key: str) -> tuple[Function, ...]:
        """The users' functions of a chain, also of one that was refused because one of them failed."""
        found = self._functions.get(key)
        if found is None:
            found = functions_of(parse(self.graph(key)))
            self._functions.put(key, found)
        return found

    def graph(self, key: str) -> dict[str, Any]:
        """The process graph of a key; NotFound if it is not kept here."""
        graph = self.store.get(key)
        if graph is None:
            raise no_chain(key)
        self.uses.note(key)
        return graph

    def collections(self) -> list[dict[str, Any]]:
        """All collections as STAC documents."""
        return self.catalogue.collections()

    def collection(self, id: str) -> dict[str, Any]:
        """A collection as STAC document; NotFound with the nearest names if there is none."""
        revision = self.revision(id)
        cached = self._docs.get(id)
        if cached is not None and cached[0] == revision:
            return cached[1]
        found = self.catalogue.collections([id])
        if not found:
            raise NotFound.name("collection", id, [c["id"] for c in self.catalogue.collections()], collection=id)
        self._docs[id] = (revision, found[0])
        return found[0]

    def band_docs(self, collection: str) -> Sequence[Mapping[str, Any]]:
        """The bands of a collection as ingested."""
        bands: Sequence[Mapping[str, Any]] = self.collection(collection).get("bands", [])
        return bands

    def bands_of(self, collection: str) -> tuple[str, ...]:
        """Names of the bands of a collection."""
        return tuple(b["name"] for b in self.band_docs(collection))

    def epsg_of(self, collection: str) -> int:
        """CRS of the collection's first item."""
        return int(self.collection(collection).get("earthloom:epsg", 4326))

    def attribution(self, plan: Plan) -> str:
        """Whom the collections of a plan ask to name."""
        names = dict.fromkeys(s.query.collection for s in plan.sources.values())
        return " · ".join(filter(None, (str(self.collection(c).get("attribution", "")) for c in names)))

    def revision(self, collection: str) -> int:
        """Number that grows whenever the collection changes."""
        return self.catalogue.changes(collection, since=2**62)[0]

    def revisions(self, plan: Plan) -> tuple[int, ...]:
        """Revision of each collection that a plan reads, by name."""
        collections = sorted({s.query.collection for s in plan.sources.values()})
        return tuple(self.revision(c) for c in collections)

    def assets(self, collection: str, ids: Sequence[str]) -> dict[str, list[Asset]]:
        """What can be read of some items."""
        document = self.collection(collection)
        found: dict[str, list[Asset]] = {i: [] for i in ids}
        if not found:
            return found
        page = self.catalogue.search(Search(collection, ids=tuple(ids)), page=len(ids))
        for text, base in zip(page.items, page.bases, strict=True):
            item = json.loads(text)
            found[item["id"]] = assets_of(item, document, base)
        return found

    def place(self, name: str, country: str | None = None) -> dict[str, Any]:
        """A place by name."""
        place = self.places.find(name, country)
        return {
            "name": place.name,
            "country": place.country,
            "kind": place.kind,
            "geometry": place.geometry,
            "bbox": list(place.bbox),
        }

    def search(self, graph: Mapping[str, Any], items: bool = False) -> dict[str, Any]:
        """What a collection's graph selects; see `chain.session.Session.search`."""
        node = parse(graph)
        if get_process(node.process_id).kind != "source":
            raise InvalidGraph(f"{node.process_id} selects no items.", hint="Send load_collection or select_items.")
        source = source_of(node, self.bands_of, None)
        found = self.catalogue.cover(source.query)[0]
        document = self.collection(source.query.collection)
        answer: dict[str, Any] = {
            "matched": len(found),
            "dates": sorted({times.to_text(times.from_ms(f.t_ms)) for f in found}),
            "bbox": _union(found),
            "bands": document.get("bands", []),
            "title": document.get("title", ""),
            "attribution": document.get("attribution", ""),
            "epsg": document.get("earthloom:epsg"),
        }
        if not found:
            answer["nearest"] = self._nearest_date(source)
        if items:
            texts = self.catalogue.get(source.query.collection, [f.id for f in found])
            answer["items"] = [json.loads(t) for t in texts]
        return answer

    def _nearest_date(self, source: Source) -> str | None:
        """The date nearest to an empty period that has items; None if the period is not the reason."""

        query = source.query
        if query.start_ms is None and query.end_ms is None:
            return None
        others = self.catalogue.cover(replace(query, start_ms=None, end_ms=None, limit=None))[0]
        middle = [m for m in (query.start_ms, query.end_ms) if m is not None]
        wanted = sum(middle) / len(middle)
        if not others:
            return None
        return times.to_text(times.from_ms(min(others, key=lambda f: abs(f.t_ms - wanted)).t_ms))

    def warm(self) -> None:
        """Compile the kernels, so that no user's tile waits for the compiler."""
        for part in (warp, paint, encode, terrain):
            part.warm()

    def close(self) -> None:
        """Close files and databases, and end the users' functions."""
        for part in (self.uses, self.sandbox, self.catalogue, self.reader, self.store):
            close = getattr(part, "close", None)
            if close is not None:
                close()


def no_chain(key: str) -> NotFound:
    """The error for a key that is not kept here, or that who asks may not know of."""
    return NotFound(f'No chain "{key}" is kept here.', hint="Post it again to /chains.", key=key)


def open_engine(
    data: Path,
    *,
    places: Path | None = None,
    cache_bytes: int | None = None,
    store: str | None = None,
    store_days: float = DEFAULT_DAYS,
    sandbox: SandboxSettings | None = None,
) -> Engine:
    """The engine of a data folder, made where it is not there.

    Parameters
    ----------
    data
        Folder of catalogue.sqlite.
    places
        Folder with the files of places; None takes `places` in the data folder.
    cache_bytes
        Limit of the decoded blocks in memory; None takes a quarter of the machine's.
    store, store_days
        Where chains are kept and how long, see `open_store`; None takes chains.sqlite in the data folder.
    sandbox
        Limits of the users' own functions; None takes the defaults.
    """
    data.mkdir(parents=True, exist_ok=True)
    chains = open_store(store, data, store_days)
    chains.check()
    return Engine(
        catalogue=SqliteCatalogue(data / "catalogue.sqlite"),
        reader=MosaicReader(cache_bytes=cache_bytes),
        store=chains,
        places=Places(places or data / "places"),
        sandbox=sandbox,
    )


def _union(items: Sequence[Footprint]) -> Bbox | None:
    """Rectangle around items in degrees; the whole circle of longitudes where one crosses 180 degrees."""
    boxes = [f.bbox for f in items if f.bbox is not None]
    if not boxes:
        return None
    w, s, e, n = zip(*boxes, strict=True)
    if any(b[0] > b[2] for b in boxes):
        return -180.0, min(s), 180.0, max(n)
    return min(w), min(s), max(e), max(n)
