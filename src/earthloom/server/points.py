"""Values and pictures of a chain off the tiles' path: at a point, in small, and as an array."""

from __future__ import annotations

from typing import IO, Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from earthloom.base.cube import Cube
from earthloom.base.errors import InvalidArgument
from earthloom.base.grid import MAX_ZOOM
from earthloom.engine.encode import encode
from earthloom.engine.engine import Engine
from earthloom.engine.evaluate import evaluate
from earthloom.engine.paint import paint
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.statistics import statistics
from earthloom.engine.stretch import style_for
from earthloom.engine.views import compute_grid, point_grid, preview_grid
from earthloom.server.access import Tenant
from earthloom.server.body import OPENAPI, Document, Json
from earthloom.server.context import TheContext, has_functions
from earthloom.server.npz import NPZ, grid_document, send, write_cube
from earthloom.server.tokens import LOCAL

router = APIRouter(tags=["values"])


def get_point(engine: Engine, key: str, lon: float, lat: float, z: int, tenant: str = LOCAL) -> Cube:
    """The values of a chain in the one pixel of zoom `z` that holds the point."""
    plan = plan_for(engine, key, tenant)
    selection = selection_for(engine, plan)
    return evaluate(plan, point_grid(lon, lat, z), selection, engine, tenant=tenant)


@router.get("/point/{key}")
async def point(
    context: TheContext,
    who: Tenant,
    key: str,
    lon: Annotated[float, Query(ge=-180, le=180)],
    lat: Annotated[float, Query(ge=-90, le=90)],
    z: Annotated[int, Query(ge=0, le=MAX_ZOOM)],
) -> Response:
    """The values before colour at a place: of the very pixel that a tile of zoom `z` shows there.

    `values` has the dimensions `dims` (none: a number), with their `labels`; null is no data.
    """
    functions = await context.uses_functions(key)
    cube = await context.run(who, functions, get_point, context.engine, key, lon, lat, z, who, layer=key)
    dims = cube.dims[:-2]
    document = {
        "lon": lon,
        "lat": lat,
        "z": z,
        "dims": dims,
        "labels": {d: cube.labels[d] for d in dims},
        # As float32, whose shortest text is sent (0.0357, not 0.0357000008); [()] makes a scalar of no dimensions.
        "values": cube.values[..., 0, 0].copy()[()],
    }
    return Json(document, headers={"Cache-Control": "no-cache"})


@router.get("/preview/{key}.png")
async def preview(
    context: TheContext, who: Tenant, key: str, size: Annotated[int, Query(ge=16, le=2048)] = 512
) -> Response:
    """A picture of the chain over its whole selection, at most `size` pixels wide and high."""
    body = await context.run(who, await context.uses_functions(key), _preview, context.engine, key, size, who)
    return Response(body, media_type="image/png", headers={"Cache-Control": "no-cache"})


def _preview(engine: Engine, key: str, size: int, tenant: str) -> bytes:
    plan = plan_for(engine, key, tenant)
    selection = selection_for(engine, plan)
    style = style_for(engine, plan, selection, tenant)
    grid = preview_grid(engine, plan, selection, size)
    return encode(paint(evaluate(plan, grid, selection, engine, shown=True, tenant=tenant), style))


@router.get("/statistics/{key}")
async def statistics_of(
    context: TheContext,
    who: Tenant,
    key: str,
    bbox: Annotated[str | None, Query(max_length=200)] = None,
    size: Annotated[int, Query(ge=16, le=2048)] = 512,
) -> Response:
    """Statistics of the values before colour, over `bbox` (west,south,east,north in degrees) or the whole selection.

    They are those of a web mercator grid of at most `size` pixels on each side, which is in the answer as `grid` (see
    `/compute`). `planes` holds, for each date and band that there is, `count` and `missing`, `min`, `max`, `mean`,
    `std`, and `percentiles`.
    """
    area = None if bbox is None else bbox.split(",")
    document = await context.run(
        who, await context.uses_functions(key), _statistics, context.engine, key, area, size, who
    )
    return Json(document, headers={"Cache-Control": "no-cache"})


def _statistics(engine: Engine, key: str, area: list[str] | None, size: int, tenant: str) -> dict[str, Any]:
    plan = plan_for(engine, key, tenant)
    selection = selection_for(engine, plan)
    grid = preview_grid(engine, plan, selection, size, area)
    planes = statistics(evaluate(plan, grid, selection, engine, tenant=tenant))
    return {"grid": grid_document(grid), "planes": planes}


@router.post("/compute", openapi_extra=OPENAPI, responses={200: {"content": {NPZ: {}}}})
async def compute(document: Document, context: TheContext, who: Tenant) -> Response:
    """The values of a chain before colour.

    The body is `{"process_graph": ..., "area": ..., "resolution": ..., "crs": ...}`: the area as west, south, east,
    north in degrees or as GeoJSON, the resolution in units of the CRS, the CRS as EPSG code; each but the graph may be
    left out.

    The answer is a numpy archive (`application/x-npz`) with two arrays: `values`, and `header`, a string of JSON with
    `dims`, `labels` of the dimensions `t` and `bands`, and `grid` (`epsg`, `res_x`, `res_y`, `x0`, `y0`, `col`, `row`,
    `width`, `height`: a window on the lattice whose pixel (0, 0) has its corner at x0, y0). Nothing in it is pickled.
    """
    wanted = {name: document.pop(name, None) for name in ("area", "resolution", "crs")}
    if not isinstance(wanted["resolution"], int | float | None):
        raise InvalidArgument("The resolution is no number.", argument="resolution")
    return send(await context.run(who, has_functions(document), _compute, context.engine, document, wanted, who))


def _compute(engine: Engine, document: dict[str, Any], wanted: dict[str, Any], tenant: str) -> IO[bytes]:
    plan = plan_for(engine, engine.put(document, tenant), tenant)
    selection = selection_for(engine, plan)
    grid = compute_grid(engine, plan, selection, **wanted)
    return write_cube(evaluate(plan, grid, selection, engine, tenant=tenant))
