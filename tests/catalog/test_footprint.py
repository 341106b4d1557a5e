"""Footprints as catalogues deliver them, and what becomes of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from earthloom.base.errors import InvalidArgument
from earthloom.catalog.footprint import footprint, footprints, parts, rectangles, shape_of


def polygon(*ring: tuple[float, ...]) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def box(w: float, s: float, e: float, n: float) -> dict[str, object]:
    return polygon((w, s), (e, s), (e, n), (w, n))


def rectangle(geometry: dict[str, object]) -> tuple[float, ...]:
    return tuple(rectangles(np.array([footprint(geometry)]))[0])


def test_a_good_polygon_stays() -> None:
    shapes, reasons = footprints([box(1, 2, 3, 4), None])
    assert shapes[0].equals(shapely.box(1, 2, 3, 4))
    assert shapes[1] is None
    assert reasons == [None, None]
    assert np.isnan(rectangles(shapes)[1]).all()


def test_heights_are_dropped_and_rings_turned() -> None:
    shape = footprint(polygon((0, 0, 5), (0, 1, 5), (1, 1, 5), (1, 0, 5)))
    assert not shape.has_z
    assert shape.exterior.is_ccw


def test_a_bow_tie_becomes_its_two_triangles() -> None:
    shape = footprint(polygon((0, 0), (2, 2), (2, 0), (0, 2)))
    assert shape.is_valid
    assert shape.area == pytest.approx(2.0)
    assert shape.geom_type == "MultiPolygon"


@pytest.mark.parametrize(
    ("geometry", "expected", "area"),
    [
        (polygon((179, 0), (-179, 0), (-179, 1), (179, 1)), (179, 0, -179, 1), 2),
        (polygon((179, 1), (-179, 1), (-179, 0), (179, 0)), (179, 0, -179, 1), 2),
        (box(170, 0, 190, 10), (170, 0, -170, 10), 200),
        (box(190, 0, 200, 10), (-170, 0, -160, 10), 100),
        (box(-185, 0, -175, 10), (175, 0, -175, 10), 100),
        (box(-180, -90, 180, 90), (-180, -90, 180, 90), 64800),
        (box(0, -60, 360, 60), (-180, -60, 180, 60), 43200),
    ],
)
def test_antimeridian(geometry: dict[str, object], expected: tuple[float, ...], area: float) -> None:
    assert rectangle(geometry) == pytest.approx(expected)
    assert footprint(geometry).area == pytest.approx(area)


def test_a_polygon_that_is_cut_already_is_one_rectangle_across() -> None:
    geometry = {
        "type": "MultiPolygon",
        "coordinates": [box(178, -1, 180, 1)["coordinates"], box(-180, -1, -179, 1)["coordinates"]],
    }
    assert rectangle(geometry) == (178, -1, -179, 1)


def test_a_footprint_round_the_pole() -> None:
    ring = [(float((lon + 180) % 360 - 180), 80.0) for lon in range(0, 360, 10)]
    shape = footprint(polygon(*ring))
    assert shape.intersects(shapely.Point(0, 90))
    assert not shape.intersects(shapely.Point(0, 79))
    assert rectangle(polygon(*ring)) == (-180, 80, 180, 90)
    again = footprint(json.loads(shapely.to_geojson(shape)))  # cut by its producer, it stays
    assert again.equals(shape)


def test_points_are_wrapped() -> None:
    assert footprint({"type": "Point", "coordinates": [190, 5]}).equals(shapely.Point(-170, 5))


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "Polygon", "coordinates": "everywhere"}, "no GeoJSON geometry"),
        ({"type": "Polygon", "coordinates": []}, "empty"),
        ({"type": "Polygon"}, "no GeoJSON geometry"),
        ({"type": "Point", "coordinates": [float("nan"), 1]}, "no GeoJSON geometry"),
        (box(500000, 4000000, 600000, 4100000), "not in degrees"),
        (polygon((0, 0), (1, 1), (2, 2)), "no area"),
        (7, "no GeoJSON geometry"),
    ],
)
def test_what_is_refused(geometry: object, reason: str) -> None:
    shapes, reasons = footprints([geometry])
    assert shapes[0] is None
    assert reason in (reasons[0] or "")
    with pytest.raises(InvalidArgument, match="`area`"):
        footprint(geometry, "area")


def test_parts_of_a_rectangle() -> None:
    assert parts((1, 2, 3, 4)) == [(1, 2, 3, 4)]
    assert parts((170, -5, -170, 5)) == [(170, -5, 180, 5), (-180, -5, -170, 5)]
    assert parts((170, -5, 190, 5)) == [(170, -5, 180, 5), (-180, -5, -170, 5)]
    assert parts((-180, -95, 180, 95)) == [(-180, -90, 180, 90)]
    assert shape_of(parts((170, -5, -170, 5))).area == pytest.approx(200)


def test_a_rectangle_without_area_is_a_line_or_a_point() -> None:
    assert shape_of([(1, 2, 1, 2)]).equals(shapely.Point(1, 2))
    assert shape_of([(1, 2, 1, 3)]).equals(shapely.LineString([(1, 2), (1, 3)]))


@pytest.mark.parametrize("bbox", [(1, 2, 3), (1, 5, 3, 4), (1, float("nan"), 3, 4), (0, 91, 1, 92)])
def test_what_is_no_rectangle(bbox: tuple[float, ...]) -> None:
    with pytest.raises(InvalidArgument, match="no rectangle"):
        parts(bbox)
