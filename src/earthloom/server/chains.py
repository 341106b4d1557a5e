"""Chains: kept by key, and what their colours mean."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from earthloom.engine.engine import Engine
from earthloom.engine.legend import legend
from earthloom.engine.legend_svg import legend_svg
from earthloom.engine.plan import Plan, plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.server.access import Tenant
from earthloom.server.addresses import address
from earthloom.server.body import OPENAPI, Document, Json
from earthloom.server.context import TheContext, TheEngine, has_functions

router = APIRouter(tags=["chains"])


@router.post("/chains", openapi_extra=OPENAPI)
async def keep(request: Request, document: Document, context: TheContext, who: Tenant) -> Response:
    """Check a chain and keep it.

    The body is `{"process_graph": ...}`, `{"process": {"process_graph": ...}}` or the graph itself. The answer holds
    its key, the addresses of its tiles, TileJSON and legend, warnings, and of its values the dimensions and the names
    of the bands (null without that dimension). Functions of a new chain are tried once: their mistakes are told here.
    """
    functions = has_functions(document)
    plan = await context.run(who, functions, _put, context.engine, document, who)
    key, value, warnings = plan.key, plan.steps[plan.value], list(plan.warnings)
    if functions and context.engine.sandbox.report().level == "none":
        warnings.append("This machine has no fences for functions: yours run in a plain process, not isolated.")
    return Json(
        {
            "key": key,
            "tiles": address(request, f"/tiles/{key}/{{z}}/{{x}}/{{y}}.png"),
            "tilejson": address(request, f"/tiles/{key}/tilejson.json"),
            "legend": address(request, f"/legend/{key}"),
            "warnings": warnings,
            "dims": value.dims,
            "bands": value.names if "bands" in value.dims else None,
        },
        status_code=201,
        headers={"Location": address(request, f"/chains/{key}")},
    )


def _put(engine: Engine, document: dict[str, Any], tenant: str) -> Plan:
    return plan_for(engine, engine.put(document, tenant), tenant)


@router.get("/chains/{key}")
def graph(key: str, engine: TheEngine) -> Response:
    """The graph of a key, as it was first posted."""
    return Json({"key": key, "process_graph": engine.graph(key)})


@router.get("/legend/{key}.svg", responses={200: {"content": {"image/svg+xml": {}}}})
async def picture_of_colours(key: str, context: TheContext, who: Tenant) -> Response:
    """What the colours of a chain mean, as a picture."""
    document = await context.run(who, await context.uses_functions(key), _legend, context.engine, key, who)
    return Response(legend_svg(document), media_type="image/svg+xml", headers={"Cache-Control": "no-cache"})


@router.get("/legend/{key}")
async def colours(key: str, context: TheContext, who: Tenant) -> Response:
    """What the colours of a chain mean: kind `ramp`, `classes` or `rgb`."""
    document = await context.run(who, await context.uses_functions(key), _legend, context.engine, key, who)
    return Json(document, headers={"Cache-Control": "no-cache"})


def _legend(engine: Engine, key: str, tenant: str) -> dict[str, Any]:
    plan = plan_for(engine, key, tenant)
    return legend(style_for(engine, plan, selection_for(engine, plan), tenant))
