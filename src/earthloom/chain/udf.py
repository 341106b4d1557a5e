"""A user's function and its arguments as a step of a chain: openEO's `run_udf`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from earthloom.base.errors import InvalidArgument, TooLarge, nearest
from earthloom.base.tilecontext import MAX_TEXT_BYTES, FunctionProblem, to_json
from earthloom.base.tilefunction import TileFunction
from earthloom.chain.capture import module_text, plain_function
from earthloom.chain.declare import Declaration, declaration
from earthloom.chain.graph import Node
from earthloom.processes.define import get_process


def udf_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], *, raw: bool = False
) -> dict[str, Any]:
    """The arguments `udf`, `runtime` and `context` of `run_udf` for a call of a function.

    Parameters
    ----------
    function
        A function of the user's own.
    args, kwargs
        Its arguments without the array.
    raw
        Whether it gets the stored numbers.

    Raises
    ------
    InvalidArgument, NotFound
        If the function or an argument cannot travel, or the arguments do not fit; names it.
    TooLarge
        If text or arguments exceed 64 KiB.
    """
    plain = plain_function(function)
    name = plain.__name__
    try:
        caller = TileFunction(function)
    except FunctionProblem as problem:
        raise InvalidArgument(problem.message, hint=problem.hint, function=name) from None
    if "raw" in caller.signature.parameters:
        raise InvalidArgument(
            f'{name} has a parameter named "raw", which execute takes for itself.',
            hint="Give the parameter another name.",
            argument="raw",
            function=name,
        )
    if caller.convention in ("array", "globals"):
        arguments = _bound(caller, args, kwargs)
        text, defined = module_text(function)
        context: dict[str, Any] = {"function": defined}
        context |= {"arguments": arguments} if arguments else {}
        context |= {"raw": True} if raw else {}
        context |= declaration(function).context()
    else:
        context = _openeo_context(caller, args, kwargs)
        if raw or declaration(function) != Declaration():
            what = "raw" if raw else "tile_function"
            raise InvalidArgument(f"{name} is one of openEO's own functions, which know no {what}.", function=name)
        text, _ = module_text(function)
    for size, what in ((len(text.encode()), "The text"), (len(json.dumps(context).encode()), "The arguments")):
        if size > MAX_TEXT_BYTES:
            raise TooLarge(
                f"{what} of {name} and what it needs take {size} bytes; {MAX_TEXT_BYTES} can travel.",
                hint="Compute tables inside the function, or make a collection of them.",
                function=name,
            )
    return {"udf": text, "runtime": "Python", "context": context}


def check_raw(node: Node) -> None:
    """Whether stored numbers can be handed over from this node: it loads, or only chooses bands.

    Raises
    ------
    InvalidArgument
        Names the step that computes.
    """
    while get_process(node.process_id).kind != "source":
        reducer = node.arguments.get("reducer")
        chosen = (
            node.process_id == "reduce_dimension"
            and node.arguments["dimension"] == "bands"
            and getattr(reducer, "result", node).process_id == "array_element"
        )
        if not chosen and node.process_id != "filter_bands":
            raise InvalidArgument(
                f"raw=True hands over the numbers as stored, but {node.process_id} stands before the function.",
                hint="Call execute directly after mosaic(), cube() or the choice of bands, or leave raw away.",
                argument="raw",
            )
        node = node.arguments["data"]


def _bound(caller: TileFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as JSON by the names of the parameters, defaults filled in, without what the engine gives."""
    parameters = caller.signature.parameters
    several = inspect.Parameter.VAR_POSITIONAL
    filled = {"context"} if caller.wants_context else set()
    if caller.array_name and parameters[caller.array_name].kind is not several:
        filled.add(caller.array_name)
    own = [p for p in parameters.values() if p.name not in filled]
    try:
        bound = caller.signature.replace(parameters=own).bind(*args, **kwargs)
    except TypeError as error:
        raise _misfit(caller, own, str(error), kwargs) from None
    bound.apply_defaults()
    arguments = {}
    for name, value in bound.arguments.items():
        if parameters[name].kind in (several, inspect.Parameter.VAR_KEYWORD) and not value:
            continue
        # f(*layers): the array is the first of them.
        written = f"*{name}" if name == caller.array_name else name
        arguments[written] = _json(value, name, caller.name)
    return arguments


def _misfit(caller: TileFunction, own: list[inspect.Parameter], why: str, given: Mapping[str, Any]) -> InvalidArgument:
    """The arguments do not fit: Python's own words, the definition, and what is not to be given."""
    names = [p.name for p in own]
    filled = [n for n in caller.signature.parameters if n not in names]
    unknown = [n for n in given if n not in names]
    wanted = f"Give {', '.join(names)}" if names else "Give nothing"
    comes = f"; {' and '.join(filled)} {'come' if len(filled) > 1 else 'comes'} with each tile" if filled else ""
    return InvalidArgument(
        f"{caller.name}{caller.signature}: {why}.",
        near=nearest(unknown[0], names) if unknown else (),
        hint=f"{wanted}{comes}.",
        function=caller.name,
        argument=unknown[0] if unknown else next((n for n in names if f"'{n}'" in why), None),
    )


def _openeo_context(caller: TileFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    context = kwargs.get("context", {})
    if args or set(kwargs) - {"context"} or not isinstance(context, Mapping):
        raise InvalidArgument(
            f"{caller.name} is one of openEO's own functions: its one argument is context, a dictionary.",
            hint="Write execute(apply_datacube, context={...}).",
            argument="context",
            function=caller.name,
        )
    if "function" in context:
        raise InvalidArgument(
            'The context of an openEO function cannot have a member "function".',
            hint="It names functions of Earthloom's own kind; give it another name.",
            argument="context",
        )
    written = _json(dict(context), "context", caller.name)
    assert isinstance(written, dict)
    return written


def _json(value: Any, name: str, function: str) -> Any:
    try:
        return to_json(value, name)
    except FunctionProblem as problem:
        raise InvalidArgument(problem.message, hint=problem.hint, argument=name, function=function) from None
