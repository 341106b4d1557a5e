"""Names of places, offline."""

import pytest

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
