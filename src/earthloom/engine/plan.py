"""A chain, compiled once: sources, steps and margins. A plan knows no items; those are a `Selection`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from earthloom.base.cube import DIMS
from earthloom.base.errors import EarthloomError, InvalidGraph, NeedsWholeImage, NotFound
from earthloom.chain import graph
from earthloom.chain.graph import Node, Parameter, inputs, ordered, references
from earthloom.chain.key import KEY_DIGITS, canonical_arguments, digests
from earthloom.chain.parse import parse
from earthloom.engine.callback import compile_callback
from earthloom.engine.source import Source, needed_bands, source_of
from earthloom.processes.define import Process, get_process

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine

BandsOf = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan.

    Parameters
    ----------
    node
        What messages call it.
    process
        The process; None for a source and for the last step of a picture (see `Plan.shown`).
    source
        What to read, if the step reads.
    inputs
        Parameter name to number of the step that gives its cube.
    arguments
        All other arguments, with defaults; callbacks are compiled.
    margin
        Pixels that the step needs around its own result.
    grown
        Pixels around the wanted grid that later steps need of this one.
    dims, names
        Dimensions of the result; names of its bands, or the one band that it is, as long as the values are still
        those of bands, else None.
    raw
        Whether the values are the bands' own: only loaded, chosen and masked.
    """

    node: str
    process: Process | None
    source: Source | None
    inputs: Mapping[str, int]
    arguments: Mapping[str, Any]
    margin: int
    grown: int
    dims: tuple[str, ...]
    names: tuple[str, ...] | None
    raw: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled chain.

    Parameters
    ----------
    key
        The chain's key.
    steps
        In the order of evaluation.
    value
        Number of the step that gives the chain's values, before colour.
    shown
        Number of the step that gives what a picture shows: of several dates the newest valid value.
    paint
        The last node, if it says how values become colours: process id and arguments.
    warnings
        What changes numbers or pictures and may surprise.
    """

    key: str
    steps: tuple[Step, ...]
    value: int
    shown: int
    paint: tuple[str, Mapping[str, Any]] | None
    warnings: tuple[str, ...]

    @property
    def sources(self) -> dict[int, Source]:
        """The sources by number of their step."""
        return {i: s.source for i, s in enumerate(self.steps) if s.source is not None}


def plan_for(engine: Engine, key: str) -> Plan:
    """The plan of a key, from the cache or compiled from the store's graph; NotFound if there is no such chain."""
    plan = engine.plans.get(key)
    if plan is None:
        plan = compile_plan(parse(engine.graph(key)), engine.bands_of)
        engine.plans.put(key, plan)
    return plan


def compile_plan(result: Node, bands_of: BandsOf) -> Plan:
    """Compile a chain.

    Parameters
    ----------
    result
        The result node.
    bands_of
        Names of the bands of a collection; NotFound if there is no such collection.

    Raises
    ------
    NotFound, InvalidArgument, InvalidGraph
        If a collection, band, dimension or process is unknown or stands in the wrong place; names the node.
    NeedsWholeImage
        If a process needs the whole image.
    """
    known = digests(result)
    paint = None
    value = result
    if get_process(result.process_id).kind == "paint":
        arguments = canonical_arguments(get_process(result.process_id), result.arguments)
        value = arguments.pop("data")
        paint = (result.process_id, get_process(result.process_id).with_defaults(arguments))
        if not isinstance(value, Node):
            raise InvalidGraph(f"{result.process_id} has no data.", node=result.name, argument="data")

    # Equal parts of the chain are one step.
    unique: dict[str, Node] = {}
    nodes = [n for n in ordered(value) if unique.setdefault(known[id(n)], n) is n]
    steps: list[Step] = []
    number: dict[str, int] = {}
    needs = needed_bands(nodes, known)
    inside = _inside_sources(nodes, known)
    for node in nodes:
        if known[id(node)] in inside:
            continue
        try:
            step = _step(node, steps, number, known, bands_of, needs)
        except EarthloomError as error:
            raise error.at(node=node.name) from None
        number[known[id(node)]] = len(steps)
        steps.append(step)

    warnings = []
    last = shown = len(steps) - 1
    if "t" in steps[last].dims:
        warnings.append("A picture shows the newest valid value of several dates; reduce t to choose another.")
    if steps[last].dims[:-2]:
        dims = tuple(d for d in steps[last].dims if d != "t")
        steps.append(
            replace(steps[last], node="", process=None, source=None, inputs={"data": last}, margin=0, dims=dims)
        )
        shown = last + 1
    return Plan(
        key=known[id(result)][:KEY_DIGITS],
        steps=tuple(_with_grown(steps)),
        value=last,
        shown=shown,
        paint=paint,
        warnings=tuple(warnings),
    )


def _step(
    node: Node,
    steps: list[Step],
    number: Mapping[str, int],
    known: Mapping[int, str],
    bands_of: BandsOf,
    needs: Mapping[str, frozenset[str] | None],
) -> Step:
    process = get_process(node.process_id)
    if process.kind == "source":
        source = source_of(node, bands_of, needs[known[id(node)]])
        loaded: tuple[str, ...] = DIMS[1:] if source.mosaic else DIMS
        return Step(node.name, None, source, {}, {}, 0, 0, loaded, source.bands, True)
    if process.kind == "paint":
        raise InvalidGraph(f"{process.id} is not the last step.", hint="Colour comes after all values are computed.")
    if process.kind in ("binary", "reducer") or (process.kind == "element" and process.standard):
        place = "reduce_dimension" if process.kind == "reducer" else "apply"
        raise InvalidGraph(f"{process.id} works on single values.", hint=f"Put it into the callback of {place}.")
    arguments = canonical_arguments(process, node.arguments)
    cubes = {name: number[known[id(v)]] for name, v in arguments.items() if isinstance(v, Node)}
    for p in process.parameters:
        if p.schema.subtype == "datacube" and p.name not in cubes:
            raise InvalidGraph(f"{p.name} of {process.id} is not the result of a step.", argument=p.name)
    static = {name: _static(v) for name, v in process.with_defaults(arguments).items() if name not in cubes}
    margin = process.margin_px(static)
    if margin == "global":
        raise NeedsWholeImage(
            f"{process.id} needs the whole image and cannot be drawn as tiles.", hint="Run it in batch."
        )
    dims, names, raw = _meaning(process, arguments, {name: steps[i] for name, i in cubes.items()})
    return Step(node.name, process, None, cubes, static, margin, 0, dims, names, raw)


def _static(value: Any) -> Any:
    if isinstance(value, graph.Callback):
        return compile_callback(value)
    if any(isinstance(r, Node | Parameter) for r in references(value)):
        raise InvalidGraph("An argument uses the result of a step where a plain value is wanted.")
    return value


Meaning = tuple[tuple[str, ...], tuple[str, ...] | None, bool]


def _meaning(process: Process, arguments: Mapping[str, Any], cubes: Mapping[str, Step]) -> Meaning:
    """Dimensions and band names of a step's result, and whether its values are still the bands' own."""
    data = next(iter(cubes.values()))
    dims = tuple(d for d in DIMS if any(d in c.dims for c in cubes.values()))
    if process.id == "reduce_dimension":
        dimension = str(arguments["dimension"])
        if dimension not in data.dims[:-2]:
            raise NotFound.name("dimension", dimension, data.dims[:-2], within="the cube", argument="dimension")
        left = tuple(d for d in data.dims if d != dimension)
        node = arguments["reducer"].result
        label = node.arguments.get("label") if node.process_id == "array_element" else None
        if dimension == "bands":
            chosen = isinstance(label, str) and data.names is not None
            for band in _labels(arguments["reducer"].result):
                _check_band(band, data.names)
            return left, (str(label),) if chosen else None, data.raw and chosen
        return left, data.names, False
    if process.id == "filter_bands":
        _require(data, "bands")
        for band in arguments["bands"]:
            _check_band(band, data.names)
        return dims, tuple(arguments["bands"]), data.raw
    if process.id == "ndvi":
        _require(data, "bands")
        for band in (arguments.get("nir", "nir"), arguments.get("red", "red")):
            _check_band(band, data.names)
        kept = arguments.get("target_band") is not None
        names = (*data.names, arguments["target_band"]) if kept and data.names else None
        return dims if kept else tuple(d for d in dims if d != "bands"), names, False
    if process.id in ("mask", "where", "filter_bbox", "filter_temporal"):
        return dims, data.names, data.raw
    if process.id == "merge_cubes":
        same = arguments.get("context") == {"labels": "equal"} and "bands" in dims
        return dims, data.names if same else None, False
    return dims, data.names if "bands" in dims else None, False


def _require(data: Step, dimension: str) -> None:
    if dimension not in data.dims:
        raise NotFound.name("dimension", dimension, data.dims[:-2], within="the cube", argument="data")


def _labels(result: Node) -> list[str]:
    nodes = (n for n in ordered(result) if n.process_id == "array_element")
    return [n.arguments["label"] for n in nodes if isinstance(n.arguments.get("label"), str)]


def _check_band(band: str, names: tuple[str, ...] | None) -> None:
    if names is not None and band not in names:
        raise NotFound.name("band", band, names, band=band, argument="bands")


def _inside_sources(nodes: list[Node], known: Mapping[int, str]) -> set[str]:
    """Digests of nodes that are only part of a source, such as the `load_collection` under a `mosaic`."""
    used_by: dict[str, set[Literal["source", "step"]]] = {known[id(nodes[-1])]: {"step"}}
    for node in nodes:
        kind: Literal["source", "step"] = "source" if get_process(node.process_id).kind == "source" else "step"
        for used in inputs(node):
            used_by.setdefault(known[id(used)], set()).add(kind)
    return {digest for digest, kinds in used_by.items() if kinds == {"source"}}


def _with_grown(steps: list[Step]) -> list[Step]:
    """The steps with the margins that later steps need of them."""
    grown = [0] * len(steps)
    for i in reversed(range(len(steps))):
        for used in steps[i].inputs.values():
            grown[used] = max(grown[used], grown[i] + steps[i].margin)
    return [replace(s, grown=g) for s, g in zip(steps, grown, strict=True)]
