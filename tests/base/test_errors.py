"""Errors are data: they travel as JSON and come back as what they were."""

from earthloom.base.errors import EarthloomError, NotFound, nearest


def test_an_error_survives_json():
    error = NotFound.name("band", "B8", ["B08", "B8A", "SCL"], within="sentinel2-series", band="B8").at(node="ndvi1")
    back = EarthloomError.from_dict(error.to_dict())
    assert type(back) is NotFound
    assert str(back) == str(error)
    assert back.where == {"node": "ndvi1", "band": "B8"}
    assert 'No band "B8" in sentinel2-series' in str(back)
    assert back.near[0] in ("B08", "B8A")


def test_what_is_known_first_stays():
    error = NotFound("x", node="inner").at(node="outer", item="a")
    assert error.where == {"node": "inner", "item": "a"}


def test_without_near_names_the_choices_are_told():
    assert "There are: red, green" in str(NotFound.name("band", "zzz", ["red", "green"]))


def test_nearest_ignores_case():
    assert nearest("sentinel2-Seris", ["sentinel2-series", "elevation"]) == ["sentinel2-series"]
