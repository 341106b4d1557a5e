"""Callbacks, compiled once into closures over whole arrays; never run per pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from earthloom.base.errors import EarthloomError, InvalidGraph
from earthloom.chain import graph
from earthloom.chain.graph import Node, Parameter, ordered, references
from earthloom.chain.key import canonical_arguments
from earthloom.processes.context import Context
from earthloom.processes.define import Process, get_process

Compiled = Callable[[Mapping[str, Any], Context], Any]


def compile_callback(callback: graph.Callback) -> Compiled:
    """A function of the callback's parameters (arrays or scalars) and the context.

    In a reducer the parameter `data` has an axis to reduce; what is computed from it keeps the axis until a reducer
    or `array_element` takes it away. Values without the axis are broadcast along it.

    Raises
    ------
    InvalidGraph
        If a process cannot stand in a callback, or a reducer has nothing to reduce.
    """
    nodes = ordered(callback.result)
    along: dict[int, bool] = {}  # whether a node's value still has the axis
    steps = []
    for node in nodes:
        process = get_process(node.process_id, node=node.name)
        if not process.standard or process.kind not in ("element", "binary", "reducer"):
            raise InvalidGraph(
                f"{process.id} works on cubes and cannot stand in a callback.",
                hint="Use it as a step of its own.",
                node=node.name,
            )
        arguments = canonical_arguments(process, node.arguments)
        has = {name: _has_axis(value, along) for name, value in arguments.items()}
        if process.kind == "reducer" and not has.get("data") and not isinstance(arguments.get("data"), list):
            raise InvalidGraph(
                f"{process.id} has no dimension to reduce here.", hint="Put it into reduce_dimension.", node=node.name
            )
        along[id(node)] = process.kind != "reducer" and any(has.values())
        steps.append((node, process, process.with_defaults(arguments), has))

    def run(parameters: Mapping[str, Any], ctx: Context) -> Any:
        values: dict[int, Any] = {}
        for node, process, arguments, has in steps:
            call = {name: _resolve(value, values, parameters) for name, value in arguments.items()}
            values[id(node)] = _plain(_call(node, process, call, has, ctx))
        return values[id(callback.result)]

    return run


def _call(node: Node, process: Process, call: dict[str, Any], has: dict[str, bool], ctx: Context) -> Any:
    inner = ctx
    if process.kind == "reducer":
        if isinstance(call["data"], list) and any(np.ndim(v) for v in call["data"]):
            # A list of computed values, such as mean([a, b]): reduce over the list.
            stacked = np.stack(np.broadcast_arrays(*call["data"]))
            call["data"], inner = stacked, Context(ctx.grid, axis=-stacked.ndim)
    elif any(has.values()) and not all(has.get(name, True) for name in call):
        call = {
            name: np.expand_dims(v, ctx.axis) if np.ndim(v) and not has.get(name, False) else v
            for name, v in call.items()
        }
    try:
        return process.function(**call, **({"ctx": inner} if process.wants_context else {}))
    except EarthloomError as error:
        raise error.at(node=node.name, process=process.id) from None


def _has_axis(value: Any, along: dict[int, bool]) -> bool:
    if isinstance(value, Node):
        return along[id(value)]
    return isinstance(value, Parameter) and value.name == "data"


def _resolve(value: Any, values: Mapping[int, Any], parameters: Mapping[str, Any]) -> Any:
    if not any(True for _ in references(value)):
        return value
    return graph.replace(value, lambda r: values[id(r)] if isinstance(r, Node) else parameters[r.name])


def _plain(value: Any) -> Any:
    """numpy's scalars as plain numbers: a float64 scalar would widen a float32 raster, a plain one does not."""
    return (
        value.item() if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim) else value
    )
