"""Ingestion of the real demo pack and of folders; what is bad is refused by name and stops nothing."""

import json
import shutil

import numpy as np
import pytest
import rasterio
from rich.console import Console

from earthloom.base.errors import InvalidArgument, ReadError
from earthloom.catalog.protocol import Search
from earthloom.catalog.sqlite import SqliteCatalogue
from earthloom.ingest.cog import ingest_folder
from earthloom.ingest.stac import ingest_stac
from earthloom.ingest.statistics import spread


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
    assert again.files == 0
    assert "43 unchanged; 0 files opened" in str(again)


def test_a_second_time_leaves_every_revision(catalogue, pack):
    ingest_stac(catalogue, pack / "sentinel2-series" / "collection.json")
    before = catalogue.changes("sentinel2-series"), catalogue.collections()
    ingest_stac(catalogue, pack / "sentinel2-series" / "collection.json")
    assert (catalogue.changes("sentinel2-series"), catalogue.collections()) == before


def test_the_report_is_a_table(catalogue, pack):
    report = ingest_stac(catalogue, pack / "landsat8-itaipu" / "LC08_L1TP_224077_20200518.json")
    report.rejected.append(("[bold]x", "why"))
    console = Console(width=100)
    with console.capture() as capture:
        console.print(report)
    text = capture.get()
    assert "landsat8-itaipu │   1 │        0 │         0" in text
    assert "refused: [bold]x: why" in text


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


def write_stac(folder, name, document):
    (folder / name).write_text(json.dumps(document))
    return folder / name


def links(**hrefs):
    return [{"rel": rel, "href": href} for rel, several in hrefs.items() for href in several]


def small_item(name, href="a.tif", **more):
    asset = {"href": href, "type": "image/tiff; application=geotiff", "roles": ["data"]}
    point = {"type": "Point", "coordinates": [15.0, 45.1]}
    properties = {"datetime": "2020-01-01T00:00:00Z", "proj:epsg": 32633}
    return {"type": "Feature", "id": name, "geometry": point, "properties": properties, "assets": {"b": asset}} | more


def write_tiff(path, values, epsg=32633, transform=(10, 0, 500_000, 0, -10, 5_000_000), colours=None, **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        crs=f"EPSG:{epsg}", transform=rasterio.Affine(*transform), **profile,
    ) as file:  # fmt: skip
        file.write(values, 1)
        if colours:
            file.write_colormap(1, colours)
    return path


def test_what_cannot_be_read_below_a_catalogue_stops_nothing(catalogue, tmp_path):
    write_tiff(tmp_path / "a.tif", np.ones((8, 8), np.uint8))
    (tmp_path / "broken.json").write_text("{")
    write_stac(tmp_path, "good.json", small_item("good"))
    write_stac(tmp_path, "far.json", {"type": "Collection", "id": "far", "links": links(item=["https://h/x.json"])})
    items = ["good.json", "missing.json", "broken.json"]
    write_stac(tmp_path, "c.json", {"type": "Collection", "id": "c", "links": links(item=items)})
    # Links in a circle, and one that leads nowhere.
    children = ["catalog.json", "c.json", "far.json", "nothing.json", "c.json"]
    path = write_stac(tmp_path, "catalog.json", {"type": "Catalog", "id": "root", "links": links(child=children)})
    report = ingest_stac(catalogue, path)
    assert report.added == 1
    assert {what.rsplit("/")[-1]: why.split(str(tmp_path))[-1] for what, why in report.rejected} == {
        "missing.json": "/missing.json cannot be read: No such file or directory.",
        "broken.json": "/broken.json is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 "
        "(char 1).",
        "far.json": "/far.json links to https://h/x.json, which is no file.",
        "nothing.json": "/nothing.json cannot be read: No such file or directory.",
    }


def test_items_on_their_own_go_to_the_collection_that_they_name(catalogue, tmp_path):
    write_tiff(tmp_path / "a.tif", np.ones((8, 8), np.uint8))
    later = {"datetime": "2021-01-01T00:00:00Z", "proj:epsg": 32633}
    point = {"type": "Point", "coordinates": [16.0, 46.0]}
    features = [small_item("one", collection="loose"), small_item("nobody")]
    report = ingest_stac(
        catalogue, write_stac(tmp_path, "items.json", {"type": "FeatureCollection", "features": features})
    )
    assert (report.added, [what for what, _ in report.rejected]) == (1, ["nobody"])
    other = small_item("two", collection="loose", properties=later, geometry=point)
    assert ingest_stac(catalogue, write_stac(tmp_path, "two.json", other)).added == 1
    (document,) = catalogue.collections(["loose"])
    assert document["extent"] == {
        "spatial": {"bbox": [[15.0, 45.1, 16.0, 46.0]]},
        "temporal": {"interval": [["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]]},
    }
    assert document["earthloom:epsg"] == 32633


def test_one_more_item_keeps_what_the_collection_knows(catalogue, pack, tmp_path):
    ingest_stac(catalogue, pack / "sentinel2-series" / "collection.json")
    before = bands(catalogue, "sentinel2-series")
    write_tiff(tmp_path / "a.tif", np.full((8, 8), 7, np.int16), nodata=-1)
    ingest_stac(catalogue, write_stac(tmp_path, "new.json", small_item("new", collection="sentinel2-series")))
    (document,) = catalogue.collections(["sentinel2-series"])
    after = bands(catalogue, "sentinel2-series")
    assert document["title"].startswith("Sentinel-2 L2A time series")
    assert document["earthloom:epsg"] == 3035
    assert list(after) == [*before, "b"]
    assert {name: after[name] for name in before} == before
    # The item does not tell type and no-data value: the file does.
    assert (after["b"]["data_type"], after["b"]["nodata"], after["b"]["statistics"]["mean"]) == ("int16", -1.0, 7.0)


def test_statistics_forget_the_file_that_an_item_had_before(catalogue, tmp_path, caplog):
    old = write_tiff(tmp_path / "old.tif", np.full((8, 8), 7, np.uint8))
    write_tiff(tmp_path / "new.tif", np.full((8, 8), 9, np.uint8))
    ingest_stac(catalogue, write_stac(tmp_path, "x.json", small_item("x", "old.tif", collection="c")))
    old.unlink()
    report = ingest_stac(catalogue, write_stac(tmp_path, "x.json", small_item("x", "new.tif", collection="c")))
    assert report.replaced == 1
    assert bands(catalogue, "c")["b"]["statistics"]["mean"] == 9
    assert caplog.text == ""


def test_statistics_are_those_of_all_values_together(catalogue, tmp_path):
    rng = np.random.default_rng(1)
    parts = [(rng.normal(1e6 + 1000 * n, 0.5, (20, 30))).astype(np.float64) for n in range(3)]
    for n, part in enumerate(parts):
        part[0, :n] = -9999
        write_tiff(tmp_path / f"2020010{n + 1}.tif", part, nodata=-9999)
    ingest_folder(catalogue, "own", tmp_path, pattern=r"(?P<date>\d{8})")
    values = np.concatenate([part[part != -9999] for part in parts])
    statistics = bands(catalogue, "own")["data"]["statistics"]
    assert statistics["mean"] == pytest.approx(values.mean(), rel=1e-12)
    assert statistics["stddev"] == pytest.approx(values.std(), rel=1e-9)
    assert (statistics["minimum"], statistics["maximum"]) == (values.min(), values.max())
    assert statistics["valid_percent"] == pytest.approx(100 * values.size / 1800)


def test_a_file_with_a_damaged_block_is_taken_up_without_statistics(catalogue, tmp_path, caplog):
    write_tiff(tmp_path / "good.tif", np.full((64, 64), 3, np.uint8), compress="deflate")
    noise = np.random.default_rng(1).integers(0, 255, (64, 64)).astype(np.uint8)
    bad = write_tiff(tmp_path / "bad.tif", noise, compress="deflate")
    data = bytearray(bad.read_bytes())
    data[600:2600] = bytes(2000)
    bad.write_bytes(data)
    report = ingest_folder(catalogue, "own", tmp_path, datetime="2020")
    assert (report.added, report.rejected) == (2, [])
    assert bands(catalogue, "own")["data"]["statistics"]["mean"] == 3
    assert "Item bad, band data has no part in the statistics" in caplog.text


def test_classes_come_from_the_item_else_from_the_colour_table(catalogue, pack, tmp_path):
    ingest_stac(catalogue, pack / "sentinel2-series" / "collection.json")
    classes = bands(catalogue, "sentinel2-series")["SCL"]["classification:classes"]
    assert {"value": 4, "name": "vegetation", "title": "vegetation", "color_hint": "10D32D"} in classes
    values = np.array([[1, 2], [2, 5]], np.uint8)
    write_tiff(tmp_path / "a.tif", values, colours={1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 9: (0, 0, 9, 255)})
    ingest_folder(catalogue, "land", tmp_path, datetime="2020")
    # GDAL fills the table with black; a value that occurs is a class.
    assert bands(catalogue, "land")["data"]["classification:classes"] == [
        {"value": 1, "name": "1", "color_hint": "FF0000"},
        {"value": 2, "name": "2", "color_hint": "00FF00"},
        {"value": 5, "name": "5", "color_hint": "000000"},
    ]


def test_sixteen_of_many_are_spread_evenly():
    assert spread(list(range(5)), 16) == [0, 1, 2, 3, 4]
    assert spread(list(range(31)), 16) == list(range(0, 31, 2))
    assert spread([], 16) == []


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


def test_only_changed_files_are_opened_again(catalogue, tmp_path):
    for name in ("a", "b"):
        write_tiff(tmp_path / f"{name}.tif", np.full((64, 64), 1, np.uint8))
    assert ingest_folder(catalogue, "own", tmp_path, datetime="2020").added == 2
    write_tiff(tmp_path / "b.tif", np.full((64, 64), 3, np.uint8))
    report = ingest_folder(catalogue, "own", tmp_path, datetime="2020", title="Mine")
    assert (report.replaced, report.same, report.files) == (1, 1, 1)
    assert bands(catalogue, "own")["data"]["statistics"]["mean"] == 2
    assert catalogue.collections(["own"])[0]["title"] == "Mine"
    again = ingest_folder(catalogue, "own", tmp_path, datetime="2020")
    assert (again.same, again.files) == (2, 0)
    assert catalogue.collections(["own"])[0]["title"] == "Mine"
    assert ingest_folder(catalogue, "own", tmp_path, datetime="2021").replaced == 2  # another date is another item


def test_two_files_cannot_be_one_item(catalogue, tmp_path):
    for name in ("a/b.tif", "a_b.tif", "a_b.TIFF"):
        write_tiff(tmp_path / name, np.full((8, 8), 1, np.uint8))
    report = ingest_folder(catalogue, "own", tmp_path, datetime="2020")
    assert report.added == 1
    assert [what for what, _ in report.rejected] == ["a_b.TIFF", "a_b.tif"]
    assert 'the item "a_b", as a/b.tif is' in report.rejected[0][1]


def test_a_path_with_wildcards(catalogue, tmp_path):
    for name in ("x/dem_1.tif", "y/dem_2.tif", "y/other.tif", "y/dem_3.txt"):
        write_tiff(tmp_path / name, np.full((8, 8), 1, np.uint8))
    report = ingest_folder(catalogue, "own", tmp_path / "*" / "dem_*", datetime="2020")
    assert report.added == 2
    ids = [json.loads(item)["id"] for item in catalogue.search(Search("own")).items]
    assert ids == ["x_dem_1", "y_dem_2"]


def test_an_image_across_the_antimeridian(catalogue, tmp_path):
    write_tiff(tmp_path / "a.tif", np.ones((10, 10), np.uint8), 32660, (2000, 0, 700_000, 0, -2000, 20_000))
    ingest_folder(catalogue, "own", tmp_path, datetime="2020")
    (item,) = map(json.loads, catalogue.search(Search("own")).items)
    assert item["geometry"]["type"] == "Polygon"
    write_tiff(tmp_path / "b.tif", np.ones((10, 10), np.uint8), 32660, (2000, 0, 825_000, 0, -2000, 20_000))
    ingest_folder(catalogue, "own", tmp_path, datetime="2020")
    across = json.loads(catalogue.get("own", ["b"])[0])
    west, _, east, _ = across["bbox"]
    assert west > 179.9
    assert -180 < east < -179.8
    assert len(catalogue.search(Search("own", bbox=(-179.99, 0, -179.9, 0.1))).items) == 1


@pytest.mark.parametrize(("epsg", "pole", "edge"), [(3413, 90, 79), (3031, -90, -79)])
def test_an_image_round_a_pole(catalogue, tmp_path, epsg, pole, edge):
    write_tiff(tmp_path / "a.tif", np.ones((20, 20), np.uint8), epsg, (1e5, 0, -1e6, 0, -1e5, 1e6))
    ingest_folder(catalogue, "own", tmp_path, datetime="2020")

    def there(lat):
        return len(catalogue.search(Search("own", bbox=(20, min(lat, lat * 0.999), 20.1, max(lat, lat * 0.999)))).items)

    assert (there(pole), there(edge)) == (1, 0)


def test_the_extent_of_a_folder(catalogue, pack):
    ingest_folder(catalogue, "dem", pack / "elevation", pattern=r"(?P<date>$)|x", datetime="2010")
    (document,) = catalogue.collections(["dem"])
    box = document["extent"]["spatial"]["bbox"][0]
    assert box == pytest.approx([5.0, 39.25, 40.6, 46.0], abs=0.01)
    assert document["extent"]["temporal"]["interval"] == [["2010-01-01T00:00:00Z"] * 2]


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
