"""What there is: collections, the items that a graph selects, places by name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from earthloom.base.errors import InvalidArgument
from earthloom.engine.thumbnail import thumbnail
from earthloom.server.body import OPENAPI, Document, Json
from earthloom.server.context import TheEngine
from earthloom.server.rights import WhoSees

router = APIRouter(tags=["data"])


@router.get("/collections")
def collections(engine: TheEngine, who: WhoSees) -> Response:
    """All collections that the asker may see, as STAC documents."""
    return Json({"collections": [c for c in engine.collections() if who.collection(c["id"])], "links": []})


@router.get("/collections/{id}")
def collection(id: str, engine: TheEngine) -> Response:
    """One collection, with its bands as ingested."""
    return Json(engine.collection(id))


@router.get("/collections/{id}/thumbnail.png", responses={200: {"content": {"image/png": {}}}})
def thumbnail_of(id: str, engine: TheEngine, size: Annotated[int, Query(ge=16, le=512)] = 256) -> Response:
    """A small picture of a collection's newest items."""
    return Response(thumbnail(engine, id, size), media_type="image/png", headers={"Cache-Control": "no-cache"})


@router.post("/search", openapi_extra=OPENAPI)
def search(document: Document, engine: TheEngine) -> Response:
    """What the graph of a collection selects.

    The body is `{"process_graph": ..., "items": false}`. The answer holds `matched`, `dates`, `bbox`, `bands`, `title`,
    `attribution`, with `items` true also the STAC items in order, and for an empty selection `nearest`, the nearest
    date that has items.
    """
    graph = document.get("process_graph")
    if not isinstance(graph, dict):
        raise InvalidArgument("The body has no process graph.", argument="process_graph")
    return Json(engine.search(graph, items=bool(document.get("items", False))))


@router.get("/places")
def places(engine: TheEngine, name: Annotated[str, Query(max_length=200)], country: str | None = None) -> Response:
    """A place by name, in the country with this two-letter code if one is given."""
    return Json(engine.place(name, country))
