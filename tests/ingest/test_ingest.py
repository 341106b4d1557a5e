"""Ingestion of the real demo pack and of folders; what is bad is refused by name and stops nothing."""

import json
import shutil

import numpy as np
import pytest
import rasterio

from earthloom.base.errors import InvalidArgument, ReadError
from earthloom.catalog.protocol import Search
from earthloom.catalog.sqlite import SqliteCatalogue
from earthloom.ingest.cog import ingest_folder
from earthloom.ingest.stac import ingest_stac


@pytest.fixture
def catalogue(tmp_path):
    opened = SqliteCatalogue(tmp_path / "catalogue.sqlite")
    yield opened
    opened.close()


def bands(catalogue, collection):
    return {b["name"]: b for b in catalogue.collections([collection])[0]["bands"]}


def test_the_pack_is_taken_up_once(catalogue, pack):
    told = []
    report = ingest_stac(catalogue, pack / "catalog.json", lambda done, total, what: told.append((done, total, what)))
    assert (report.added, report.same, report.rejected) == (43, 0, [])
    assert (34, 34, "sentinel2-series") in told
    again = ingest_stac(catalogue, pack / "catalog.json")
    assert (again.added, again.replaced, again.same) == (0, 0, 43)
    assert "43 unchanged" in str(again)


def test_bands_carry_statistics_of_physical_values(catalogue, pack):
    ingest_stac(catalogue, pack / "sentinel2-coast" / "collection.json")
    doc = bands(catalogue, "sentinel2-coast")["B04"]
    with rasterio.open(pack / "sentinel2-coast" / "T18S_coast_B04.tif") as file:
        values = file.read(1, masked=True).compressed() * 1e-4
    assert doc["statistics"]["mean"] == pytest.approx(values.mean(), rel=0.02)
    assert doc["statistics"]["stddev"] == pytest.approx(values.std(), rel=0.05)
    assert doc["statistics"]["maximum"] <= values.max() + 1e-9
    assert doc["raster:scale"] == 1e-4


def test_bands_stand_in_the_order_of_the_files(catalogue, pack):
    ingest_stac(catalogue, pack / "sentinel2-series" / "collection.json")
    assert list(bands(catalogue, "sentinel2-series")) == [
        "B02", "B03", "B04", "B08", "B8A", "B11", "SCL", "tree_cover_density",
    ]  # fmt: skip
    assert catalogue.collections(["sentinel2-series"])[0]["earthloom:epsg"] == 3035


def test_a_corrupt_file_refuses_its_item_only(catalogue, pack, tmp_path):
    copy = shutil.copytree(pack / "landsat8-itaipu", tmp_path / "itaipu")
    for link in (document := json.loads((copy / "collection.json").read_text()))["links"]:
        link["href"] = link["href"].replace("../catalog.json", "./collection.json")
    (copy / "collection.json").write_text(json.dumps(document))
    bad = copy / "LC08_L1TP_224078_20200518_BGR.tif"
    bad.write_bytes(b"this is no TIFF")
    report = ingest_stac(catalogue, copy / "collection.json")
    assert report.added == 1
    assert [name for name, _ in report.rejected] == ["LC08_L1TP_224078_20200518"]
    assert bad.name in report.rejected[0][1]
    assert len(catalogue.search(Search("landsat8-itaipu")).items) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"type": "Table"}', "its type is"),
        ('{"type": "Catalog"}', "no STAC item"),
    ],
)
def test_what_is_no_stac_is_refused(catalogue, tmp_path, text, words):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ReadError, match=words):
        ingest_stac(catalogue, path)
    assert catalogue.collections() == []


def test_a_folder_of_geotiffs(catalogue, pack):
    report = ingest_folder(catalogue, "dem", pack / "elevation", datetime="2010")
    assert (report.added, report.rejected) == (2, [])
    assert ingest_folder(catalogue, "dem", pack / "elevation", datetime="2010").same == 2
    item = json.loads(catalogue.search(Search("dem")).items[0])
    assert item["properties"]["datetime"] == "2010-01-01T00:00:00Z"
    assert bands(catalogue, "dem")["elevation"]["statistics"]["maximum"] > 2000


def test_a_changed_file_replaces_its_item(catalogue, tmp_path):
    def write(value):
        with rasterio.open(
            tmp_path / "a.tif", "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8", crs="EPSG:32633",
            transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        ) as file:  # fmt: skip
            file.write(np.full((1, 64, 64), value, np.uint8))

    write(1)
    assert ingest_folder(catalogue, "own", tmp_path, datetime="2020").added == 1
    write(2)
    assert ingest_folder(catalogue, "own", tmp_path, datetime="2020").replaced == 1
    assert bands(catalogue, "own")["data"]["statistics"]["mean"] == 2


def test_dates_from_the_path(catalogue, pack):
    report = ingest_folder(catalogue, "havel", pack / "sentinel2-havel", pattern=r"(?P<date>\d{8})T")
    assert report.added == 13
    item = json.loads(catalogue.search(Search("havel")).items[0])
    assert item["properties"]["datetime"] == "2017-02-16T00:00:00Z"


def test_files_without_a_date_are_refused_with_the_way_out(catalogue, pack):
    report = ingest_folder(catalogue, "dem", pack / "elevation")
    assert report.added == 0
    assert all("pattern" in why for _, why in report.rejected)


@pytest.mark.parametrize(("pattern", "words"), [("(", "no regular expression"), (r"\d+", "no group date")])
def test_a_wrong_pattern_is_told(catalogue, pack, pattern, words):
    with pytest.raises(InvalidArgument, match=words):
        ingest_folder(catalogue, "dem", pack / "elevation", pattern=pattern)


def test_an_empty_folder_is_told(catalogue, tmp_path):
    with pytest.raises(ReadError, match="no GeoTIFF"):
        ingest_folder(catalogue, "x", tmp_path / "nothing")
