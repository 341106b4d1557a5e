"""Bands, scales, addresses and times of items as different producers write them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson
import pytest

from earthloom.base.asset import Asset
from earthloom.base.errors import InvalidArgument, ReadError
from earthloom.catalog.normalise import absolute, assets_of, bands_of, epsg_of, times_of, updated_of

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "id": "it", "properties": properties, "assets": assets, "links": []}


def asset(**more: Any) -> dict[str, Any]:
    return {"href": "a.tif", "type": COG, "roles": ["data"], **more}


def one(assets: dict[str, Any], collection: dict[str, Any] | None = None, **properties: Any) -> Asset:
    (found,) = assets_of(item(assets, **properties), collection or {}, "/data/it.json")
    return found


def test_stac_1_1() -> None:
    band = {"name": "B04", "data_type": "uint16", "nodata": 0, "raster:scale": 1e-4, "raster:offset": -0.1}
    assert one({"red": asset(bands=[band])}) == Asset("it", "B04", "/data/a.tif", 1, "uint16", 1e-4, -0.1, 0.0)


def test_stac_1_1_with_the_facts_on_the_asset() -> None:
    got = one({"dem": asset(data_type="float32", nodata="nan", **{"raster:scale": 2.0})})
    assert (got.band, got.dtype, got.scale, got.offset) == ("dem", "float32", 2.0, 0.0)
    assert math.isnan(got.nodata or 0)


def test_stac_1_0() -> None:
    assets = {
        "red": asset(
            **{
                "eo:bands": [{"name": "B04", "common_name": "red", "center_wavelength": 0.665}],
                "raster:bands": [{"data_type": "int16", "nodata": -9999, "scale": 0.01, "offset": 5}],
            }
        )
    }
    (band,) = bands_of(item(assets), {}, "/data/it.json")
    assert band.asset == Asset("it", "B04", "/data/a.tif", 1, "int16", 0.01, 5.0, -9999.0)
    assert band.about["eo:common_name"] == "red"
    assert band.about["eo:center_wavelength"] == 0.665


def test_several_bands_of_one_file_are_counted_from_one() -> None:
    found = assets_of(item({"data": asset(bands=[{"name": "r"}, {"name": "g"}, {}])}), {}, "/data/it.json")
    assert [(a.band, a.index) for a in found] == [("r", 1), ("g", 2), ("data_3", 3)]


def test_without_a_name_the_key_of_the_asset_is_the_band() -> None:
    got = one({"elevation": asset()})
    assert (got.band, got.scale, got.offset, got.nodata) == ("elevation", 1.0, 0.0, None)


def test_item_assets_fill_what_the_item_leaves_out() -> None:
    models = {"red": {"bands": [{"name": "B04", "data_type": "int16", "raster:scale": 0.5, "nodata": 7}]}}
    got = one({"red": asset(bands=[{"nodata": 3}])}, {"item_assets": models})
    assert (got.band, got.dtype, got.scale, got.nodata) == ("B04", "int16", 0.5, 3.0)


def test_scale_and_offset_come_from_one_source() -> None:
    models = {"red": {"raster:bands": [{"scale": 0.5, "offset": 100}]}}
    got = one({"red": asset(bands=[{"name": "B04", "raster:scale": 0.1}])}, {"item_assets": models})
    assert (got.scale, got.offset) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("baseline", "mission", "offset"),
    [
        ("03.01", {"constellation": "sentinel-2"}, 0.0),
        ("04.00", {"constellation": "sentinel-2"}, -1000.0),
        ("05.00", {"platform": "Sentinel-2B"}, -1000.0),
        ("05.00", {"platform": "landsat-8"}, 0.0),
    ],
)
def test_the_baseline_of_sentinel_2(baseline: str, mission: dict[str, str], offset: float) -> None:
    got = one({"B04": asset()}, **mission, **{"s2:processing_baseline": baseline})
    assert (got.scale, got.offset) == (1.0, offset)


def test_the_baseline_rule_is_never_added_to_a_declared_offset() -> None:
    properties = {"constellation": "sentinel-2", "s2:processing_baseline": "05.09"}
    got = one({"B04": asset(**{"raster:bands": [{"scale": 1e-4, "offset": -0.1}]})}, **properties)
    assert (got.scale, got.offset) == (1e-4, -0.1)


def test_the_baseline_rule_is_for_reflectances_only() -> None:
    properties = {"constellation": "sentinel-2", "s2:processing_baseline": "05.09"}
    assets = {"SCL": asset(), "B8A": asset(), "B13": asset(), "visual": asset(bands=[{"name": n} for n in "rgb"])}
    found = assets_of(item(assets, **properties), {}, "/data/it.json")
    assert {a.band: a.offset for a in found} == {"SCL": 0, "B8A": -1000, "B13": 0, "r": 0, "g": 0, "b": 0}


def test_pixels_that_were_shifted_already_have_no_offset() -> None:
    properties = {
        "constellation": "sentinel-2",
        "s2:processing_baseline": "05.09",
        "earthsearch:boa_offset_applied": True,
    }
    declared = one({"red": asset(**{"raster:bands": [{"scale": 1e-4, "offset": -0.1}]})}, **properties)
    assert (declared.scale, declared.offset) == (1e-4, 0.0)
    assert one({"B04": asset()}, **properties).offset == 0.0


@pytest.mark.parametrize(
    ("more", "taken"),
    [
        ({"roles": ["thumbnail"]}, False),
        ({"roles": ["overview", "metadata"]}, False),
        ({"roles": ["visual", "overview"]}, True),
        ({"roles": None}, True),
        ({"type": "application/xml"}, False),
        ({"type": "image/png"}, False),
        ({"type": "image/jp2"}, True),
        ({"type": None}, True),
        ({"type": None, "href": "a.xml"}, False),
        ({"type": None, "href": "s3://b/key", "bands": [{"name": "x"}]}, True),
        ({"href": None}, False),
    ],
)
def test_which_assets_are_rasters(more: dict[str, Any], taken: bool) -> None:
    assert bool(assets_of(item({"a": asset() | more}), {}, "/data/it.json")) is taken


def test_two_bands_of_one_name() -> None:
    assets = {
        "visual": asset(href="v.tif", roles=["visual"], bands=[{"name": "red"}, {"name": "green"}]),
        "red": asset(href="r.tif", bands=[{"name": "red"}]),
        "red-jp2": asset(href="r.jp2", type="image/jp2", bands=[{"name": "red"}]),
    }
    found = assets_of(item(assets), {}, "/data/it.json")
    assert [(a.band, a.href.rsplit("/")[-1]) for a in found] == [
        ("visual_red", "v.tif"),
        ("green", "v.tif"),
        ("red", "r.tif"),
        ("red-jp2", "r.jp2"),
    ]


def test_the_collections_ingested_bands_know_the_type() -> None:
    assert one({"dem": asset()}, {"bands": [{"name": "dem", "data_type": "float64"}]}).dtype == "float64"


def test_a_scale_that_is_no_number_names_item_and_band() -> None:
    with pytest.raises(InvalidArgument, match="scale 'ten'") as caught:
        one({"a": asset(bands=[{"name": "x", "raster:scale": "ten"}])})
    assert caught.value.where == {"item": "it", "band": "x"}


@pytest.mark.parametrize(
    ("href", "base", "expected"),
    [
        ("a.tif", "/data/s/it.json", "/data/s/a.tif"),
        ("./x/../a.tif", "/data/s/", "/data/s/a.tif"),
        ("../a.tif", "file:///data/s/it.json", "/data/a.tif"),
        ("file:///data/a%20b.tif", "", "/data/a b.tif"),
        ("/abs/a.tif", "/data/it.json", "/abs/a.tif"),
        ("../a.tif", "https://h/c/s/it.json?x=1", "https://h/c/a.tif"),
        ("/a.tif", "https://h/c/it.json", "https://h/a.tif"),
        ("../a.tif", "s3://bucket/c/s/it.json", "s3://bucket/c/a.tif"),
        ("s3://bucket/a.tif", "/data/it.json", "s3://bucket/a.tif"),
        ("/vsizip/x.zip/a.tif", "https://h/it.json", "/vsizip/x.zip/a.tif"),
    ],
)
def test_addresses(href: str, base: str, expected: str) -> None:
    assert absolute(href, base) == expected


def test_the_self_link_tells_where_an_item_lies() -> None:
    doc = item({"a": asset()}) | {"links": [{"rel": "self", "href": "https://h/c/it.json"}]}
    assert assets_of(doc, {})[0].href == "https://h/c/a.tif"
    assert assets_of(doc, {}, "/data/it.json")[0].href == "/data/a.tif"


def test_a_relative_address_without_a_place_is_refused() -> None:
    with pytest.raises(ReadError, match=r'relative address "a\.tif"') as caught:
        assets_of(item({"a": asset()}), {})
    assert caught.value.where == {"item": "it", "file": "a.tif"}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"datetime": "1970-01-01T00:00:01.5Z"}, (1500, 1500)),
        ({"datetime": "1970-01-01T01:00:00+01:00"}, (0, 0)),
        ({"datetime": None, "start_datetime": "1970-01-01", "end_datetime": "1970-01-02"}, (0, 86_400_000)),
        ({"datetime": "1970-01-02", "start_datetime": "1970-01-01", "end_datetime": "1970-01-03"}, (86_400_000,) * 2),
    ],
)
def test_times(properties: dict[str, Any], expected: tuple[int, int]) -> None:
    assert times_of({"properties": properties}) == expected


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"datetime": None}, "no datetime"),
        ({"start_datetime": "2020-01-01"}, "no datetime"),
        ({"datetime": "yesterday"}, "yesterday"),
        ({"datetime": 2020}, "2020 is not a date"),
        ({"start_datetime": "2020-01-02", "end_datetime": "2020-01-01"}, "before its start_datetime"),
    ],
)
def test_times_that_are_refused(properties: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        times_of({"properties": properties})


def test_updated_else_created() -> None:
    assert updated_of({"properties": {"updated": "1970-01-01T00:00:01Z", "created": "1970-01-01"}}) == 1000
    assert updated_of({"properties": {"created": "1970-01-01"}}) == 0
    assert updated_of({"properties": {}}) is None


@pytest.mark.parametrize(
    ("doc", "epsg"),
    [
        ({"properties": {"proj:epsg": 32633}}, 32633),
        ({"properties": {"proj:code": "EPSG:3035"}}, 3035),
        ({"properties": {"proj:epsg": None}, "assets": {"a": {}, "b": {"proj:code": "epsg:4326"}}}, 4326),
        ({"properties": {"proj:code": "IAU_2015:30100"}}, None),
        ({"properties": {}}, None),
    ],
)
def test_epsg(doc: dict[str, Any], epsg: int | None) -> None:
    assert epsg_of(doc) == epsg


def test_every_item_of_the_demo_pack_has_its_files(pack: Path) -> None:
    count = 0
    for path in pack.glob("*/*.json"):
        doc = orjson.loads(path.read_bytes())
        if doc["type"] == "Feature":
            for found in assets_of(doc, {}, str(path)):
                count += 1
                with open(found.href, "rb") as file:
                    assert file.read(2) in (b"II", b"MM")
    assert count == 33 * 7 + 1 + 13 + 13 + 2 * 3 + 6 + 1 + 2 + 3
