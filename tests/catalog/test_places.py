"""Names of places, offline."""

import json
import math

import pytest
from shapely import Point, get_num_coordinates
from shapely.geometry import shape

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.catalog.places import Places, plain


@pytest.fixture(scope="module")
def places(pack):
    """The demo pack's places; read once."""
    return Places(pack / "vectors")


def holds(place, lon, lat):
    west, south, east, north = place.bbox
    return west <= lon <= east and south <= lat <= north


def test_a_county_is_found_without_its_accents(places):
    place = places.find("Caras-Severin", "RO")
    assert (place.kind, place.country) == ("area", "RO")
    assert place.geometry["type"] in ("Polygon", "MultiPolygon")
    assert holds(place, 22.152, 45.205)


def test_ispra_is_a_small_rectangle(places):
    place = places.find("Ispra")
    assert (place.kind, place.country) == ("place", "IT")
    assert holds(place, 8.61, 45.81)
    assert place.bbox[3] - place.bbox[1] == pytest.approx(0.036, abs=0.002)


@pytest.mark.parametrize(("name", "country"), [("Bozen", "IT"), ("Wien", "AT"), ("ROMA", "IT"), ("Munchen", "DE")])
def test_other_names(places, name, country):
    assert places.find(name).country == country


def test_a_country_by_its_name(places):
    assert places.find("Romania").kind == "area"
    assert places.find("Ispra", "Italy").country == "IT"


def test_an_ambiguous_name_lists_its_places(places):
    with pytest.raises(InvalidArgument, match="several places") as caught:
        places.find("Valencia")
    assert "ES" in str(caught.value)
    assert places.find("Valencia", "ES").country == "ES"


def test_a_town_of_that_name_comes_before_one_that_is_also_called_so(places):
    samara = places.find("Samara")  # the Russian one has seven times the people of the Iraqi Samarra
    assert (samara.country, samara.population) == ("RU", 1163399)


def test_an_unknown_name_has_near_ones(places):
    with pytest.raises(NotFound, match="Near names: Ispra"):
        places.find("Ispar", "IT")
    with pytest.raises(NotFound, match="No country"):
        places.find("Ispra", "Italia Felix")


def test_a_folder_without_files_knows_nothing(tmp_path):
    with pytest.raises(NotFound):
        Places(tmp_path).find("Ispra")


def test_plain():
    assert plain("Caraș-Severin") == plain("CARAS  severin") == "caras severin"
    assert plain("Łódź") == "lodz"


def test_several_places_of_one_country_are_told_without_asking_for_it(places):
    with pytest.raises(InvalidArgument, match=r"Springfield \(Missouri, US; 166,810 people\)") as caught:
        places.find("Springfield", "US")
    assert "country" not in caught.value.hint


@pytest.mark.parametrize(
    ("name", "code", "lon", "lat"),
    [
        ("Malta", "MT", 14.44, 35.90),  # in the fine file only: the code is that of the capital
        ("Liechtenstein", "LI", 9.54, 47.15),
        ("San Marino", "SM", 12.46, 43.94),  # a country before its town
        ("Russia", "RU", 37.6, 55.7),  # the two files call it differently
        ("Russian Federation", "RU", 37.6, 55.7),
        ("South Korea", "KR", 127.0, 37.5),
        ("Cyprus", "CY", 33.0, 34.9),
        ("N. Cyprus", "", 33.9, 35.3),  # its capital has a code that another country has by its name
    ],
)
def test_countries_of_the_coarse_and_the_fine_file(places, name, code, lon, lat):
    place = places.find(name)
    assert (place.kind, place.country) == ("area", code)
    assert shape(place.geometry).contains(Point(lon, lat))


def test_an_outline_is_light_enough_for_a_graph(places):
    canada = shape(places.find("Canada").geometry)
    assert 1000 < get_num_coordinates(canada) <= 2000
    assert canada.is_valid


def test_the_county_holds_the_series_of_the_pack(places, pack):
    county = shape(places.find("Caras-Severin", "RO").geometry)
    item = json.loads((pack / "sentinel2-series" / "S2_L2A_retezat_20200625.json").read_text())
    assert county.contains(shape(item["geometry"]))


def test_the_rectangle_of_a_place_follows_its_people(places):
    def sides_km(name):
        west, south, east, north = places.find(name).bbox
        return (east - west) * 111.32 * math.cos(math.radians((south + north) / 2)), (north - south) * 111.32

    assert sides_km("Ispra") == pytest.approx((4, 4), rel=1e-3)  # the smallest
    assert sides_km("Bolzano") == pytest.approx((10.13, 10.13), rel=1e-3)  # 107,436 people at 3,000 a km2, 1.5 times
    assert sides_km("Shanghai") == pytest.approx((80, 80), rel=2e-3)  # the largest
