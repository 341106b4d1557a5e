"""The catalogue in SQLite: what is put, what is found, in which order, and what stays after a kill."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import shapely

from earthloom.base.errors import InvalidArgument, NotFound, ReadError
from earthloom.catalog.footprint import footprint, parts, shape_of
from earthloom.catalog.protocol import Bbox, Search
from earthloom.catalog.query import statement
from earthloom.catalog.sqlite import SqliteCatalogue

DAY = 86_400_000


def box(w: float, s: float, e: float, n: float) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]}


def item(id: str, day: float = 0, geometry: Any = None, **properties: Any) -> dict[str, Any]:
    seconds = round(day * 86_400)
    times = {"datetime": f"1970-01-{1 + seconds // 86_400:02d}T{seconds % 86_400 // 3600:02d}:00:00Z"}
    geometry = geometry or box(10, 45, 11, 46)
    return {"type": "Feature", "id": id, "geometry": geometry, "properties": times | properties, "assets": {}}


def ids(texts: list[bytes]) -> list[str]:
    return [orjson.loads(text)["id"] for text in texts]


def found(catalogue: SqliteCatalogue, **search: Any) -> list[str]:
    return ids(catalogue.search(Search("c", **search)).items)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[SqliteCatalogue]:
    catalogue = SqliteCatalogue(tmp_path / "sub" / "catalogue.sqlite")
    catalogue.put_collection({"type": "Collection", "id": "c"})
    yield catalogue
    catalogue.close()


def test_gives_back_what_was_put_as_it_was_delivered(catalogue: SqliteCatalogue) -> None:
    text = orjson.dumps(item("a"), option=orjson.OPT_INDENT_2)
    report = catalogue.put("c", [text, item("b")], bases=["/data/a.json", "/data/b.json"])
    assert (report.added, report.replaced, report.same, report.rejected) == (2, 0, 0, [])
    assert catalogue.get("c", ["b", "unknown", "a"]) == [orjson.dumps(item("b")), text]
    page = catalogue.search(Search("c"))
    assert page.items == [text, orjson.dumps(item("b"))]
    assert page.bases == ["/data/a.json", "/data/b.json"]


def test_collections_are_sorted_by_id_and_replaced(catalogue: SqliteCatalogue) -> None:
    catalogue.put_collection({"id": "a", "title": "old"})
    catalogue.put_collection({"id": "a", "title": "new"})
    assert catalogue.collections() == [{"id": "a", "title": "new"}, {"type": "Collection", "id": "c"}]
    assert catalogue.collections(["c", "unknown"]) == [{"type": "Collection", "id": "c"}]
    for bad in ({"title": "no id"}, {"id": "x", "bad": object()}):
        with pytest.raises(InvalidArgument):
            catalogue.put_collection(bad)


def test_an_unknown_collection_is_named_everywhere(catalogue: SqliteCatalogue) -> None:
    catalogue.put_collection({"id": "sentinel2-series"})
    name = "sentinel-2-series"
    for call in (
        lambda: catalogue.put(name, [item("a")]),
        lambda: catalogue.get(name, ["a"]),
        lambda: catalogue.search(Search(name)),
        lambda: catalogue.cover(Search(name)),
        lambda: catalogue.changes(name),
        lambda: catalogue.properties(name),
    ):
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.near == ("sentinel2-series",)


def test_a_second_time_nothing_changes(catalogue: SqliteCatalogue) -> None:
    first = catalogue.put("c", [item("a"), item("b")])
    again = catalogue.put("c", [item("a"), item("b")])
    assert (again.added, again.replaced, again.same) == (0, 0, 2)
    assert again.revision == first.revision
    catalogue.put_collection({"type": "Collection", "id": "c"})
    assert catalogue.changes("c")[0] == first.revision


def test_an_item_from_another_place_is_another_content(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("a")], bases=["/old/a.json"])
    assert catalogue.put("c", [item("a")], bases=["/new/a.json"]).replaced == 1
    assert catalogue.search(Search("c")).bases == ["/new/a.json"]


def test_bases_must_be_as_many_as_items(catalogue: SqliteCatalogue) -> None:
    with pytest.raises(ValueError, match="shorter"):
        catalogue.put("c", [item("a"), item("b")], bases=["/a.json"])
    assert found(catalogue) == []


def test_newer_replaces_older_does_not(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("a", updated="2021-01-01")])
    assert catalogue.put("c", [item("a", updated="2020-01-01", x=1)]).same == 1
    assert catalogue.put("c", [item("a", created="2021-01-01", x=2)]).replaced == 1
    assert catalogue.put("c", [item("a", x=3)]).replaced == 1  # without a date the order of arrival counts
    assert orjson.loads(catalogue.get("c", ["a"])[0])["properties"]["x"] == 3


def test_conflict_rules(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("a", updated="2021-01-01")])
    assert catalogue.put("c", [item("a", updated="2020-01-01", x=1)], on_conflict="replace").replaced == 1
    assert catalogue.put("c", [item("a", x=2)], on_conflict="skip").same == 1
    before = catalogue.changes("c")
    with pytest.raises(InvalidArgument, match='Item "a" is in the collection') as caught:
        catalogue.put("c", [item("new"), item("a", x=3)], on_conflict="fail")
    assert caught.value.where == {"collection": "c", "item": "a"}
    assert found(catalogue) == ["a"]
    assert catalogue.changes("c") == before


def test_twice_in_one_batch(catalogue: SqliteCatalogue) -> None:
    report = catalogue.put("c", [item("a", x=1), item("a", x=2)])
    assert (report.added, report.replaced) == (1, 1)
    assert orjson.loads(catalogue.get("c", ["a"])[0])["properties"]["x"] == 2


def test_a_replaced_item_leaves_its_old_place_and_time(catalogue: SqliteCatalogue) -> None:
    first = catalogue.put("c", [item("a", 0, box(10, 45, 11, 46))])
    second = catalogue.put("c", [item("a", 5, box(-60, -10, -59, -9))])
    assert found(catalogue, bbox=(10, 45, 11, 46)) == []
    assert found(catalogue, bbox=(-60, -10, -59, -9)) == ["a"]
    assert found(catalogue, end_ms=DAY) == []
    now, (change,) = catalogue.changes("c", since=first.revision)
    assert now == change.revision == second.revision
    assert (change.t0_ms, change.t1_ms, change.bbox) == (0, 5 * DAY, (-60, -10, 11, 46))


def test_bad_items_are_rejected_with_their_reason_and_stop_nothing(catalogue: SqliteCatalogue) -> None:
    report = catalogue.put(
        "c",
        [
            b"{not json",
            [1, 2],  # type: ignore[list-item]
            item("") | {"id": None},
            item("other") | {"collection": "d"},
            item("when") | {"properties": {"datetime": None}},
            item("where", geometry={"type": "Polygon", "coordinates": 7}),
            item("metres", geometry=box(500000, 0, 600000, 1)),
            {"id": "bare", "geometry": None},
            item("good"),
        ],
    )
    assert report.added == 1
    reasons = dict(report.rejected)
    assert "no JSON" in reasons.pop("item 1 of the batch")
    assert reasons == {
        "item 2 of the batch": "it is no JSON object",
        "item 3 of the batch": "it has no id",
        "other": 'it says that its collection is "d"',
        "when": "It has no datetime, nor start_datetime and end_datetime.",
        "where": "its geometry is no GeoJSON geometry",
        "metres": "its geometry is not in degrees: it reaches from 500000, 0 to 600000, 1",
        "bare": "it is no STAC item: properties and assets must be objects",
    }
    assert found(catalogue) == ["good"]


def test_the_order_is_newest_first_then_id(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("b", 1), item("a", 1), item("z", 3), item("c", 2)])
    assert found(catalogue) == ["z", "c", "a", "b"]
    assert found(catalogue, bbox=(10, 45, 11, 46)) == ["z", "c", "a", "b"]


def test_sort_with_missing_values_last(catalogue: SqliteCatalogue) -> None:
    catalogue.put(
        "c",
        [
            item("a", **{"eo:cloud_cover": 50, "x": "b"}),
            item("b", **{"eo:cloud_cover": 5, "x": "a"}),
            item("c", x=3),
            item("d", **{"eo:cloud_cover": 5}),
        ],
    )
    assert found(catalogue, sort=(("eo:cloud_cover", True),)) == ["b", "d", "a", "c"]
    assert found(catalogue, sort=(("eo:cloud_cover", False),)) == ["a", "b", "d", "c"]
    assert found(catalogue, sort=(("x", True),)) == ["c", "b", "a", "d"]
    assert found(catalogue, sort=(("eo:cloud_cover", True), ("id", False))) == ["d", "b", "a", "c"]
    assert found(catalogue, sort=(("datetime", True),)) == ["a", "b", "c", "d"]


def test_intervals_are_half_open(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("a", 0), item("b", 1), item("c", 2)])
    assert found(catalogue, start_ms=0, end_ms=DAY) == ["a"]
    assert found(catalogue, start_ms=1, end_ms=2 * DAY) == ["b"]
    assert found(catalogue, start_ms=DAY) == ["c", "b"]
    assert found(catalogue, end_ms=DAY + 1) == ["b", "a"]


@pytest.mark.parametrize("bbox", [None, (10, 45, 11, 46)])
def test_items_with_start_and_end_are_found_by_any_moment_of_theirs(
    catalogue: SqliteCatalogue, bbox: Bbox | None
) -> None:
    ends = {"datetime": None, "start_datetime": "1970-01-02T00:00:00Z", "end_datetime": "1970-01-20T00:00:00Z"}
    catalogue.put("c", [item("long", **ends)])
    catalogue.put("c", [item("short", 25)])
    assert found(catalogue, start_ms=10 * DAY, end_ms=11 * DAY, bbox=bbox) == ["long"]
    assert found(catalogue, start_ms=19 * DAY, end_ms=20 * DAY, bbox=bbox) == ["long"]
    assert found(catalogue, start_ms=19 * DAY + 1, end_ms=20 * DAY, bbox=bbox) == []
    assert found(catalogue, end_ms=DAY, bbox=bbox) == []
    assert found(catalogue, end_ms=DAY + 1, bbox=bbox) == ["long"]


def test_an_item_without_a_place(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("a") | {"geometry": None}, item("b")])
    assert found(catalogue) == ["a", "b"]
    assert found(catalogue, bbox=(-180, -90, 180, 90)) == ["b"]
    assert [f.bbox for f in catalogue.cover(Search("c"))[0]] == [None, (10, 45, 11, 46)]
    assert [[f.id for f in part] for part in catalogue.cover(Search("c", limit=2), [(0, 0, 90, 90)])] == [["b"]]


def test_the_footprint_decides_not_its_rectangle(catalogue: SqliteCatalogue) -> None:
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]}
    catalogue.put("c", [item("a", geometry=triangle)])
    assert found(catalogue, bbox=(8, 8, 9, 9)) == []
    assert found(catalogue, bbox=(4, 4, 9, 9)) == ["a"]
    assert found(catalogue, intersects=box(8, 8, 9, 9)) == []
    assert found(catalogue, intersects={"type": "Point", "coordinates": [1, 1]}) == ["a"]
    assert found(catalogue, bbox=(0, 0, 1, 1), intersects=box(8, 0, 9, 1)) == []
    assert [len(part) for part in catalogue.cover(Search("c"), [(8, 8, 9, 9), (4, 4, 9, 9), (1, 1, 1, 1)])] == [0, 1, 1]


def test_a_rectangle_and_a_geometry_must_both_be_met(catalogue: SqliteCatalogue) -> None:
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]}
    catalogue.put("c", [item("a", geometry=triangle)])
    assert found(catalogue, bbox=(4, 4, 9, 9), intersects=box(6, 6, 9, 9)) == []
    assert found(catalogue, bbox=(6, 6, 9, 9), intersects=box(4, 4, 9, 9)) == []
    assert found(catalogue, bbox=(4, 4, 9, 9), intersects=box(4, 4, 5, 5)) == ["a"]


def test_a_limit_counts_before_the_boxes_cut(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("far", 2, box(-60, 0, -59, 1)), item("near", 1)])
    boxes = [(10.0, 45.0, 11.0, 46.0)]
    assert catalogue.cover(Search("c", limit=1), boxes) == [[]]
    assert [f.id for f in catalogue.cover(Search("c", limit=2), boxes)[0]] == ["near"]


def test_across_the_antimeridian(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("a", geometry=box(179, 0, 181, 2)), item("b", geometry=box(-179.5, 0, -178, 1))])
    assert [f.bbox for f in catalogue.cover(Search("c"))[0]] == [(179, 0, -179, 2), (-179.5, 0, -178, 1)]
    assert found(catalogue, bbox=(179.2, 0, 179.4, 1)) == ["a"]
    assert found(catalogue, bbox=(-179.4, 1.5, -179.2, 1.8)) == ["a"]
    assert found(catalogue, bbox=(179, 0, -178, 1)) == ["a", "b"]
    assert found(catalogue, bbox=(-10, 0, 10, 1)) == []
    assert found(catalogue, intersects=box(179.9, 0, 180.6, 1)) == ["a", "b"]
    boxes = [(179.2, 0, 179.4, 1), (-178.5, 0, -178.2, 1), (179.9, 0, -178.9, 1)]
    assert [[f.id for f in part] for part in catalogue.cover(Search("c"), boxes)] == [["a"], ["b"], ["a", "b"]]


@pytest.fixture
def varied(catalogue: SqliteCatalogue) -> SqliteCatalogue:
    catalogue.put(
        "c",
        [
            item("a", **{"eo:cloud_cover": 10, "platform": "sentinel-2a", "x": 1, "tags": ["p", "q"], "good": True}),
            item("b", **{"eo:cloud_cover": 20.5, "platform": "sentinel-2b", "x": 2, "tags": ["q"], "good": False}),
            item("c", **{"eo:cloud_cover": 30, "platform": "landsat-8", "x": "2", "tags": []}),
            item("d", y={"z": 1}, **{"sat:relative_orbit": 7, "grid:code": "MGRS-32TLS"}),
        ],
    )
    return catalogue


CONDITIONS = [
    ("eo:cloud_cover", "<=", 20.5, "ab"),
    ("eo:cloud_cover", "<", 20.5, "a"),
    ("eo:cloud_cover", "!=", 10, "bc"),
    ("platform", "=", "landsat-8", "c"),
    ("platform", ">=", "sentinel-2a", "ab"),
    ("sat:relative_orbit", "=", 7, "d"),
    ("grid:code", "=", "MGRS-32TLS", "d"),
    ("x", "=", 2, "b"),
    ("x", "=", "2", "c"),
    ("x", ">", 0, "ab"),
    ("x", ">", 10**30, ""),
    ("x", "!=", 2, "ac"),
    ("tags", "=", "q", "ab"),
    ("tags", "!=", "p", "b"),
    ("tags", "<", "q", "a"),
    ("good", "=", True, "a"),
    ("good", "!=", True, "b"),
    ("y", "=", 1, ""),
]


@pytest.mark.parametrize(("name", "op", "value", "expected"), CONDITIONS)
@pytest.mark.parametrize("declared", [False, True])
def test_conditions_on_properties(
    varied: SqliteCatalogue, name: str, op: str, value: Any, expected: str, declared: bool
) -> None:
    if declared:  # then SQL answers from a table, and the answer must be the same
        varied.put_collection({"id": "c", "summaries": {n: [] for n in ("x", "tags", "good", "y")}})
    assert found(varied, properties=((name, op, value),)) == list(expected)
    assert found(varied, properties=((name, op, value),), bbox=(10, 45, 11, 46)) == list(expected)


def test_declared_properties_follow_the_items_and_the_collection(varied: SqliteCatalogue) -> None:
    varied.put_collection({"id": "c", "summaries": {"x": {}}})
    varied.put("c", [item("a", x=5), item("e", x=6)])
    assert found(varied, properties=(("x", ">", 2),)) == ["a", "e"]
    assert found(varied, sort=(("x", False),)) == ["c", "e", "a", "b", "d"]
    varied.put_collection({"id": "c"})
    assert found(varied, properties=(("x", ">", 2),)) == ["a", "e"]
    assert found(varied, sort=(("x", False),)) == ["c", "e", "a", "b", "d"]


def test_several_conditions_must_all_hold(varied: SqliteCatalogue) -> None:
    assert found(varied, properties=(("eo:cloud_cover", ">", 5), ("x", ">=", 2), ("tags", "=", "q"))) == ["b"]


def test_a_property_that_no_item_has_is_told(varied: SqliteCatalogue) -> None:
    for search in (Search("c", properties=(("cloud_cover", "<", 1),)), Search("c", sort=(("eo:cloud_covr", True),))):
        with pytest.raises(NotFound, match="No property") as caught:
            varied.search(search)
        assert caught.value.near[0] == "eo:cloud_cover"
    assert varied.properties("c") == [
        *("datetime", "eo:cloud_cover", "good", "grid:code", "platform", "sat:relative_orbit", "tags", "x", "y"),
    ]


@pytest.mark.parametrize(
    "condition",
    [
        ("x", "like", 1),
        ("x", "= 1 or 1 =", 1),
        ("x", "=", None),
        ("x", "=", [1]),
        ("x", "=", float("nan")),
        ("eo:cloud_cover", "<", "20"),
        ("platform", "=", 2),
    ],
)
def test_conditions_that_are_none(varied: SqliteCatalogue, condition: tuple[str, str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        varied.search(Search("c", properties=(condition,)))


def test_values_cannot_be_sql(varied: SqliteCatalogue) -> None:
    evil = "' or 1=1; drop table item; --"
    for name in ("platform", "x"):
        assert found(varied, properties=((name, "=", evil),)) == []
    assert found(varied, ids=(evil, "a")) == ["a"]
    with pytest.raises(NotFound):
        varied.search(Search("c", sort=((evil, True),)))
    assert found(varied) == ["a", "b", "c", "d"]


def test_ids_limit_and_count(varied: SqliteCatalogue) -> None:
    assert found(varied, ids=("d", "a", "none")) == ["a", "d"]
    assert found(varied, ids=()) == []
    assert found(varied, limit=2) == ["a", "b"]
    page = varied.search(Search("c"), page=1, count=True)
    assert (ids(page.items), page.matched) == (["a"], 4)
    assert varied.search(Search("c", limit=3), page=1, count=True).matched == 3
    assert varied.search(Search("c", bbox=(10, 45, 10.5, 46)), page=1, count=True).matched == 4
    assert varied.search(Search("c", bbox=(0, 0, 1, 1)), count=True).matched == 0
    for call in (lambda: varied.search(Search("c", limit=0)), lambda: varied.search(Search("c"), page=0)):
        with pytest.raises(InvalidArgument, match="is none"):
            call()


@pytest.mark.parametrize("limit", [None, 5, 6, 7])
@pytest.mark.parametrize("sort", [(), (("eo:cloud_cover", True), ("x", False)), (("x", False),), (("id", False),)])
def test_pages_are_the_whole(catalogue: SqliteCatalogue, sort: tuple[tuple[str, bool], ...], limit: int | None) -> None:
    rng = random.Random(1)
    items = []
    for n in range(20):
        properties: dict[str, Any] = {"x": rng.choice([1.5, "a", None])}
        if rng.random() < 0.7:
            properties["eo:cloud_cover"] = rng.choice([1, 2, 3])
        items.append(item(f"i{n:02d}", rng.randrange(3), **properties))
    catalogue.put("c", items)
    search = Search("c", sort=sort, limit=limit)
    whole = ids(catalogue.search(search).items)
    assert len(whole) == (limit or 20)
    for size in (1, 3, 19):
        got: list[str] = []
        token = None
        while True:
            page = catalogue.search(search, token=token, page=size)
            got += ids(page.items)
            token = page.next
            if token is None:
                break
            assert len(page.items) == size
        assert got == whole


def test_a_page_goes_on_behind_its_last_item_when_others_come_meanwhile(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item("a", 3), item("b", 2), item("c", 1)])
    first = catalogue.search(Search("c"), page=2)
    catalogue.put("c", [item("new", 4)])
    assert ids(catalogue.search(Search("c"), token=first.next, page=2).items) == ["c"]


@pytest.mark.parametrize("token", ["", "nonsense", "e30", "WzEsMl0", "é"])
def test_a_foreign_token_is_refused(varied: SqliteCatalogue, token: str) -> None:
    with pytest.raises(InvalidArgument, match="does not continue"):
        varied.search(Search("c"), token=token)
    other = varied.search(Search("c"), page=1).next
    with pytest.raises(InvalidArgument, match="does not continue"):
        varied.search(Search("c", limit=3), token=other)


def scattered(count: int, seed: int) -> list[dict[str, Any]]:
    """Items of very different sizes all over the world, some across 180, some round it."""
    rng = np.random.default_rng(seed)
    items = []
    for n in range(count):
        width, height = map(float, 10 ** rng.uniform(-2, 1.8, 2))
        west, south = rng.uniform(-180, 180), rng.uniform(-89, 89 - min(height, 100))
        north = min(south + height, 89.5)
        corners = [(west, south), (west + width, south), (west + width * rng.random(), north)]
        geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        items.append(
            item(f"i{n}", int(rng.integers(0, 20)), geometry, **{"eo:cloud_cover": float(rng.integers(0, 100))})
        )
    items.append(item("world", 7, box(-180, -90, 180, 90), **{"eo:cloud_cover": 1.0}))
    return items


def boxes_everywhere(count: int, seed: int) -> list[Bbox]:
    rng = np.random.default_rng(seed)
    boxes: list[Bbox] = []
    for _ in range(count):
        west, south = rng.uniform(-180, 180), rng.uniform(-90, 80)
        width, height = 10 ** rng.uniform(-2, 2.2, 2)
        east = west + min(width, 350)
        boxes.append((west, south, east if east <= 180 else east - 360, min(south + height, 90)))
    return boxes


def test_lists_of_boxes_equal_brute_force(catalogue: SqliteCatalogue) -> None:
    items = scattered(400, seed=3)
    catalogue.put("c", items)
    shapes = {it["id"]: footprint(it["geometry"]) for it in items}
    order = found(catalogue)
    assert order == [it["id"] for it in sorted(items, key=lambda it: it["id"])] or len(order) == len(items)
    boxes = boxes_everywhere(60, seed=4)
    expected = [[id for id in order if shape_of(parts(b)).intersects(shapes[id])] for b in boxes]
    assert sum(map(len, expected)) > 250
    assert [[f.id for f in part] for part in catalogue.cover(Search("c"), boxes)] == expected
    for b, some in zip(boxes, expected, strict=True):
        assert [f.id for f in catalogue.cover(Search("c"), [b])[0]] == some
        assert found(catalogue, bbox=b) == some
    assert catalogue.cover(Search("c"), []) == []


def test_filters_and_boxes_together_equal_brute_force(catalogue: SqliteCatalogue) -> None:
    items = scattered(400, seed=5)
    catalogue.put("c", items)
    area = box(-100, 0, 70, 70)
    search = Search(
        "c",
        intersects=area,
        start_ms=3 * DAY,
        end_ms=15 * DAY,
        properties=(("eo:cloud_cover", "<=", 60),),
        sort=(("eo:cloud_cover", True),),
    )

    def wanted(it: dict[str, Any]) -> bool:
        day = int(it["properties"]["datetime"][8:10]) - 1
        good = 3 <= day < 15 and it["properties"]["eo:cloud_cover"] <= 60
        return good and bool(shapely.intersects(footprint(area), footprint(it["geometry"])))

    def place(it: dict[str, Any]) -> Any:
        return it["properties"]["eo:cloud_cover"], -int(it["properties"]["datetime"][8:10]), it["id"]

    order = sorted(filter(wanted, items), key=place)
    assert len(order) > 10
    assert [f.id for f in catalogue.cover(search)[0]] == [it["id"] for it in order]
    boxes = [(0.0, 40.0, 10.0, 50.0), (-40.0, 10.0, -20.0, 30.0), (100.0, 0.0, 110.0, 10.0)]
    for limit in (None, 5):
        first = order[:limit]
        expected = [
            [it["id"] for it in first if shape_of(parts(b)).intersects(footprint(it["geometry"]))] for b in boxes
        ]
        limited = Search(**{name: getattr(search, name) for name in Search.__dataclass_fields__} | {"limit": limit})
        assert [[f.id for f in part] for part in catalogue.cover(limited, boxes)] == expected


def plan(catalogue: SqliteCatalogue, search: Search, boxes: list[Bbox] | None = None) -> str:
    from earthloom.catalog.sqlite import _shelf

    with catalogue._database.read() as connection:
        sql = statement(search, _shelf(connection, "c"), boxes)
        rows = connection.db.execute(f"explain query plan {sql.text}", sql.params).fetchall()
    return "\n".join(row[3] for row in rows)


def test_the_plans_use_the_indexes(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", scattered(300, seed=6))
    with sqlite3.connect(catalogue.path) as db:
        db.execute("analyze")  # statistics have turned joins round before
    db.close()
    near = plan(catalogue, Search("c", start_ms=0, end_ms=DAY), [(10, 45, 11, 46)])
    assert "SEARCH v USING PRIMARY KEY (cell=? AND t>? AND t<?)" in near
    assert "BLOOM" not in near
    assert "SEARCH i USING INTEGER PRIMARY KEY (rowid=?)" in near
    newest = plan(catalogue, Search("c", start_ms=0, end_ms=DAY))
    assert "SEARCH i USING INDEX item_t (c=? AND t>? AND t<?)" in newest
    assert "item_t" in plan(catalogue, Search("c", bbox=(-180, -90, 180, 90)))
    assert "SEARCH i USING INDEX item_id (c=? AND id=?)" in plan(catalogue, Search("c", ids=("i1",)))


def test_reads_go_on_while_others_read_and_write(catalogue: SqliteCatalogue) -> None:
    catalogue.put("c", [item(f"base{n}") for n in range(20)])

    def write(which: int) -> int:
        return sum(catalogue.put("c", [item(f"w{which}-{n}-{m}") for m in range(5)]).added for n in range(10))

    def read(_: int) -> list[int]:
        return [len(found(catalogue)) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        writers, readers = [pool.submit(write, n) for n in (0, 1)], [pool.submit(read, n) for n in (0, 1)]
        assert sum(w.result() for w in writers) == 100
        for reader in readers:
            assert all((n - 20) % 5 == 0 for n in reader.result())  # whole batches only
    assert len(found(catalogue)) == 120


def test_two_catalogues_on_one_file(catalogue: SqliteCatalogue) -> None:
    other = SqliteCatalogue(catalogue.path)
    catalogue.put("c", [item("a")])
    assert found(other) == ["a"]
    other.put("c", [item("b")])
    assert found(catalogue) == ["a", "b"]
    other.close()


def test_a_dictionary_trained_later_leaves_old_items_readable(catalogue: SqliteCatalogue) -> None:
    few = [item(f"few{n}") for n in range(5)]
    many = [item(f"many{n}", note=f"words {n * 7919} and more words about item {n}" * 5) for n in range(400)]
    reader = SqliteCatalogue(catalogue.path)  # has its connection before there is a dictionary
    catalogue.put("c", few)
    assert len(found(reader)) == 5
    catalogue.put("c", many)
    with sqlite3.connect(catalogue.path) as db:
        assert db.execute("select length(zdict) from collection").fetchone()[0] > 1000
    db.close()
    assert catalogue.get("c", ["few0", "many7"]) == [orjson.dumps(few[0]), orjson.dumps(many[7])]
    assert reader.get("c", ["few0", "many7"]) == [orjson.dumps(few[0]), orjson.dumps(many[7])]
    assert found(reader, properties=(("note", "=", many[9]["properties"]["note"]),)) == ["many9"]
    reader.close()


def test_kill_9_while_ingesting_leaves_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    code = (
        "import sys; from earthloom.catalog.sqlite import SqliteCatalogue\n"
        "catalogue = SqliteCatalogue(sys.argv[1]); catalogue.put_collection({'id': 'c'})\n"
        "box = {'type': 'Point', 'coordinates': [1, 2]}\n"
        "for n in range(10**9):\n"
        "    catalogue.put('c', [{'id': f'{n}-{m}', 'geometry': box, 'properties': {'datetime': '2020-01-01'},"
        " 'assets': {}} for m in range(50)])\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 5:
                os.kill(process.pid, signal.SIGKILL)
                break
        acknowledged = int(line) + 1
    catalogue = SqliteCatalogue(path)
    count = len(catalogue.cover(Search("c"))[0])
    assert count % 50 == 0
    assert count >= 50 * acknowledged
    assert len(catalogue.cover(Search("c"), [(1, 2, 1, 2)])[0]) == count
    assert catalogue.put("c", [item("after")]).added == 1
    catalogue.close()
    with sqlite3.connect(path) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()


def test_another_programs_file_is_named_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be read as the header of one " * 20)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as db:
        db.execute("create table t(a)")
    db.close()
    for path in (text, foreign):
        with pytest.raises(ReadError, match="no catalogue") as caught:
            SqliteCatalogue(path)
        assert caught.value.where["file"] == str(path)
    with sqlite3.connect(foreign) as db:
        assert db.execute("select name from sqlite_schema").fetchall() == [("t",)]
    db.close()
    with pytest.raises(ReadError, match="cannot be opened"):
        SqliteCatalogue(tmp_path)


def test_another_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    SqliteCatalogue(path).close()
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(ReadError, match="version 99"):
        SqliteCatalogue(path)
