"""Map tiles: the route that is asked most, in front of the JSON doors and without their layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from earthloom.base.errors import FunctionFailed, InvalidArgument
from earthloom.base.grid import MAX_ZOOM, TILE_PX
from earthloom.catalog.protocol import Bbox
from earthloom.engine.encode import encode, encode_npy
from earthloom.engine.engine import Engine
from earthloom.engine.evaluate import evaluate
from earthloom.engine.geotiff import encode_geotiff
from earthloom.engine.paint import paint
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.engine.views import etag, tile_grid
from earthloom.engine.webp import encode_webp
from earthloom.server.access import tenant
from earthloom.server.addresses import address
from earthloom.server.body import Json
from earthloom.server.context import Context
from earthloom.server.queue import Gone
from earthloom.server.tokens import LOCAL

Kind = Literal["png", "webp", "npy", "tif"]
PICTURES = ("png", "webp")
NOBODY = 499  # as nginx logs it; nobody reads this answer
MEDIA = {
    "png": "image/png",
    "webp": "image/webp",
    "npy": "application/x-npy",
    "tif": "image/tiff; application=geotiff",
}
_KINDS = " or ".join(f".{kind}" for kind in MEDIA)


@dataclass(frozen=True, slots=True)
class Tile:
    """An encoded tile; `body` is None if the asker has it already. `timing` is for the header `Server-Timing`."""

    tag: str
    body: bytes | None
    timing: str


def get_tile(
    engine: Engine,
    key: str,
    z: int,
    x: int,
    y: int,
    size_px: int = TILE_PX,
    kind: Kind = "png",
    known: str = "",
    tenant: str = LOCAL,
) -> Tile:
    """One tile of a chain: from its key to bytes.

    Parameters
    ----------
    key
        Key of the chain.
    z, x, y
        Zoom, column and row of the tile, counted from the north-west.
    size_px
        Pixels on each side; with 512 the same extent is twice as fine.
    kind
        `png` and `webp` are the painted picture, `npy` the values before colour, (t, bands, y, x) or fewer, `tif` the
        same values as a GeoTIFF.
    known
        The header `If-None-Match`: tags of the pictures that the asker has.
    tenant
        Who asks: users' functions run in processes of their own for each.
    """
    clock = _Clock()
    grid = tile_grid(z, x, y, size_px)
    plan = plan_for(engine, key, tenant)
    selection = selection_for(engine, plan)
    style = style_for(engine, plan, selection, tenant) if kind in PICTURES else None
    tag = f'"{etag(engine, plan, selection, style, grid)}"'
    clock.lap("plan")
    if _matches(tag, known):
        return Tile(tag, None, clock.text())
    cube = evaluate(plan, grid, selection, engine, shown=style is not None, tenant=tenant)
    clock.lap("evaluate")
    if style is None:
        return Tile(tag, encode_npy(cube.values) if kind == "npy" else encode_geotiff(cube), clock.text())
    picture = paint(cube, style)
    clock.lap("paint")
    body = encode(picture) if kind == "png" else encode_webp(picture)
    clock.lap("encode")
    return Tile(tag, body, clock.text())


async def tile(context: Context, request: Request) -> Response:
    """`/tiles/{key}/{z}/{x}/{y}.png`, `.webp`, `.npy` and `.tif`; with `{y}@2x` of 512 pixels."""
    path = request.path_params
    row, _, kind = path["y"].rpartition(".")
    if kind not in MEDIA:
        raise InvalidArgument(f'There are no tiles of kind "{kind}".', hint=f"Ask for {_KINDS}.", argument="y")
    size_px = 2 * TILE_PX if row.endswith("@2x") else TILE_PX
    row = row.removesuffix("@2x")
    z, x, y = (_number(name, text) for name, text in (("z", path["z"]), ("x", path["x"]), ("y", row)))
    known = request.headers.get("if-none-match", "")
    who, key = tenant(request), path["key"]
    with context.metrics.tile() as said:
        said["user_code"] = functions = await context.uses_functions(key)
        asked = who, key, z, x, y, size_px, kind
        context.failures.check(asked)
        # A plain tile is the same for all who ask.
        name = *asked[0 if functions else 1 :], known
        work = partial(get_tile, context.engine, *asked[1:], known, who)
        try:
            made = await context.once(name, who, key, functions, work, request.receive)
        except Gone:
            said["gone"] = True
            return Response(status_code=NOBODY)
        except FunctionFailed as error:
            context.failures.note(asked, error)
            raise
        said["known"] = made.body is None
    # no-cache: kept by the browser but asked for again each time, for a new item changes the pixels of an old key.
    headers = {"ETag": made.tag, "Cache-Control": "no-cache", "Server-Timing": made.timing}
    if made.body is None:
        return Response(status_code=304, headers=headers)
    return Response(made.body, headers=headers, media_type=MEDIA[kind])


async def describe(context: Context, request: Request) -> Response:
    """`/tiles/{key}/tilejson.json`: the tiles as TileJSON 3.0.0, for any web map."""
    who, key = tenant(request), request.path_params["key"]
    bbox, attribution = await context.run(who, await context.uses_functions(key), _about, context.engine, key, who)
    west, south, east, north = bbox or (-180.0, -90.0, 180.0, 90.0)
    if west > east:
        # TileJSON knows no rectangle across the antimeridian.
        west, east = -180.0, 180.0
    document = {
        "tilejson": "3.0.0",
        "name": key,
        "tiles": [address(request, f"/tiles/{key}/{{z}}/{{x}}/{{y}}.png")],
        "bounds": [west, south, east, north],
        "minzoom": 0,
        "maxzoom": MAX_ZOOM,
        "attribution": attribution,
    }
    return Json(document, headers={"Cache-Control": "no-cache"})


def _about(engine: Engine, key: str, tenant: str) -> tuple[Bbox | None, str]:
    plan = plan_for(engine, key, tenant)
    return selection_for(engine, plan).bbox, engine.attribution(plan)


PATHS: Mapping[str, Callable[[Context, Request], Any]] = {
    "/tiles/{key}/tilejson.json": describe,
    "/tiles/{key}/{z}/{x}/{y}": tile,
}


def routes(context: Context) -> list[Route]:
    """The two routes of tiles."""
    return [Route(path, partial(answer, context)) for path, answer in PATHS.items()]


class _Clock:
    """Milliseconds between the steps, in the form of `Server-Timing`."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.laps: list[str] = []

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps.append(f"{name};dur={(now - self.last) * 1e3:.2f}")
        self.last = now

    def text(self) -> str:
        return ", ".join(self.laps)


def _number(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    # No zoom of ours has more than 8 digits; int() itself refuses thousands of them with an error of its own.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise InvalidArgument(f'"{text[:40]}" is not a tile number.', hint="z, x and y are integers.", argument=name)
    return int(text)


def _matches(tag: str, known: str) -> bool:
    """Whether `If-None-Match` names the tag; a weak tag counts as its strong one (RFC 9110, 13.1.2)."""
    if not known:
        return False
    tags: Sequence[str] = [part.strip().removeprefix("W/") for part in known.split(",")]
    return tag in tags or "*" in tags
