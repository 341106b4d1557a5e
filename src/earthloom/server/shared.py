"""The layers that the page shows: shared, listed, taken back; and the map that lies under them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.chain.collection import ImageCollection
from earthloom.engine.engine import no_chain
from earthloom.server.access import Tenant
from earthloom.server.body import OPENAPI, Document, Json
from earthloom.server.context import TheEngine
from earthloom.server.rights import Sight, WhoSees
from earthloom.server.shares import Shares

router = APIRouter(tags=["page"])

_BASEMAP = "basemap"  # the collection that lies under everything, where the server has it


def _shares(request: Request) -> Shares:
    found: Shares = request.app.state.shares
    return found


TheShares = Annotated[Shares, Depends(_shares)]


@router.get("/shared")
def layers(shares: TheShares, sees: WhoSees) -> Response:
    """All shared layers that the asker may see, the top one first: `key`, `name`, `who` shared it and when (`at`)."""
    return Json(_listed(shares, sees), headers={"Cache-Control": "no-store"})


@router.post("/shared", openapi_extra=OPENAPI)
def share(document: Document, shares: TheShares, engine: TheEngine, who: Tenant, sees: WhoSees) -> Response:
    """Show a chain on the page. The body is `{"key": ..., "name": ...}`; the chain has been posted before.

    A layer of the same name that you shared shows the new chain from now on.
    """
    for argument in ("key", "name"):
        if not isinstance(document.get(argument), str):
            raise InvalidArgument(f'The body has no text "{argument}".', argument=argument)
    if not sees.chain(document["key"]):
        raise no_chain(document["key"])
    engine.graph(document["key"])  # NotFound, if it is not kept here
    shares.add(document["key"], document["name"], who)
    return Json(_listed(shares, sees), status_code=201)


@router.delete("/shared/{key}")
def take_back(key: str, shares: TheShares, who: Tenant, sees: WhoSees) -> Response:
    """Take a layer off the page. Who shared it can; its chain is kept."""
    shares.remove(key, who)
    return Json(_listed(shares, sees))


@router.get("/basemap")
def basemap(engine: TheEngine, who: Tenant, sees: WhoSees) -> Response:
    """What lies under the layers: `key` of a chain and `title`; NotFound where there is none."""
    known = [c["id"] for c in engine.collections() if sees.collection(c["id"])]
    if _BASEMAP not in known:
        raise NotFound.name("collection", _BASEMAP, known, collection=_BASEMAP)
    about = engine.collection(_BASEMAP)
    # Its pixels are far larger than those of the map: without bilinear they would be seen as squares.
    smooth = ImageCollection(_BASEMAP).mosaic().resample_spatial(method="bilinear")
    key = engine.put(smooth.rgb("red", "green", "blue", stretch=(0, 255)).graph, who)
    return Json({"key": key, "title": about.get("title") or "Basemap"}, headers={"Cache-Control": "no-cache"})


def _listed(shares: Shares, sees: Sight) -> dict[str, object]:
    return {"layers": [asdict(share) for share in shares.all() if sees.chain(share.key)]}
