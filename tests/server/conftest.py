"""Graphs as another program would write them, by hand, and a client that asks with them."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

Graph = dict[str, Any]
Array = np.ndarray[Any, Any]


class Asker(httpx.Client):
    """Somebody who asks a server: with a token, or as nobody in particular."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        super().__init__(base_url=url, headers=headers, trust_env=False, timeout=60)

    def keep(self, graph: Graph) -> str:
        """Post a chain; its key."""
        answer = self.post("/chains", json=graph)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    def tile(self, key: str, z: int, x: int, y: int) -> Array:
        """The values of a tile."""
        return self.values(self.get(f"/tiles/{key}/{z}/{x}/{y}.npy"))

    @staticmethod
    def values(answer: httpx.Response) -> Array:
        """The array in an answer."""
        assert answer.status_code == 200, answer.text
        values: Array = np.load(io.BytesIO(answer.content), allow_pickle=False)
        return values


@pytest.fixture(scope="session")
def asker() -> type[Asker]:
    """The class `Asker(url, token=None)`."""
    return Asker


def _load(collection: str, bands: list[str] | None, start: str | None, end: str | None) -> Graph:
    arguments: Graph = {"id": collection, "spatial_extent": None, "temporal_extent": [start, end] if start else None}
    if bands:
        arguments["bands"] = bands
    return {"load": {"process_id": "load_collection", "arguments": arguments}}


def _by_label(label: str) -> Graph:
    element = {"process_id": "array_element", "arguments": {"data": {"from_parameter": "data"}, "label": label}}
    return {"process_graph": {"choose": element | {"result": True}}}


@pytest.fixture
def selection() -> Callable[..., Graph]:
    """The graph of a collection alone."""

    def make(collection: str, start: str | None = None, end: str | None = None) -> Graph:
        graph = _load(collection, None, start, end)
        graph["load"]["result"] = True
        return graph

    return make


@pytest.fixture
def one_band() -> Callable[..., Graph]:
    """The mosaic of one band of a collection, in colours if some are given."""

    def make(collection: str, band: str, start: str | None = None, end: str | None = None, **color: object) -> Graph:
        graph = _load(collection, [band], start, end)
        graph["mosaic"] = {"process_id": "mosaic", "arguments": {"data": {"from_node": "load"}}}
        arguments = {"data": {"from_node": "mosaic"}, "dimension": "bands", "reducer": _by_label(band)}
        graph["band"] = {"process_id": "reduce_dimension", "arguments": arguments}
        if color:
            graph["color"] = {"process_id": "color", "arguments": {"data": {"from_node": "band"}, **color}}
        graph[list(graph)[-1]]["result"] = True
        return graph

    return make


@pytest.fixture
def series() -> Callable[..., Graph]:
    """Bands of a collection with all their dates."""

    def make(collection: str, bands: list[str], start: str | None = None, end: str | None = None) -> Graph:
        graph = _load(collection, bands, start, end)
        graph["load"]["result"] = True
        return graph

    return make


@pytest.fixture
def function() -> Callable[..., Graph]:
    """The mosaic of two bands, and a user's function of it; `context` as a client writes it."""

    def make(source: str, name: str = "f", **context: object) -> Graph:
        graph = _load("sentinel2-series", ["B04", "B08"], "2020-08-01", "2020-09-01")
        graph["mosaic"] = {"process_id": "mosaic", "arguments": {"data": {"from_node": "load"}}}
        arguments = {
            "data": {"from_node": "mosaic"},
            "udf": textwrap.dedent(source),
            "runtime": "Python",
            "context": {"function": name, **context},
        }
        graph["run"] = {"process_id": "run_udf", "arguments": arguments, "result": True}
        return graph

    return make


@pytest.fixture(scope="session")
def without() -> Callable[[Graph], Graph]:
    """Makes of a chain of `function` the same chain without its function."""

    def make(graph: Graph) -> Graph:
        plain = {name: dict(node) for name, node in graph.items() if name != "run"}
        plain["mosaic"]["result"] = True
        return plain

    return make


@pytest.fixture(scope="session")
def tried_once() -> Callable[[Graph], Graph]:
    """Makes of a chain of `function` one whose first run in a worker, its trial when posted, does no harm."""

    def make(graph: Graph) -> Graph:
        arguments = graph["run"]["arguments"]
        head, line = "seen = 0\n", "def f(img):\n"
        first = f"{line}    global seen\n    seen += 1\n    if seen == 1:\n        return img[0]\n"
        arguments["udf"] = head + arguments["udf"].replace(line, first)
        return graph

    return make
