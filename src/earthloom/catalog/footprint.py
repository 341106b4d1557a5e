"""Footprints made regular: valid polygons in degrees, cut at the antimeridian, with the rectangle around them.

Items come with reversed rings, bow-ties, heights, longitudes over 180 and outlines that jump across the
antimeridian. The item itself stays as delivered; only the copy that the index searches is mended here.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import antimeridian
import numpy as np
import orjson
import shapely
import shapely.geometry
from numpy.typing import NDArray

from earthloom.base.errors import InvalidArgument
from earthloom.catalog.protocol import Bbox

WORLD = 360.0 - 1e-6  # an outline as wide as this goes round the world and crosses nothing
_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def footprints(geometries: Sequence[Any]) -> tuple[NDArray[Any], list[str | None]]:
    """Regular footprints of GeoJSON geometries.

    Parameters
    ----------
    geometries
        GeoJSON geometries in degrees; None is an item without a place.

    Returns
    -------
    shapely geometries, (n,), None where there is none; and for each the reason why it is refused, or None.
    """
    texts = [None if g is None else _text(g) for g in geometries]
    shapes = shapely.force_2d(shapely.from_geojson(np.array(texts, dtype=object), on_invalid="ignore"))
    bounds = shapely.bounds(shapes)
    reasons: list[str | None] = [None] * len(texts)
    missing, empty, (west, south, east, north) = shapely.is_missing(shapes), shapely.is_empty(shapes), bounds.T
    far = (south < -90.001) | (north > 90.001) | (west < -540) | (east > 540)
    for n in map(int, np.flatnonzero(missing | empty | far)):
        if texts[n] is not None:
            reasons[n] = _why_not(shapes[n], bounds[n])
            shapes[n] = None
    for n in map(int, np.flatnonzero(((west < -180) | (east > 180) | (east - west > 180)) & ~far)):
        shapes[n], reasons[n] = _cut(shapes[n], bounds[n])
    for n in map(int, np.flatnonzero(~shapely.is_missing(shapes) & ~shapely.is_valid(shapes))):
        shapes[n] = _valid(shapes[n])
        if shapes[n].is_empty:
            shapes[n], reasons[n] = None, "its footprint has no area"
    return shapely.orient_polygons(shapes, exterior_cw=False), reasons


def footprint(geometry: Any, argument: str = "intersects") -> Any:
    """The regular footprint of one GeoJSON geometry.

    Raises
    ------
    InvalidArgument
        If it is no geometry in degrees; `argument` names where it was given.
    """
    shapes, reasons = footprints([geometry])
    if shapes[0] is None:
        reason = reasons[0] or "its footprint is null"
        raise InvalidArgument(
            f"`{argument}` is no GeoJSON geometry in degrees: {reason}.",
            hint="Give a GeoJSON Polygon with lon, lat coordinates.",
            argument=argument,
        )
    return shapes[0]


def rectangles(shapes: NDArray[Any]) -> NDArray[np.float64]:
    """(west, south, east, north) of footprints, (n, 4), NaN for None; west > east crosses 180 (RFC 7946)."""
    boxes: NDArray[np.float64] = np.atleast_2d(shapely.bounds(shapes))
    for n in np.flatnonzero(boxes[:, 2] - boxes[:, 0] > 180):
        boxes[n, 0], boxes[n, 2] = narrowest(shapely.bounds(shapely.get_parts(shapes[n])))
    return boxes


def parts(bbox: Sequence[float]) -> list[Bbox]:
    """The one or two rectangles with west <= east within -180 .. 180 that a rectangle consists of.

    Raises
    ------
    InvalidArgument
        If it is no rectangle in degrees.
    """
    if len(bbox) != 4 or not all(map(math.isfinite, bbox)) or bbox[1] > bbox[3] or bbox[1] > 90 or bbox[3] < -90:
        raise InvalidArgument(
            f"{list(bbox)} is no rectangle.", hint="Give west, south, east, north in degrees.", argument="bbox"
        )
    west, south, east, north = map(float, bbox)
    south, north = max(south, -90.0), min(north, 90.0)
    if east - west >= WORLD:
        return [(-180.0, south, 180.0, north)]
    west, east = _wrapped(west), _wrapped(east)
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def shape_of(boxes: Sequence[Bbox]) -> Any:
    """One shapely geometry of rectangles; one without width or height is a point or a line."""
    shapes = [_rectangle(*box) for box in boxes]
    return shapes[0] if len(shapes) == 1 else shapely.union_all(shapes)


def narrowest(boxes: NDArray[np.float64]) -> tuple[float, float]:
    """West and east of the narrowest interval of longitudes round rectangles (n, 4) with west <= east.

    It is the complement of the widest gap between them; west > east crosses 180.
    """
    order = np.argsort(boxes[:, 0])
    starts, ends = boxes[order, 0], np.maximum.accumulate(boxes[order, 2])
    gaps = np.append(starts[1:], starts[0] + 360) - ends
    widest = int(np.argmax(gaps))
    if widest == len(gaps) - 1:
        return float(starts[0]), float(ends[-1])
    return float(starts[widest + 1]), float(ends[widest])


def _rectangle(west: float, south: float, east: float, north: float) -> Any:
    if west < east and south < north:
        return shapely.box(west, south, east, north)
    if (west, south) == (east, north):
        return shapely.Point(west, south)
    return shapely.LineString([(west, south), (east, north)])


def _text(geometry: Any) -> str:
    try:
        return orjson.dumps(geometry).decode()
    except orjson.JSONEncodeError:
        return ""


def _why_not(shape: Any, box: NDArray[np.float64]) -> str:
    if shape is None:
        return "its geometry is no GeoJSON geometry"
    if shape.is_empty:
        return "its geometry is empty"
    return f"its geometry is not in degrees: it reaches from {box[0]:g}, {box[1]:g} to {box[2]:g}, {box[3]:g}"


def _cut(shape: Any, box: NDArray[np.float64]) -> tuple[Any, str | None]:
    pieces = shapely.bounds(shapely.get_parts(shape))
    widths = pieces[:, 2] - pieces[:, 0]
    if box[0] >= -180 and box[2] <= 180 and ((widths <= 180) | (widths >= WORLD)).all():
        return shape, None  # it was cut already, its parts lie far apart, or it goes round the world
    if len(pieces) == 1 and widths[0] >= WORLD:
        return shapely.box(-180.0, box[1], 180.0, box[3]), None
    if shape.geom_type in ("Point", "MultiPoint"):
        return shapely.transform(shape, lambda c: np.stack([(c[:, 0] + 180) % 360 - 180, c[:, 1]], 1)), None
    try:
        with warnings.catch_warnings():
            # Reversed rings are expected here, and mended.
            warnings.simplefilter("ignore")
            # RFC 7946: an edge is straight in longitude and latitude, no great circle.
            cut = antimeridian.fix_shape(shape, fix_winding=True, great_circle=False)
        return shapely.geometry.shape(cut), None
    except (ValueError, shapely.errors.ShapelyError) as error:
        return None, f"its geometry cannot be cut at the antimeridian: {error}"


def _valid(shape: Any) -> Any:
    made = shapely.make_valid(shape)
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        return made
    # A bow-tie may leave lines beside its polygons: only the polygons are the footprint.
    pieces = shapely.get_parts(shapely.get_parts(made))
    return shapely.union_all(pieces[np.isin(shapely.get_type_id(pieces), _POLYGONAL)])


def _wrapped(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180
