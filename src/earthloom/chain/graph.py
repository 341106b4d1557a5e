"""Immutable nodes of a process graph, and the walks over them. No walk over nodes is recursive: chains may be long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Graph = dict[str, Any]  # openEO's JSON: node id -> {"process_id", "arguments", ...}


@dataclass(frozen=True, eq=False)
class Node:
    """One step: a process and its arguments.

    Parameters
    ----------
    process_id
        Id of the process.
    arguments
        JSON values, in which a `Node`, a `Callback` or a `Parameter` may stand anywhere.
    id
        The node's name in the graph it was read from, for messages; no part of its meaning.
    description
        A remark that travels with the graph; no part of its meaning.
    """

    process_id: str
    arguments: Mapping[str, Any]
    id: str = ""
    description: str = ""

    @property
    def name(self) -> str:
        """What messages call the node."""
        return self.id or self.process_id


@dataclass(frozen=True, eq=False)
class Callback:
    """A process graph as an argument: run for each value, label or pair of values."""

    result: Node


@dataclass(frozen=True)
class Parameter:
    """A value that the process around a callback hands in (`from_parameter`)."""

    name: str


def replace(value: Any, change: Callable[[Any], Any]) -> Any:
    """A JSON value in which every `Node`, `Callback` and `Parameter` is replaced by `change(it)`."""
    if isinstance(value, Node | Callback | Parameter):
        return change(value)
    if isinstance(value, Mapping):
        return {k: replace(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [replace(v, change) for v in value]
    return value


def references(value: Any) -> Iterator[Node | Callback | Parameter]:
    """Every `Node`, `Callback` and `Parameter` in a JSON value; it does not look into them."""
    if isinstance(value, Node | Callback | Parameter):
        yield value
    elif isinstance(value, Mapping):
        for v in value.values():
            yield from references(v)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from references(v)


def inputs(node: Node) -> list[Node]:
    """The nodes that a node takes its data from."""
    return [r for r in references(node.arguments) if isinstance(r, Node)]


def callbacks(node: Node) -> list[Callback]:
    """The callbacks among a node's arguments."""
    return [r for r in references(node.arguments) if isinstance(r, Callback)]


def ordered(result: Node) -> list[Node]:
    """All nodes that `result` needs, each after its inputs, `result` last; callbacks are not entered."""
    done: dict[int, Node] = {}
    stack = [(result, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done[id(node)] = node
        else:
            stack.append((node, True))
            stack.extend((n, False) for n in reversed(inputs(node)))
    return list(done.values())


@dataclass
class _Names:
    count: dict[str, int] = field(default_factory=dict)

    def new(self, process_id: str) -> str:
        base = process_id.replace("_", "")
        self.count[base] = self.count.get(base, 0) + 1
        return f"{base}{self.count[base]}"


def to_json(result: Node) -> Graph:
    """The process graph of a node as openEO's flat JSON; names follow the order of the steps."""
    names = _Names()
    ids: dict[int, str] = {}
    graph: Graph = {}

    def write(reference: Any) -> Any:
        if isinstance(reference, Node):
            return {"from_node": ids[id(reference)]}
        if isinstance(reference, Parameter):
            return {"from_parameter": reference.name}
        return {"process_graph": to_json(reference.result)}

    for node in ordered(result):
        ids[id(node)] = names.new(node.process_id)
        entry: dict[str, Any] = {"process_id": node.process_id, "arguments": replace(node.arguments, write)}
        if node.description:
            entry["description"] = node.description
        graph[ids[id(node)]] = entry
    graph[ids[id(result)]]["result"] = True
    return graph
