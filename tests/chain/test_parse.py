"""Foreign graphs: every mistake is named with its node and argument; size and depth have limits."""

import pytest

import earthloom as el
from earthloom.base.errors import EarthloomError, InvalidArgument, InvalidGraph, NotFound, TooLarge
from earthloom.chain.parse import MAX_NODES, parse

LOAD = {
    "process_id": "load_collection",
    "arguments": {"id": "s2", "spatial_extent": None, "temporal_extent": None},
}


def test_an_openeo_ndvi_graph_is_read():
    graph = {
        "load": LOAD,
        "ndvi": {
            "process_id": "reduce_dimension",
            "arguments": {
                "data": {"from_node": "load"},
                "dimension": "bands",
                "reducer": {
                    "process_graph": {
                        "nir": {
                            "process_id": "array_element",
                            "arguments": {"data": {"from_parameter": "data"}, "label": "B08"},
                        },
                        "red": {
                            "process_id": "array_element",
                            "arguments": {"data": {"from_parameter": "data"}, "label": "B04"},
                        },
                        "nd": {
                            "process_id": "normalized_difference",
                            "arguments": {"x": {"from_node": "nir"}, "y": {"from_node": "red"}},
                            "result": True,
                        },
                    }
                },
            },
            "result": True,
        },
    }
    assert parse({"process_graph": graph}).process_id == "reduce_dimension"


@pytest.mark.parametrize(
    ("graph", "kind", "where", "words"),
    [
        ({}, InvalidGraph, {}, "no process graph"),
        ({"a": {"arguments": {}}}, InvalidGraph, {"node": "a"}, "no process_id"),
        ({"a": LOAD}, InvalidGraph, {}, '"result": true'),
        ({"a": LOAD | {"result": True}, "b": LOAD | {"result": True}}, InvalidGraph, {}, "2 nodes"),
        ({"a": {"process_id": "medain", "arguments": {}, "result": True}}, NotFound, {"node": "a"}, "median"),
        (
            {"a": {"process_id": "load_collection", "arguments": {"id": "x"}, "result": True}},
            InvalidArgument,
            {"node": "a", "argument": "spatial_extent"},
            "lacks",
        ),
        (
            {"a": LOAD | {"arguments": LOAD["arguments"] | {"band": ["B04"]}, "result": True}},
            NotFound,
            {"node": "a", "argument": "band"},
            "Near names: bands",
        ),
        (
            {"a": LOAD | {"arguments": LOAD["arguments"] | {"bands": "B04"}, "result": True}},
            InvalidArgument,
            {"node": "a", "argument": "bands"},
            "is not a list",
        ),
        (
            {"a": LOAD | {"arguments": LOAD["arguments"] | {"temporal_extent": ["soon", None]}, "result": True}},
            InvalidArgument,
            {"node": "a", "argument": "temporal_extent"},
            "is not a date",
        ),
        (
            {"a": {"process_id": "mosaic", "arguments": {"data": {"from_node": "b"}}, "result": True}},
            NotFound,
            {"node": "a"},
            'No node "b"',
        ),
        (
            {
                "a": {"process_id": "mosaic", "arguments": {"data": {"from_node": "b"}}, "result": True},
                "b": {"process_id": "mosaic", "arguments": {"data": {"from_node": "a"}}},
            },
            InvalidGraph,
            {},
            "cycle",
        ),
        (
            {"a": {"process_id": "mosaic", "arguments": {"data": {"from_parameter": "x"}}, "result": True}},
            InvalidGraph,
            {"node": "a", "argument": "data"},
            "Nothing gives",
        ),
    ],
)
def test_a_mistake_is_named(graph, kind, where, words):
    with pytest.raises(kind, match=words) as caught:
        parse(graph)
    assert caught.value.where.items() >= where.items()


def test_a_huge_graph_is_refused():
    graph = {f"n{i}": LOAD for i in range(MAX_NODES + 1)}
    with pytest.raises(TooLarge, match=str(MAX_NODES)):
        parse(graph)


def test_a_deep_argument_is_refused():
    deep: list = []
    for _ in range(3000):
        deep = [deep]
    graph = {"a": LOAD | {"arguments": LOAD["arguments"] | {"bands": deep}, "result": True}}
    with pytest.raises(TooLarge, match="deep"):
        parse(graph)


def test_deep_callbacks_are_refused():
    graph = {"a": {"process_id": "absolute", "arguments": {"x": 1}, "result": True}}
    for _ in range(40):
        arguments = {"data": {"from_parameter": "x"}, "process": {"process_graph": graph}}
        graph = {"a": {"process_id": "apply", "arguments": arguments, "result": True}}
    with pytest.raises(EarthloomError):
        parse(graph)


def test_a_long_chain_is_no_deep_one():
    chain = el.ImageCollection("s2").mosaic()["B04"]
    for _ in range(900):
        chain = chain + 1
    assert len(parse(chain.graph).arguments) == 2
    assert len(chain.key) == 32
