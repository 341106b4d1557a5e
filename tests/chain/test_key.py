"""The key names the meaning of a chain: properties of the canonical form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import earthloom as el
from earthloom.base.errors import EarthloomError
from earthloom.chain.build import Chain
from earthloom.chain.graph import to_json
from earthloom.chain.key import key
from earthloom.chain.parse import parse

coll = el.ImageCollection("sentinel2-series")


def ndvi():
    cube = coll.filter_date("2020-05", "2020-09").cube(["B04", "B08"])
    return ((cube["B08"] - cube["B04"]) / (cube["B08"] + cube["B04"])).median("t")


# A small language of chains, so that properties hold for chains that nobody thought of.
STEPS = [
    lambda c, v: c + v,
    lambda c, v: c * v,
    lambda c, v: v - c,
    lambda c, v: c.where(c > v),
    lambda c, v: c.clip(0, abs(v) + 1),
    lambda c, v: (c - c.mean("t")) if v > 0 else c,
    lambda c, v: c.mask(c.isin([v, 2])),
]
chains = st.builds(
    lambda bands, steps: _walk(coll.cube(sorted(bands))[sorted(bands)[0]], steps),
    st.sets(st.sampled_from(["B02", "B04", "B08"]), min_size=1),
    st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.floats(-9, 9, width=16)), max_size=5),
)


def _walk(chain, steps):
    for step, value in steps:
        chain = STEPS[step](chain, value)
    return chain


@settings(deadline=None, max_examples=60)
@given(chains, st.randoms())
def test_names_order_and_unused_nodes_do_not_matter(chain, random):
    graph = chain.graph
    names = {old: f"n{random.randrange(10**9)}_{i}" for i, old in enumerate(graph)}

    def renamed(value):
        if isinstance(value, dict):
            if set(value) == {"from_node"}:
                return {"from_node": names[value["from_node"]]}
            return {k: v if k == "process_graph" else renamed(v) for k, v in value.items()}
        return [renamed(v) for v in value] if isinstance(value, list) else value

    entries = [(names[k], renamed(v)) for k, v in graph.items()]
    random.shuffle(entries)
    other = dict(entries)
    other["unused"] = {"process_id": "absolute", "arguments": {"x": 1}, "title": "nobody asks for me"}
    assert key(parse(other)) == chain.key


@settings(deadline=None, max_examples=60)
@given(chains)
def test_reading_what_was_written_gives_the_same_graph(chain):
    assert to_json(parse(chain.graph)) == chain.graph
    assert Chain.from_graph({"process": {"process_graph": chain.graph}}).key == chain.key


@settings(deadline=None, max_examples=30)
@given(chains, chains)
def test_equal_keys_mean_equal_graphs(one, two):
    assert (one.key == two.key) == (one.graph == two.graph) or one.key == two.key


def test_the_same_meaning_typed_twice_has_one_key():
    assert ndvi().key == ndvi().key
    assert len(ndvi().key) == 32


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda: coll.cube()["B04"].median("t"), lambda: coll.cube()["B04"].median("time")),
        (lambda: coll.mosaic()["B04"] + 800, lambda: coll.mosaic()["B04"] + 800.0),
        (
            lambda: coll.mosaic()["B04"].color(["Red", "#0f0"]),
            lambda: coll.mosaic()["B04"].color(["#F00", "#00ff00ff"]),
        ),
        (lambda: coll.mosaic()["B04"].color(), lambda: coll.mosaic()["B04"].color("viridis", vmin=None)),
        (lambda: coll.cube().median("t"), lambda: coll.cube().median("t", ignore_nodata=True)),
        (lambda: coll.filter_date("2020-05-01", "2020-05-31"), lambda: coll.filter_date("2020-05")),
    ],
)
def test_two_spellings(one, two):
    first, second = (x.mosaic() if isinstance(x, el.ImageCollection) else x for x in (one(), two()))
    assert first.key == second.key


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda c: c + 1, lambda c: c + 2),
        (lambda c: c - 1, lambda c: 1 - c),
        (lambda c: c >= 0.03, lambda c: c >= np.float32(0.03)),
        (lambda c: c.color("viridis"), lambda c: c.color("magma")),
        (lambda c: c.isin([3, 8]), lambda c: c.isin([8, 3])),
    ],
)
def test_two_meanings(one, two):
    chain = coll.mosaic()["B04"]
    assert one(chain).key != two(chain).key


def test_a_save_result_at_the_end_is_taken_off():
    graph = coll.mosaic().graph
    last = next(k for k, v in graph.items() if v.pop("result", False))
    graph["save"] = {
        "process_id": "save_result",
        "arguments": {"data": {"from_node": last}, "format": "PNG"},
        "result": True,
    }
    assert key(parse(graph)) == coll.mosaic().key


def test_epsg_codes_and_boxes_have_one_writing():
    def loaded(extent):
        arguments = {"id": "x", "spatial_extent": extent, "temporal_extent": ["2020-01-01", None]}
        return key(parse({"a": {"process_id": "load_collection", "arguments": arguments, "result": True}}))

    box = {"west": 1, "south": 2, "east": 3, "north": 4}
    assert loaded(box) == loaded(box | {"crs": "EPSG:4326", "base": None}) == loaded(box | {"crs": 4326})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60])
def test_numbers_without_a_json_are_refused(value):
    with pytest.raises(EarthloomError):
        _ = (coll.mosaic()["B04"] + value).key
