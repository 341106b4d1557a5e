"""Values and pictures of a chain off the tiles' path: at a point, in small, and as an array."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from typing import IO, Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from earthloom.base.cube import Cube
from earthloom.base.errors import InvalidArgument
from earthloom.base.grid import MAX_ZOOM
from earthloom.engine.encode import encode
from earthloom.engine.engine import Engine
from earthloom.engine.evaluate import evaluate
from earthloom.engine.paint import paint
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.engine.views import compute_grid, point_grid, preview_grid
from earthloom.server.body import OPENAPI, Document, Json
from earthloom.server.context import Context, TheEngine

router = APIRouter(tags=["values"])

NPZ = "application/x-npz"
_PIECE_BYTES = 1 << 20


def get_point(engine: Engine, key: str, lon: float, lat: float, z: int) -> Cube:
    """The values of a chain in the one pixel of zoom `z` that holds the point."""
    plan = plan_for(engine, key)
    selection = selection_for(engine, plan)
    return evaluate(plan, point_grid(lon, lat, z), selection, engine.reader)


@router.get("/point/{key}")
async def point(
    request: Request,
    key: str,
    lon: Annotated[float, Query(ge=-180, le=180)],
    lat: Annotated[float, Query(ge=-90, le=90)],
    z: Annotated[int, Query(ge=0, le=MAX_ZOOM)],
) -> Response:
    """The values before colour at a place: of the very pixel that a tile of zoom `z` shows there.

    `values` has the dimensions `dims` (none: a number), with their `labels`; null is no data.
    """
    context: Context = request.app.state.context
    loop = asyncio.get_running_loop()
    cube = await loop.run_in_executor(context.pixels, get_point, context.engine, key, lon, lat, z)
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
def preview(key: str, engine: TheEngine, size: Annotated[int, Query(ge=16, le=2048)] = 512) -> Response:
    """A picture of the chain over its whole selection, at most `size` pixels wide and high."""
    plan = plan_for(engine, key)
    selection = selection_for(engine, plan)
    style = style_for(engine, plan, selection)
    grid = preview_grid(engine, plan, selection, size)
    body = encode(paint(evaluate(plan, grid, selection, engine.reader, shown=True), style))
    return Response(body, media_type="image/png", headers={"Cache-Control": "no-cache"})


@router.post("/compute", openapi_extra=OPENAPI, responses={200: {"content": {NPZ: {}}}})
def compute(document: Document, engine: TheEngine) -> Response:
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
    plan = plan_for(engine, engine.put(document))
    selection = selection_for(engine, plan)
    grid = compute_grid(engine, plan, selection, **wanted)
    file = write_cube(evaluate(plan, grid, selection, engine.reader))
    return StreamingResponse(_pieces(file), media_type=NPZ, headers={"Content-Length": str(_size(file))})


def write_cube(cube: Cube) -> IO[bytes]:
    """A cube as a temporary .npz file, at its beginning: large ones never lie in memory twice."""
    grid, lattice = cube.grid, cube.grid.lattice
    header = {
        "dims": cube.dims,
        "labels": {d: list(cube.labels[d]) for d in cube.dims[:-2]},
        "grid": {
            **{name: getattr(lattice, name) for name in ("epsg", "res_x", "res_y", "x0", "y0")},
            **{name: getattr(grid, name) for name in ("col", "row", "width", "height")},
        },
    }
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the answer is sent
    try:
        np.savez(file, values=cube.values, header=np.array(orjson.dumps(header).decode()))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _size(file: IO[bytes]) -> int:
    end = file.seek(0, 2)
    file.seek(0)
    return end


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
