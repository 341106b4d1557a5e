"""Users' functions: what they printed, and what they would be given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any

from fastapi import APIRouter
from starlette.responses import Response

from earthloom.base.errors import InvalidArgument
from earthloom.base.grid import MAX_ZOOM, TILE_PX, Grid, Lattice
from earthloom.chain.parse import parse
from earthloom.engine.engine import Engine
from earthloom.engine.udf import functions_of, tile_input
from earthloom.engine.views import point_grid
from earthloom.sandbox.function import Function
from earthloom.server.access import Tenant
from earthloom.server.body import OPENAPI, Document, Json
from earthloom.server.context import TheContext, TheEngine
from earthloom.server.npz import NPZ, grid_document, send, write

router = APIRouter(tags=["functions"])


@router.get("/logs/{key}")
def logs(key: str, engine: TheEngine, who: Tenant) -> Response:
    """What the functions of a chain printed in tiles of who asks, oldest first, with their warnings and errors.

    `place` is the tile as z/x/y, `stream` one of stdout, stderr, warning, error. Old lines are dropped.
    """
    return _lines(engine, engine.functions(key), who)


@router.post("/logs", openapi_extra=OPENAPI)
def logs_of_graph(document: Document, engine: TheEngine, who: Tenant) -> Response:
    """As `/logs/{key}`, of a chain that may be a part of one that was posted. Nothing runs."""
    return _lines(engine, functions_of(parse(document)), who)


@router.post("/udf/input", openapi_extra=OPENAPI, responses={200: {"content": {NPZ: {}}}})
async def udf_input(document: Document, context: TheContext, who: Tenant) -> Response:
    """What the last function of a chain is given for the tiles around a place. It does not run; those before it do.

    The body is `{"process_graph": ..., "lon": ..., "lat": ..., "zoom": ..., "tiles": 2}`: tiles on each side, 1 or 2.

    The answer is a numpy archive (`application/x-npz`) with `values`, `mask` (true where there is data), both with the
    function's margin, and `header`, a string of JSON with `dims`, `labels`, `context` (what the function may ask of the
    array), `grid` (as in `/compute`: the window without the margin) and `zoom`. Nothing in it is pickled.
    """
    lon, lat = _number(document, "lon", -180, 180), _number(document, "lat", -90, 90)
    zoom, tiles = _whole(document, "zoom", 0, MAX_ZOOM), _whole({"tiles": 2} | document, "tiles", 1, 2)
    file = await context.run(who, True, _input, context.engine, document, _around(lon, lat, zoom, tiles), zoom, who)
    return send(file)


def _input(engine: Engine, document: dict[str, Any], grid: Grid, zoom: int, tenant: str) -> IO[bytes]:
    found = tile_input(engine, document, grid, tenant)
    header = {"dims": found.dims, "labels": found.labels, "context": found.context, "grid": grid_document(found.grid)}
    return write(header | {"zoom": zoom}, values=found.values, mask=found.mask)


def _around(lon: float, lat: float, zoom: int, tiles: int) -> Grid:
    """The window of whole tiles around a place: of two on a side, those whose common corner is nearest to it."""
    point, most = point_grid(lon, lat, zoom), 2**zoom
    tiles = min(tiles, most)
    col, row = (
        min(max((pixel - (tiles - 1) * TILE_PX // 2) // TILE_PX, 0), most - tiles) for pixel in (point.col, point.row)
    )
    size = tiles * TILE_PX
    return Grid(Lattice.web_mercator(zoom), col * TILE_PX, row * TILE_PX, size, size)


def _number(document: dict[str, Any], name: str, least: int, most: int) -> float:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidArgument(
            f'"{name}" must be a number from {least} to {most}, not {str(value)[:40]}.', argument=name
        )
    return value


def _whole(document: dict[str, Any], name: str, least: int, most: int) -> int:
    value = _number(document, name, least, most)
    if int(value) != value:
        raise InvalidArgument(f'"{name}" must be a whole number, not {value}.', argument=name)
    return int(value)


def _lines(engine: Engine, functions: Sequence[Function], who: str) -> Response:
    lines = [line for function in functions for line in engine.sandbox.logs(who, function)]
    document = [
        {
            "time": datetime.fromtimestamp(line.time, UTC).isoformat(timespec="milliseconds"),
            "place": line.place,
            "stream": line.stream,
            "text": line.text,
        }
        for line in sorted(lines, key=lambda line: line.time)
    ]
    return Json({"lines": document}, headers={"Cache-Control": "no-store"})
