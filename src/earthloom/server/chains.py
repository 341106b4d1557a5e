"""Chains: kept by key, and what their colours mean."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from earthloom.engine.legend import legend
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.server.addresses import address
from earthloom.server.body import OPENAPI, Document, Json
from earthloom.server.context import TheEngine

router = APIRouter(tags=["chains"])


@router.post("/chains", openapi_extra=OPENAPI)
def keep(request: Request, document: Document, engine: TheEngine) -> Response:
    """Check a chain and keep it.

    The body is `{"process_graph": ...}`, `{"process": {"process_graph": ...}}` or the graph itself. The answer holds
    its key, the addresses of its tiles, TileJSON and legend, and warnings.
    """
    key = engine.put(document)
    return Json(
        {
            "key": key,
            "tiles": address(request, f"/tiles/{key}/{{z}}/{{x}}/{{y}}.png"),
            "tilejson": address(request, f"/tiles/{key}/tilejson.json"),
            "legend": address(request, f"/legend/{key}"),
            "warnings": list(plan_for(engine, key).warnings),
        },
        status_code=201,
        headers={"Location": address(request, f"/chains/{key}")},
    )


@router.get("/chains/{key}")
def graph(key: str, engine: TheEngine) -> Response:
    """The graph of a key, as it was first posted."""
    return Json({"key": key, "process_graph": engine.graph(key)})


@router.get("/legend/{key}")
def colours(key: str, engine: TheEngine) -> Response:
    """What the colours of a chain mean: kind `ramp`, `classes` or `rgb`."""
    plan = plan_for(engine, key)
    style = style_for(engine, plan, selection_for(engine, plan))
    return Json(legend(style), headers={"Cache-Control": "no-cache"})
