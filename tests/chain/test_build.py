"""What a user writes: operators, verbs, sugar, and the graphs that they become."""

import subprocess
import sys
from datetime import date

import pytest

import earthloom as el
from earthloom.base.errors import EarthloomError, InvalidArgument
from earthloom.chain.verbs import stub, verbs

coll = el.ImageCollection("sentinel2-series")


def ids(chain):
    return [n["process_id"] for n in chain.graph.values()]


def test_one_band_drops_the_dimension_and_several_keep_it():
    assert ids(coll.mosaic()["B04"]) == ["load_collection", "mosaic", "reduce_dimension"]
    assert ids(coll.mosaic()[["B04", "B08"]]) == ["load_collection", "mosaic", "filter_bands"]


def test_chain_with_chain_merges_with_equal_labels():
    red = coll.mosaic()["B04"]
    merge = (red / (red + 1)).graph["mergecubes1"]["arguments"]
    assert merge["context"] == {"labels": "equal"}
    resolver = merge["overlap_resolver"]["process_graph"]["divide1"]
    assert resolver["arguments"] == {"x": {"from_parameter": "x"}, "y": {"from_parameter": "y"}}


def test_a_number_on_the_left_stays_on_the_left():
    callback = (1 - coll.mosaic()["B04"]).graph["apply1"]["arguments"]["process"]["process_graph"]
    assert callback["subtract1"]["arguments"] == {"x": 1, "y": {"from_parameter": "x"}}


def test_filters_are_data():
    chosen = coll.filter_date("2020-05", "2020-09").filter("eo:cloud_cover", "<=", 20).filter_bounds((22, 45, 23, 46))
    graph = chosen.sort("eo:cloud_cover").limit(3).mosaic().graph
    load = graph["loadcollection1"]["arguments"]
    assert load["temporal_extent"] == ["2020-05-01T00:00:00Z", "2020-10-01T00:00:00Z"]
    assert load["spatial_extent"] is None
    condition = load["properties"]["eo:cloud_cover"]["process_graph"]["lte1"]["arguments"]
    assert condition == {"x": {"from_parameter": "value"}, "y": 20}
    select = graph["selectitems1"]["arguments"]
    assert select["sort"] == [["eo:cloud_cover", True]]
    assert select["limit"] == 3
    assert select["intersects"]["type"] == "Polygon"


def test_dates_as_objects():
    graph = coll.filter_date(date(2020, 5, 1), date(2020, 5, 2)).mosaic().graph
    assert graph["loadcollection1"]["arguments"]["temporal_extent"] == ["2020-05-01T00:00:00Z", "2020-05-03T00:00:00Z"]


@pytest.mark.parametrize(
    "again",
    [
        lambda: coll.filter_date("2020").filter_date("2021"),
        lambda: coll.filter_bounds((0, 0, 1, 1)).filter_bounds((0, 0, 1, 1)),
    ],
)
def test_a_second_date_or_place_is_refused(again):
    with pytest.raises(InvalidArgument, match="already"):
        again()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: coll.filter("eo:cloud_cover", "=<", 20), "Near names"),
        (lambda: coll.filter_date("2020-09", "2020-05"), "ends before it starts"),
        (lambda: coll.filter_bounds((1, 2, 3)), "west, south, east, north"),
        (lambda: coll.mosaic()["B04"].hillshade(azimut=3), "azimut"),
        (lambda: coll.mosaic()["B04"].color(["rde"]), "red"),
        (lambda: coll.mosaic().rgb("B04", "B03"), "three bands"),
        (lambda: coll.mosaic()["B04"].slope(unit="degrees"), "degree, percent"),
        (lambda: bool(coll.mosaic()["B04"] > 1), "where"),
        (lambda: coll.limit(0), "leaves nothing"),
    ],
)
def test_a_wrong_argument_is_told_at_once(wrong, words):
    with pytest.raises((EarthloomError, TypeError), match=words):
        wrong()


def test_chains_are_told_apart_by_identity():
    one, two = coll.mosaic()["B04"], coll.mosaic()["B04"]
    assert len({one, two}) == 2
    assert one.key == two.key


def test_a_chain_prints_its_steps_without_a_server():
    text = repr(coll.cube(["B04", "B08"])["B04"].median("t").color("viridis", vmin=0, vmax=1))
    assert "sentinel2-series" in text
    assert "median" in text


def test_the_stub_is_what_the_registry_gives():
    from pathlib import Path

    import earthloom.chain.verbs as module

    written = Path(module.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assert "".join(written.split()) == "".join(stub().split()).replace(",)", ")")


def test_every_verb_has_a_text():
    for name in verbs():
        assert getattr(el.Chain, name).__doc__


def test_importing_and_building_a_chain_stays_light():
    code = (
        "import sys, earthloom as el; el.ImageCollection('a').mosaic()['b'].hillshade().color('viridis').key;"
        "bad = {'rasterio', 'numba', 'xarray', 'fastapi', 'shapely', 'pyarrow', 'ipyleaflet'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
