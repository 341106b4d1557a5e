"""Graphs as another program would write them, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Graph = dict[str, Any]


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
