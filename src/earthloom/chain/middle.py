"""Where to look at a chain: a place that is given, or the middle of what it selects, near the files' own resolution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from earthloom.base.errors import EmptySelection, InvalidArgument
from earthloom.base.grid import METRES_A_DEGREE, crs, nearest_zoom
from earthloom.chain.graph import Node, inputs, ordered, to_json
from earthloom.chain.session import Session
from earthloom.processes.define import get_process

FEW_ITEMS = 200
SOME_ZOOM = 12  # where no band tells its pixel size

Box = Sequence[float]  # west, south, east, north in degrees


def middle(session: Session, result: Node) -> tuple[tuple[float, float], int]:
    """Longitude and latitude, and the zoom whose pixels are nearest to the finest band.

    The middle of the item that is nearest to the middle of all, for between items may be nothing; of many items the
    middle of all.

    Raises
    ------
    EmptySelection
        If the chain selects no item.
    """
    nodes = ordered(result)
    sources = [n for n in nodes if get_process(n.process_id).kind == "source"]
    parts = {id(used) for n in sources for used in inputs(n)}  # such as the load_collection under a mosaic
    graph = to_json(next(n for n in sources if id(n) not in parts))
    found = session.search(graph)
    if not found["matched"] or found["bbox"] is None:
        raise EmptySelection("The chain selects no items.", hint="Widen its dates, its place or its limits.")
    boxes: list[Box] = [found["bbox"]]
    if 1 < found["matched"] <= FEW_ITEMS:
        boxes = [item["bbox"] for item in session.search(graph, items=True)["items"]]
    crops = [n.arguments["extent"] for n in nodes if n.process_id == "filter_bbox"]
    boxes = _cropped(boxes, crops) or boxes
    all_lon, all_lat = (sum(c) / len(c) for c in zip(*map(_centre, boxes), strict=True))
    lon, lat = min(map(_centre, boxes), key=lambda c: math.hypot(c[0] - all_lon, c[1] - all_lat))
    return (math.remainder(lon, 360), lat), _zoom(found, lat)


def _centre(box: Box) -> tuple[float, float]:
    west, south, east, north = box
    return (west + (east if east >= west else east + 360)) / 2, (south + north) / 2


def _cropped(boxes: Sequence[Box], crops: Sequence[Mapping[str, Any]]) -> list[Box]:
    """The boxes cut by those of `within`; what is left of them."""
    for crop in crops:
        boxes = [
            (max(w, crop["west"]), max(s, crop["south"]), min(e, crop["east"]), min(n, crop["north"]))
            for w, s, e, n in boxes
        ]
    return [(w, s, e, n) for w, s, e, n in boxes if w < e and s < n]


def _zoom(found: Mapping[str, Any], lat: float) -> int:
    sizes = [band.get("raster:spatial_resolution") or band.get("gsd") for band in found["bands"]]
    known = [float(size) for size in sizes if size]
    if not known:
        return SOME_ZOOM
    epsg = found.get("epsg")
    return nearest_zoom(min(known) * (METRES_A_DEGREE if epsg and crs(int(epsg)).is_geographic else 1.0), lat)


def point_of(session: Session, place: Any) -> tuple[float, float]:
    """Longitude and latitude of a place: (lon, lat), a GeoJSON point, {"lon", "lat"}, or a name known to the server."""
    point = place
    if isinstance(place, str):
        point = _centre(session.place(place)["bbox"])
    elif isinstance(place, Mapping):
        geometry = place.get("geometry", place)
        point = geometry.get("coordinates", (place.get("lon"), place.get("lat")))
    try:
        lon, lat = (float(v) for v in point)
    except (TypeError, ValueError):
        lon = lat = math.nan
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise InvalidArgument(
            f"{place!r:.80} is no place.",
            hint="Write (longitude, latitude) in degrees, a GeoJSON point, or the name of a place.",
            argument="place",
        )
    return lon, lat
