"""Process graphs of any origin, in: checked, with errors that name node and argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earthloom.base.errors import EarthloomError, InvalidArgument, InvalidGraph, NotFound, TooLarge, nearest
from earthloom.chain.canonical import canonical_argument
from earthloom.chain.graph import Callback, Node, Parameter, references
from earthloom.processes.check import mismatch
from earthloom.processes.define import Process, get_process

MAX_NODES = 2000  # of a graph with all its callbacks
MAX_NESTING = 16  # callbacks in callbacks
MAX_ARGUMENT_DEPTH = 40  # lists and objects in an argument


def parse(document: Any) -> Node:
    """The result node of a process graph.

    Parameters
    ----------
    document
        `{"process_graph": ...}`, `{"process": {"process_graph": ...}}` or the graph itself. A `save_result` at the
        end is taken off: the door that a graph comes through says what becomes of its result.

    Raises
    ------
    InvalidGraph
        If it is no graph: missing nodes, no or several results, a cycle, an unbound parameter.
    InvalidArgument, NotFound
        If a process or argument is unknown, missing or does not fit its schema.
    TooLarge
        If it has too many nodes or nests too deep.
    """
    graph = graph_of(document)
    node = _Reader().read(graph, frozenset(), 0)
    while node.process_id == "save_result":
        data = node.arguments.get("data")
        if not isinstance(data, Node):
            raise InvalidGraph("save_result has no data.", node=node.name, argument="data")
        node = data
    return node


def check(node: Node) -> None:
    """Check a node's process and arguments (not those of its inputs).

    Raises
    ------
    InvalidArgument, NotFound
        If the process or an argument is unknown, missing or does not fit its schema.
    """
    process = get_process(node.process_id, node=node.name)
    try:
        _check_arguments(process, node)
    except EarthloomError as error:
        raise error.at(node=node.name, process=process.id) from None


def _check_arguments(process: Process, node: Node) -> None:
    for name, value in node.arguments.items():
        parameter = process.parameter(name)
        if isinstance(value, Node | Parameter):
            continue
        schema = parameter.schema.json
        wants_callback = parameter.schema.subtype == "process-graph"
        if isinstance(value, Callback) and not wants_callback:
            raise InvalidArgument(f"{name} of {process.id} takes no process graph.", argument=name)
        if wants_callback and value is not None and not isinstance(value, Callback):
            raise InvalidArgument(f"{name} of {process.id} is not a process graph.", argument=name)
        if value is None and parameter.optional and parameter.default is None:
            continue
        if any(True for _ in references(value)):
            continue
        why = mismatch(value, schema)
        if why:
            raise InvalidArgument(f"{name} of {process.id} {why}: {_short(value)}.", argument=name)
        if value is not None:
            try:
                canonical_argument(value, parameter.schema.subtype)
            except EarthloomError as error:
                raise error.at(argument=name) from None
    missing = [p.name for p in process.parameters if not p.optional and p.name not in node.arguments]
    if missing:
        raise InvalidArgument(f"{process.id} lacks its argument {missing[0]}.", argument=missing[0])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def graph_of(document: Any) -> Mapping[str, Any]:
    """The process graph in a document; see `parse`."""
    if isinstance(document, Mapping) and isinstance(document.get("process"), Mapping):
        document = document["process"]
    if isinstance(document, Mapping) and isinstance(document.get("process_graph"), Mapping):
        document = document["process_graph"]
    if not isinstance(document, Mapping) or not document:
        raise InvalidGraph("There is no process graph.", hint='Send {"process_graph": {...}} with at least one node.')
    return document


class _Reader:
    """Reads one document; counts the nodes of all its graphs together."""

    def __init__(self) -> None:
        self.count = 0

    def read(self, graph: Mapping[str, Any], parameters: frozenset[str], nesting: int) -> Node:
        self.count += len(graph)
        if self.count > MAX_NODES:
            raise TooLarge(f"The process graph has more than {MAX_NODES} nodes.", hint="Split it into several chains.")
        if nesting > MAX_NESTING:
            raise TooLarge(f"Callbacks nest more than {MAX_NESTING} deep.")
        for name, node in graph.items():
            if not isinstance(node, Mapping) or not isinstance(node.get("process_id"), str):
                raise InvalidGraph(f'Node "{name}" has no process_id.', node=name)
            if not isinstance(node.get("arguments", {}), Mapping):
                raise InvalidGraph(f'The arguments of node "{name}" are not an object.', node=name)
            if _depth(node.get("arguments", {})) > MAX_ARGUMENT_DEPTH:
                raise TooLarge(f'An argument of node "{name}" nests more than {MAX_ARGUMENT_DEPTH} deep.', node=name)
        results = [name for name, node in graph.items() if node.get("result") is True]
        if len(results) != 1:
            found = f"{len(results)} nodes" if results else "No node"
            raise InvalidGraph(f'{found} of the process graph say "result": true.', hint="Exactly one does.")
        made: dict[str, Node] = {}
        for name in _in_order(graph, results[0]):
            made[name] = self._node(name, graph[name], made, parameters, nesting)
            if name != results[0] or made[name].process_id != "save_result":
                check(made[name])
        return made[results[0]]

    def _node(
        self, name: str, node: Mapping[str, Any], made: dict[str, Node], parameters: frozenset[str], nesting: int
    ) -> Node:
        def value(v: Any, argument: str) -> Any:
            if isinstance(v, Mapping):
                if set(v) == {"from_node"}:
                    return made[v["from_node"]]
                if set(v) == {"from_parameter"}:
                    if v["from_parameter"] not in parameters:
                        raise InvalidGraph(
                            f'Nothing gives the parameter "{v["from_parameter"]}".',
                            near=nearest(str(v["from_parameter"]), parameters),
                            node=name,
                            argument=argument,
                        )
                    return Parameter(v["from_parameter"])
                if isinstance(v.get("process_graph"), Mapping):
                    inner = parameters | _parameters_of(node["process_id"], argument)
                    return Callback(self.read(v["process_graph"], inner, nesting + 1))
                return {k: value(x, argument) for k, x in v.items()}
            return [value(x, argument) for x in v] if isinstance(v, list) else v

        arguments = {a: value(v, a) for a, v in node.get("arguments", {}).items()}
        return Node(node["process_id"], arguments, id=name, description=str(node.get("description") or ""))


def _parameters_of(process_id: str, argument: str) -> frozenset[str]:
    """The parameters that a process hands to the callback in one of its arguments."""
    schema = get_process(process_id).parameter(argument).schema
    if schema.subtype == "metadata-filter":
        return frozenset({"value"})
    return frozenset(schema.json.get("parameters", ()))


def _in_order(graph: Mapping[str, Any], result: str) -> list[str]:
    """The nodes that `result` needs, each after those it uses; InvalidGraph names a cycle or a missing node."""
    order: list[str] = []
    state: dict[str, int] = {}  # 1: being entered, 2: done
    stack: list[tuple[str, bool]] = [(result, False)]
    while stack:
        name, ready = stack.pop()
        if ready:
            state[name] = 2
            order.append(name)
            continue
        if state.get(name) == 2:
            continue
        state[name] = 1
        stack.append((name, True))
        for used in _used(graph[name].get("arguments", {})):
            if used not in graph:
                raise NotFound.name("node", str(used), graph, within="the process graph", node=name)
            if state.get(used) == 1:
                raise InvalidGraph(f'Nodes "{name}" and "{used}" need each other: the graph has a cycle.', node=name)
            if used not in state:
                stack.append((used, False))
    return order


def _used(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        if set(value) == {"from_node"}:
            return [value["from_node"]]
        if isinstance(value.get("process_graph"), Mapping):
            return []
        return [u for v in value.values() for u in _used(v)]
    return [u for v in value for u in _used(v)] if isinstance(value, list) else []


def _depth(value: Any) -> int:
    """How deep lists and objects nest, without recursion; callbacks count as what they are."""
    deepest, stack = 0, [(value, 1)]
    while stack:
        v, depth = stack.pop()
        deepest = max(deepest, depth)
        if depth > 400:
            return depth
        if isinstance(v, Mapping) and "process_graph" not in v:
            stack.extend((x, depth + 1) for x in v.values())
        elif isinstance(v, list):
            stack.extend((x, depth + 1) for x in v)
    return deepest
