"""Paths and collections: what a name stands for, filters that change in place, wrong calls."""

from __future__ import annotations

import pytest

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.jeolab import Collection, Collections, ImageCollection, collections, inter

SERIES = "sentinel2-series"


def ids(coll: ImageCollection) -> list[str]:
    return [item["id"] for item in coll.items.items()]


@pytest.mark.parametrize(
    ("name", "id"),
    [
        (collections.EarthObservation.Copernicus.Sentinel2.Level1C, "sentinel2-coast"),
        (collections.EarthObservation.Copernicus.Sentinel2, "sentinel2-coast"),
        (collections.Sentinel2, "sentinel2-coast"),
        (collections.Sentinel2.Level2A, "sentinel2-series"),
        ("S2", "sentinel2-coast"),
        ("sentinel2-havel", "sentinel2-havel"),
        ("sentinel2_havel", "sentinel2-havel"),
    ],
)
def test_a_path_stands_for_a_collection_of_the_server(name: object, id: str) -> None:
    assert Collection(name).items.id == id


def test_the_tree_is_completed_by_paths_and_by_the_server() -> None:
    assert "EarthObservation" in dir(collections)
    assert dir(collections.EarthObservation.Copernicus.Sentinel2) == ["Level1C", "Level2A"]
    assert dir(collections.Sentinel2) == ["Level1C", "Level2A"]
    assert "sentinel2_havel" in dir(collections)
    assert Collection(collections.sentinel2_havel).items.id == "sentinel2-havel"
    assert repr(collections.Sentinel2.Level1C) == "collections.Sentinel2.Level1C"
    assert not hasattr(collections, "_repr_html_")


def test_a_wrong_path_names_near_ones() -> None:
    with pytest.raises(NotFound, match="Sentinel2"):
        _ = collections.EarthObservation.Copernicus.Sentinel3
    with pytest.raises(NotFound, match="sentinel2_coast"):
        _ = collections.sentinel2_cost
    with pytest.raises(NotFound, match="sentinel2-coast"):
        Collection("sentinel2-cost")


def test_inter_has_the_same_names() -> None:
    assert inter.Collection is Collection is Collections
    assert inter.ImageCollection is ImageCollection
    assert inter.collections is collections


def test_every_filter_changes_the_collection_and_gives_it_back() -> None:
    coll = Collection(SERIES)
    assert coll.count() == 34
    assert coll.filterOnDate(2020, 5, 1, 2020, 9, 30) is coll
    summer = coll.count()
    assert 0 < summer < 34
    assert coll.filterOn("cloudcover", "<=", 5) is coll
    clear = coll.count()
    assert 0 < clear < summer
    assert coll.filterOn("jrc_filepath", "<>", "").count() == clear
    assert coll.limit(2) is coll.sort("cloudcover", True) is coll
    assert coll.count() == 2
    assert coll.filterOnRect(10, 10, 11, 11).count() == 0


def test_of_two_filters_of_one_kind_the_last_counts() -> None:
    coll = Collection(SERIES).filterOnDay(2020, 2, 1)
    first = ids(coll)
    assert len(first) == 1
    assert ids(coll.filterOnDay(2020, 12, 22)) != first
    coll.filterOnDate(2020, 1, 1, 2020, 12, 31).filterOn("cloudcover", "<=", 5)
    clear = coll.count()
    assert coll.filterOn("cloudcover", "<=", 90).count() > clear
    coll.filterOnRect(10, 10, 11, 11).filterOnRect(22, 45, 23, 46)
    assert coll.count() > clear
    assert coll.sort("cloudcover").sort("cloudcover", False).items.order == (("eo:cloud_cover", False),)


def test_both_ends_of_a_period_are_included() -> None:
    assert Collection(SERIES).filterOnDate(2020, 2, 1, 2020, 12, 22).count() == 33


def test_limit_before_sort_gives_the_first_of_the_order() -> None:
    after = ids(Collection(SERIES).filterOnDate(2020, 1, 1, 2020, 12, 31).sort("cloudcover").limit(4))
    assert ids(Collection(SERIES).filterOnDate(2020, 1, 1, 2020, 12, 31).limit(4).sort("cloudcover")) == after


def test_a_place_is_found_with_and_without_accents() -> None:
    coll = Collection(SERIES).filterOnGeoName("Resita", 1, "RO")
    assert coll.count() == 34
    assert coll.filterOnGeoName("Ispra").count() == 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda c: c.filterOnRect(1, 2), r"filterOnRect\(lonmin, latmin, lonmax, latmax\)"),
        (lambda c: c.filterOnRect("a", 1, 2, 3), "lonmin is a number, not 'a'"),
        (lambda c: c.filterOnDay(2016, 13, 7), "2016-13-7 is no day"),
        (lambda c: c.filterOnDay("2016-07-13"), r"filterOnDay\(year, month, day\)"),
        (lambda c: c.filterOnDate(2016, 7, 13), "filterOnDate"),
        (lambda c: c.filterOn("cloudcover", "=<", 5), "<= > >="),
        (lambda c: c.limit(1.5), "count is a whole number"),
        (lambda c: c.limit(0), "leaves nothing"),
        (lambda c: c.processMulti("B04"), r'\["B04", "B08"\]'),
        (lambda c: c.processMulti([]), r'\["B04", "B08"\]'),
    ],
)
def test_a_wrong_call_names_what_is_accepted(call: object, told: str) -> None:
    coll = Collection(SERIES)
    with pytest.raises(InvalidArgument, match=told):
        call(coll)
    assert coll.count() == 34
