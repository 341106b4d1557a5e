"""Plans: which bands are read, margins, dimensions, and what is refused with names."""

import pytest

import earthloom as el
from earthloom.base.errors import InvalidGraph, NotFound
from earthloom.engine.plan import compile_plan

BANDS = {"s2": ("B02", "B03", "B04", "B08", "SCL"), "dem": ("elevation",)}
coll, dem = el.ImageCollection("s2"), el.ImageCollection("dem")


def bands_of(collection):
    if collection not in BANDS:
        raise NotFound.name("collection", collection, BANDS)
    return BANDS[collection]


def plan(chain):
    return compile_plan(chain.node, bands_of)


def read(chain):
    return [s.bands for s in plan(chain).sources.values()]


def execute(chain, **context):
    udf = {"udf": "def f(img): return img", "runtime": "Python", "context": {"function": "f", **context}}
    return el.Chain.of("run_udf", {"data": chain.node, **udf})


def test_only_the_bands_that_are_looked_at_are_read():
    cube = coll.cube(["B04", "B08", "SCL"])
    assert read(coll.mosaic()["B04"]) == [("B04",)]
    assert read(cube["B08"].median("t")) == [("B08",)]
    assert read(cube["B08"] - cube["B04"]) == [("B04", "B08")]
    assert read(coll.mosaic().rgb("B04", "B03", "B02")) == [("B02", "B03", "B04")]
    assert read(coll.mosaic().ndvi(nir="B08", red="B04")) == [("B04", "B08")]
    assert read(coll.mosaic()) == [BANDS["s2"]]
    assert read(coll.mosaic().max("bands")) == [BANDS["s2"]]
    assert read((coll.mosaic() * 2)["B03"]) == [("B03",)]
    assert read(coll.mosaic()[["B04", "B08"]]["B04"]) == [("B04", "B08")]


def test_equal_parts_are_one_step():
    a, b = coll.mosaic()["B04"], coll.mosaic()["B04"]
    assert len(plan(a + b).sources) == 1


def test_margins_add_up():
    chain = dem.mosaic()["elevation"]
    steps = plan(chain.slope().slope()).steps
    assert [s.grown for s in steps if s.source] == [2]
    both = plan(chain.slope() + chain).steps
    assert max(s.grown for s in both) == 1


def test_a_picture_of_several_dates_shows_the_newest_and_says_so():
    made = plan(coll.cube(["B04"])["B04"])
    assert made.shown != made.value
    assert "newest" in made.warnings[0]
    assert plan(coll.mosaic()["B04"]).warnings == ()


def test_values_know_whether_they_are_still_those_of_a_band():
    last = plan(coll.mosaic()["B04"].where(coll.mosaic()["B08"] > 0.1)).steps[-1]
    assert last.raw
    assert last.names == ("B04",)
    assert not plan(coll.mosaic()["B04"] + 1).steps[-1].raw


def test_raw_reads_stored_numbers_beside_physical_ones():
    raw = execute(coll.mosaic()[["B04", "B08"]]["B04"], raw=True)
    digital = execute(el.Chain.of("digital_numbers", {"data": coll.mosaic().node})["B04"], raw=True)
    for chain, numbers in ((raw, "stored"), (digital, "digital"), (execute(coll.mosaic()["B04"]), "physical")):
        made = plan(chain)
        assert [s.numbers for s in made.sources.values()] == [numbers]
        assert made.warnings == ()
    both = plan(raw + coll.mosaic()["B04"])
    assert sorted(s.numbers for s in both.sources.values()) == ["physical", "stored"]


def test_a_function_needs_its_margin_and_all_bands():
    chain = execute(coll.mosaic()[["B04", "B08"]], margin=3, bands=2)["0"]
    made = plan(execute(chain, margin=2))
    assert [s.grown for s in made.steps if s.source] == [5]
    assert read(chain) == [("B04", "B08")]
    assert read(execute(coll.mosaic(), bands=3)["2"]) == [BANDS["s2"]]


@pytest.mark.parametrize(
    ("chain", "kind", "words"),
    [
        (el.ImageCollection("s3").mosaic(), NotFound, 'No collection "s3"'),
        (coll.mosaic()["B8"], NotFound, 'No band "B8" in s2. Near names: B08'),
        (coll.cube(["B4"]), NotFound, "Near names: B04"),
        (coll.cube(["B04"])["B08"], NotFound, 'No band "B08"'),
        (coll.mosaic().rgb("B04", "B03", "B22"), NotFound, "B22"),
        (coll.mosaic().median("t"), NotFound, 'No dimension "t"'),
        (coll.mosaic()["B04"].color("viridis") + 1, InvalidGraph, "not the last step"),
        (el.Chain.of("mosaic", {"data": coll.cube(["B04"])["B04"].node}), InvalidGraph, "does not follow"),
        (el.Chain.of("absolute", {"x": coll.mosaic().node}), InvalidGraph, "callback of apply"),
    ],
)
def test_a_mistake_is_named(chain, kind, words):
    with pytest.raises(kind, match=words) as caught:
        plan(chain)
    assert caught.value.where["node"]
