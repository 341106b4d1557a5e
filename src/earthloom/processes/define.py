"""The decorator `process`, what it makes of a function, and the registry of all processes.

A process is written once: its parameters, schemas, defaults, texts and margin are read from the function itself. The
client's verbs, the server's documentation, the validation and the planner all read that one definition.

Kinds
-----
source
    Declares what reads data; has no body, the engine binds it.
cube
    Takes and gives a `Cube`; callbacks come as compiled functions.
element
    Works on each value: takes and gives an ndarray (..., y, x). An official one travels inside `apply`, one of our
    own is a node on a cube.
binary
    An element process of two values `x` and `y`: between two cubes it travels inside `merge_cubes`.
reducer
    Takes an ndarray and drops the axis `ctx.axis`; travels inside `reduce_dimension`.
udf
    The user's own function on a cube; has no body, the engine runs it in the sandbox.
paint
    Says how values become colours; run by the engine's painter only, as the last step.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from earthloom.base.errors import NotFound
from earthloom.processes.doc import Documentation, read_docstring
from earthloom.processes.schema import Schema, schema_of

Kind = Literal["source", "cube", "element", "binary", "reducer", "udf", "paint"]
Margin = int | Literal["global"] | Callable[[Mapping[str, Any]], int]
Zoom = Literal["free", "grid"]

F = TypeVar("F", bound=Callable[..., Any])

_registry: dict[str, Process] = {}


class _Missing:
    """Stands for "has no default"; None is a default."""

    def __repr__(self) -> str:
        return "(required)"


REQUIRED = _Missing()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a process."""

    name: str
    schema: Schema
    description: str
    default: Any = REQUIRED

    @property
    def optional(self) -> bool:
        """Whether it may be left out."""
        return self.default is not REQUIRED


@dataclass(frozen=True, slots=True)
class Process:
    """An operation: its function and all that is known of it. See the module for the kinds.

    Parameters
    ----------
    margin
        Pixels around the result that the function needs, "global", or a function of the arguments.
    zoom
        "free": the same meaning at any pixel size; "grid": it uses neighbours or the pixel size.
    standard
        Whether the id, the parameters and the meaning are openEO's.
    dtype
        dtype of the result; empty if it is that of the data.
    """

    id: str
    kind: Kind
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    doc: Documentation
    returns: Schema
    margin: Margin = 0
    zoom: Zoom = "free"
    standard: bool = False
    dtype: str = ""
    wants_context: bool = False
    examples: tuple[tuple[dict[str, Any], Any], ...] = field(default=())

    def parameter(self, name: str) -> Parameter:
        """The parameter called `name`; NotFound with the nearest names if there is none."""
        for p in self.parameters:
            if p.name == name:
                return p
        names = [p.name for p in self.parameters]
        raise NotFound.name("argument", name, names, within=f"process {self.id}", argument=name, process=self.id)

    def margin_px(self, arguments: Mapping[str, Any]) -> int | Literal["global"]:
        """The margin for these arguments."""
        return self.margin(self.with_defaults(arguments)) if callable(self.margin) else self.margin

    def with_defaults(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with the defaults of those that were left out."""
        return {p.name: p.default for p in self.parameters if p.optional} | dict(arguments)

    def spec(self) -> dict[str, Any]:
        """The process as openEO describes one (`GET /processes`)."""
        parameters = []
        for p in self.parameters:
            entry: dict[str, Any] = {"name": p.name, "description": p.description, "schema": p.schema.json}
            if p.optional:
                entry |= {"optional": True, "default": p.default}
            parameters.append(entry)
        return {
            "id": self.id,
            "summary": self.doc.summary,
            "description": self.doc.description or self.doc.summary,
            "categories": [self.function.__module__.rpartition(".")[2]],
            "parameters": parameters,
            "returns": {"description": self.doc.returns or self.doc.summary, "schema": self.returns.json},
            "examples": [{"arguments": a, "returns": r} for a, r in self.examples],
            "earthloom:kind": self.kind,
            "earthloom:zoom": self.zoom,
        }


def process(
    *,
    kind: Kind,
    standard: bool = False,
    margin: Margin = 0,
    zoom: Zoom = "free",
    dtype: str = "",
    id: str = "",
    examples: typing.Sequence[tuple[dict[str, Any], Any]] = (),
) -> Callable[[F], F]:
    """Register a function as a process; the function itself stays as it is.

    Parameters
    ----------
    kind, standard, margin, zoom, dtype
        As in `Process`.
    id
        Its id, if the function's name is not (Python keywords).
    examples
        Pairs of arguments and result, run by the tests.

    Raises
    ------
    TypeError
        At import, if a parameter has no description or no schema, or the id is taken.
    """

    def register(function: F) -> F:
        name = id or function.__name__.rstrip("_")
        if name in _registry:
            raise TypeError(f"process {name} is defined twice")
        doc = read_docstring(function)
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = []
        for p in inspect.signature(function).parameters.values():
            if p.kind is inspect.Parameter.KEYWORD_ONLY:  # `ctx`: told by the engine, not by the user
                continue
            if p.name.rstrip("_") not in doc.parameters:
                raise TypeError(f"process {name}: parameter {p.name} has no description")
            default = REQUIRED if p.default is inspect.Parameter.empty else p.default
            parameters.append(
                Parameter(p.name.rstrip("_"), schema_of(hints[p.name]), doc.parameters[p.name.rstrip("_")], default)
            )
        _registry[name] = Process(
            id=name,
            kind=kind,
            function=function,
            parameters=tuple(parameters),
            doc=doc,
            returns=schema_of(hints["return"]),
            margin=margin,
            zoom=zoom,
            standard=standard,
            dtype=dtype,
            wants_context="ctx" in inspect.signature(function).parameters,
            examples=tuple(examples),
        )
        return function

    return register


def registry() -> dict[str, Process]:
    """All processes by id, in alphabetical order."""
    import earthloom.processes.families  # noqa: F401  (imports every family once)

    return dict(sorted(_registry.items()))


def get_process(id: str, **where: Any) -> Process:
    """The process called `id`; NotFound with the nearest names if there is none."""
    import earthloom.processes.families  # noqa: F401

    found = _registry.get(id)
    if found is None:
        raise NotFound.name("process", id, sorted(_registry), process=id, **where)
    return found
