"""A small picture of a collection, for lists of collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from earthloom.base.errors import InvalidArgument
from earthloom.chain.parse import parse
from earthloom.engine.encode import encode
from earthloom.engine.evaluate import evaluate
from earthloom.engine.paint import paint
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.engine.views import preview_grid

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine

# Of a long series, the newest: all of them would take minutes.
ITEMS = 24
COLOURS = ("red", "green", "blue")


def thumbnail(engine: Engine, collection: str, size: int) -> bytes:
    """A PNG of the newest items, in their true colours if there are such bands, else of the first band in grey.

    Nothing is kept in the store of chains.
    """
    bands = _bands(collection, engine.band_docs(collection))
    load = {"id": collection, "spatial_extent": None, "temporal_extent": None, "bands": bands}
    graph = {
        "load": {"process_id": "load_collection", "arguments": load},
        "newest": {"process_id": "select_items", "arguments": {"data": {"from_node": "load"}, "limit": ITEMS}},
        "mosaic": {"process_id": "mosaic", "arguments": {"data": {"from_node": "newest"}}, "result": True},
    }
    plan = engine.compile(parse(graph), "local")
    selection = selection_for(engine, plan)
    style = style_for(engine, plan, selection)
    grid = preview_grid(engine, plan, selection, size)
    return encode(paint(evaluate(plan, grid, selection, engine, shown=True), style))


def _bands(collection: str, docs: Sequence[Mapping[str, Any]]) -> list[str]:
    if not docs:
        raise InvalidArgument(f"{collection} has no band to show.", collection=collection)
    called = {doc.get("eo:common_name", doc["name"]): doc["name"] for doc in reversed(docs)}
    if called.keys() >= set(COLOURS):
        return [called[colour] for colour in COLOURS]
    return [docs[0]["name"]]
