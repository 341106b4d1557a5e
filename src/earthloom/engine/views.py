"""The grids of what people ask for: a tile, a point, a preview, an area; and the tag of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from earthloom.base.canon import digest
from earthloom.base.errors import EmptySelection, InvalidArgument, TooLarge
from earthloom.base.grid import METRES_A_DEGREE, TILE_PX, WEB_MERCATOR, Grid, Lattice, crs, nearest_zoom, transformer
from earthloom.catalog.protocol import Bbox
from earthloom.chain.canonical import canonical_argument
from earthloom.engine.plan import Plan
from earthloom.engine.selection import Selection
from earthloom.engine.style import Style

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine

MERCATOR_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))
MAX_VALUES = 100_000_000
SOME_ZOOM = 12  # of collections that do not tell their resolution
ENGINE_VERSION = 1  # raised when the same chain and items give other pixels


def tile_grid(z: int, x: int, y: int, size_px: int = TILE_PX) -> Grid:
    """The grid of a web map tile; with 512 pixels it holds the four tiles of the next zoom."""
    return Grid.tile(z, x, y, size_px)


def point_grid(lon: float, lat: float, z: int) -> Grid:
    """The very pixel of a zoom's lattice that holds a point."""
    if not (-180 <= lon <= 180 and abs(lat) <= MERCATOR_LATITUDE):
        raise InvalidArgument(f"The point {lon}, {lat} is not on the map.", hint="Longitude first, in degrees.")
    lattice = Grid.tile(z, 0, 0).lattice
    x, y = transformer(4326, WEB_MERCATOR).transform(lon, lat)
    last = 256 * 2**z - 1
    col, row = lattice.pixel(x, y)
    return Grid(lattice, min(max(col, 0), last), min(max(row, 0), last), 1, 1)


def preview_grid(engine: Engine, plan: Plan, selection: Selection, size: int, area: Any = None) -> Grid:
    """A web mercator grid over an area, None for all that a plan selects, at most `size` pixels wide and high."""
    west, south, east, north = _extent(plan, selection) if area is None else _box(area)
    limit = MERCATOR_LATITUDE
    to_map = transformer(4326, WEB_MERCATOR)
    x0, y0 = to_map.transform(west, min(max(south, -limit), limit))
    x1, y1 = to_map.transform(east, min(max(north, -limit), limit))
    resolution = max(x1 - x0, y1 - y0, 1e-3) / max(size - 1, 1)
    return Grid.covering(Lattice(WEB_MERCATOR, resolution, resolution), (x0, y0, x1, y1))


def compute_grid(
    engine: Engine,
    plan: Plan,
    selection: Selection,
    area: Any = None,
    resolution: float | None = None,
    crs: int | str | None = None,
) -> Grid:
    """The grid of an area: anchored at 0, 0 of its CRS.

    Parameters
    ----------
    area
        west, south, east, north in degrees, or GeoJSON; None takes all that the plan selects.
    resolution
        Pixel size in units of the CRS; None takes the finest of the bands used.
    crs
        EPSG code; None takes that of the first item.

    Raises
    ------
    InvalidArgument
        If area or CRS are none.
    TooLarge
        Over 100 million values.
    """
    box = _extent(plan, selection) if area is None else _box(area)
    first = next(iter(plan.sources.values()))
    native = engine.epsg_of(first.query.collection)
    epsg = native if crs is None else canonical_argument(crs, "epsg-code")
    size = _resolution(engine, plan, native, epsg) if resolution is None else float(resolution)
    bounds = transformer(4326, epsg).transform_bounds(*box, densify_pts=21) if epsg != 4326 else box
    if not all(map(math.isfinite, bounds)):
        raise InvalidArgument(f"The area has no place in EPSG:{epsg}.", argument="area")
    grid = Grid.covering(Lattice(epsg, size, size), bounds)
    planes = 1
    if "t" in plan.steps[plan.value].dims:
        planes *= max((len(s.labels) for s in selection.sources.values()), default=1)
    if "bands" in plan.steps[plan.value].dims:
        planes *= len(plan.steps[plan.value].names or (1,))
    if grid.width * grid.height * planes > MAX_VALUES:
        raise TooLarge(
            f"{grid.width} x {grid.height} pixels in {planes} planes are more than {MAX_VALUES:,} values.",
            hint="Ask for a smaller area or a coarser resolution, or run it in batch.",
            argument="area",
        )
    return grid


def native_zoom(engine: Engine, plan: Plan, source: int, lat: float) -> int:
    """The zoom whose pixels are nearest to the finest band of a source, at a latitude."""
    bands = plan.sources[source].bands
    docs = [b for b in engine.band_docs(plan.sources[source].query.collection) if b["name"] in bands]
    found = [float(d["raster:spatial_resolution"]) for d in docs if "raster:spatial_resolution" in d]
    if not found:
        return SOME_ZOOM
    geographic = crs(engine.epsg_of(plan.sources[source].query.collection)).is_geographic
    return nearest_zoom(min(found) * (METRES_A_DEGREE if geographic else 1.0), lat)


def etag(engine: Engine, plan: Plan, selection: Selection, style: Style | None, grid: Grid) -> str:
    """Tag of what a grid shows.

    That is the chain, the items that meet the grid, the colours, the engine's version; with functions of users also
    the libraries that these may use.
    """
    parts: list[Any] = [plan.key, selection.digest(grid.lonlat_bounds()), None if style is None else style.digest()]
    if plan.functions:
        report = engine.sandbox.report()
        parts += [report.architecture, dict(report.libraries)]
    return digest([*parts, ENGINE_VERSION])[:32]


def _extent(plan: Plan, selection: Selection) -> Bbox:
    """Rectangle of the plan's items, cut by its boxes, in degrees."""
    box = selection.bbox
    if box is None:
        names = ", ".join(sorted({s.query.collection for s in plan.sources.values()}))
        raise EmptySelection(f"The filters leave no item of {names}.", hint="Widen the dates, the place or the limits.")
    west, south, east, north = box
    for source in plan.sources.values():
        crop = source.crop
        if crop and crop["west"] <= crop["east"]:
            west, south = max(west, crop["west"]), max(south, crop["south"])
            east, north = min(east, crop["east"]), min(north, crop["north"])
    if west >= east or south >= north:
        return box
    return west, south, east, north


def _box(area: Any) -> Bbox:
    if isinstance(area, Mapping):
        shape = area.get("geometry", area)
        points = list(_points(shape.get("coordinates"))) if isinstance(shape, Mapping) else []
        if not points:
            raise InvalidArgument("The area is no GeoJSON geometry.", argument="area")
        lon, lat = [p[0] for p in points], [p[1] for p in points]
        return min(lon), min(lat), max(lon), max(lat)
    try:
        west, south, east, north = (float(v) for v in area)
    except (TypeError, ValueError):
        raise InvalidArgument("An area is west, south, east, north in degrees, or GeoJSON.", argument="area") from None
    if not (west < east and -90 <= south < north <= 90):
        raise InvalidArgument(
            f"The box {west}, {south}, {east}, {north} is empty.", hint="West, south, east, north.", argument="area"
        )
    return west, south, east, north


def _points(coordinates: Any) -> Any:
    if isinstance(coordinates, list | tuple):
        if len(coordinates) >= 2 and all(isinstance(v, int | float) for v in coordinates[:2]):
            yield coordinates
        else:
            for part in coordinates:
                yield from _points(part)


def _resolution(engine: Engine, plan: Plan, native: int, epsg: int) -> float:
    """The finest resolution of the bands used, in units of the wanted CRS."""
    found = []
    for source in plan.sources.values():
        docs = {b["name"]: b for b in engine.band_docs(source.query.collection)}
        found += [docs[b]["raster:spatial_resolution"] for b in source.bands if "raster:spatial_resolution" in docs[b]]
    if not found:
        raise InvalidArgument("The collection does not tell its resolution.", hint="Give one.", argument="resolution")
    finest = float(min(found))
    if crs(native).is_geographic == crs(epsg).is_geographic:
        return finest
    return finest * METRES_A_DEGREE if crs(native).is_geographic else finest / METRES_A_DEGREE
