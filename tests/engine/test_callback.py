"""Callbacks compile into closures over arrays: axes, lists of computed values, scalars, and what is refused."""

import numpy as np
import pytest

from earthloom.base.errors import InvalidGraph
from earthloom.base.grid import Grid
from earthloom.chain.graph import Callback, Node, Parameter
from earthloom.engine.callback import compile_callback
from earthloom.processes.context import Context

DATA, X = Parameter("data"), Parameter("x")
CTX = Context(Grid.tile(0, 0, 0), axis=-3, labels=("a", "b", "c"))
CUBE = np.arange(12, dtype=np.float32).reshape(3, 2, 2)


def run(node, **parameters):
    return compile_callback(Callback(node))(parameters, CTX)


def element(label):
    return Node("array_element", {"data": DATA, "label": label})


def test_what_is_left_of_the_axis_is_broadcast():
    anomaly = Node("subtract", {"x": DATA, "y": Node("mean", {"data": DATA})})
    np.testing.assert_array_equal(run(anomaly, data=CUBE), CUBE - CUBE.mean(axis=0))
    np.testing.assert_array_equal(run(Node("max", {"data": anomaly}), data=CUBE), np.full((2, 2), 4))


def test_a_list_of_computed_values_is_reduced():
    both = Node("mean", {"data": [element("a"), element("c"), 8]})
    np.testing.assert_allclose(run(both, data=CUBE), (CUBE[0] + CUBE[2] + 8) / 3)


def test_constants_do_not_widen_a_float32_raster():
    scale = Node("divide", {"x": Node("add", {"x": 1, "y": 2}), "y": 7})
    got = run(Node("multiply", {"x": X, "y": scale}), x=CUBE)
    assert got.dtype == np.float32


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Node("hillshade", {"data": X}), "cannot stand in a callback"),
        (Node("mosaic", {"data": X}), "cannot stand in a callback"),
        (Node("median", {"data": X}), "no dimension to reduce"),
        (Node("median", {"data": element("a")}), "no dimension to reduce"),
    ],
)
def test_what_does_not_belong_is_refused(node, words):
    with pytest.raises(InvalidGraph, match=words):
        compile_callback(Callback(node))
