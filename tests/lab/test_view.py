"""Where a map looks to show a rectangle."""

from __future__ import annotations

import math

import pytest

from earthloom.chain.collection import ImageCollection
from earthloom.lab.view import WORLD, around, look_at, sources


def pixels(box: tuple[float, float, float, float], zoom: int) -> tuple[float, float]:
    """Width and height of a rectangle on a web map [px]."""
    size = 256 * 2**zoom

    def y(lat: float) -> float:
        return size * (0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi))

    west, south, east, north = box
    return (east - west) / 360 * size, y(south) - y(north)


@pytest.mark.parametrize("box", [(22.14, 45.2, 22.16, 45.21), (-10.0, 35.0, 30.0, 70.0), (5.0, 10.0, 5.1, 20.0)])
def test_the_rectangle_fits_and_the_next_zoom_would_not(box: tuple[float, float, float, float]) -> None:
    centre, zoom = look_at(box, 500)

    wide, high = pixels(box, zoom)
    assert wide <= 640
    assert high <= 500
    wide, high = pixels(box, zoom + 1)
    assert wide * 1.15 > 640 or high * 1.15 > 500
    assert box[1] < centre[0] < box[3]
    assert centre[1] == pytest.approx((box[0] + box[2]) / 2)


def test_the_world_and_a_point_have_a_view() -> None:
    assert look_at(WORLD, 500) == ((pytest.approx(0), 0), 0)
    assert look_at((22.0, 45.0, 22.0, 45.0), 500)[1] == 18


def test_a_rectangle_across_the_antimeridian_is_seen_whole() -> None:
    assert around([(170.0, -10.0, -170.0, 10.0)]) == (-180.0, -10.0, 180.0, 10.0)
    assert around([(1, 2, 3, 4), (2, 0, 5, 3)]) == (1, 0, 5, 4)
    assert around([]) is None


def test_each_source_is_asked_once() -> None:
    coll = ImageCollection("a").filter_date("2020").filter_bounds((1, 2, 3, 4))
    chain = coll.mosaic()["B04"] - ImageCollection("b").mosaic()["B04"]

    assert [node.process_id for node in sources(chain.node)] == ["select_items", "load_collection"]
