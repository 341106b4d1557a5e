"""A chain, compiled once: sources, steps and margins. A plan knows no items; those are a `Selection`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from earthloom.base.cube import DIMS
from earthloom.base.errors import EarthloomError, InvalidArgument, InvalidGraph, NeedsWholeImage, NotFound
from earthloom.chain import graph
from earthloom.chain.graph import Node, Parameter, inputs, ordered, references
from earthloom.chain.key import KEY_DIGITS, canonical_arguments, digests
from earthloom.chain.parse import parse
from earthloom.engine.callback import compile_callback
from earthloom.engine.function import Shape, Udf, read_udf
from earthloom.engine.source import Source, needed_bands, source_of
from earthloom.processes.define import Process, get_process

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine

BandsOf = Callable[[str], tuple[str, ...]]
Learn = Callable[["Plan", Udf, str], Shape]


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
    udf, shape
        The user's own function, if the step runs one, and what it gives.
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
    udf: Udf | None = None
    shape: Shape | None = None


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
    revision
        State of the collections that the plan holds for; None if it holds for any. What a function gives of a series
        may depend on the number of dates.
    """

    key: str
    steps: tuple[Step, ...]
    value: int
    shown: int
    paint: tuple[str, Mapping[str, Any]] | None
    warnings: tuple[str, ...]
    revision: tuple[int, ...] | None = None

    @property
    def sources(self) -> dict[int, Source]:
        """The sources by number of their step."""
        return {i: s.source for i, s in enumerate(self.steps) if s.source is not None}

    @property
    def functions(self) -> dict[int, Udf]:
        """The user's own functions by number of their step."""
        return {i: s.udf for i, s in enumerate(self.steps) if s.udf is not None}

    def source_below(self, i: int) -> int:
        """Number of the source that a step's first cube goes back to."""
        while self.steps[i].source is None:
            i = next(iter(self.steps[i].inputs.values()))
        return i


def plan_for(engine: Engine, key: str, tenant: str = "local") -> Plan:
    """The plan of a key, from the cache or compiled from the store's graph; NotFound if there is no such chain.

    The functions of a chain that was posted to another process are tried here once, on behalf of the tenant.
    """
    return engine.kept_plan(key) or engine.compile(parse(engine.graph(key)), tenant)


def assume(before: Plan, udf: Udf, digest: str) -> Shape:
    """In place of a trial: a function gives what it declares, else one band."""
    return Shape.assumed(udf)


def compile_plan(result: Node, bands_of: BandsOf, learn: Learn = assume) -> Plan:
    """Compile a chain.

    Parameters
    ----------
    result
        The result node.
    bands_of
        Names of the bands of a collection; NotFound if there is no such collection.
    learn
        What a function gives. Told are a plan of what goes into it (`value` is that step), the function, and the
        digest of the node.

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
    number: dict[tuple[str, bool], int] = {}
    needs = needed_bands(nodes, known)
    uses = _uses(nodes, known)
    warnings = []
    for node in nodes:
        for stored in sorted(uses.get(known[id(node)], ())):
            try:
                step = _step(node, stored, steps, number, known, bands_of, needs)
                if step.udf is not None:
                    before = _before(f"{known[id(result)]}/{len(steps)}", steps, step)
                    step = _with_shape(step, learn(before, step.udf, known[id(node)]))
            except EarthloomError as error:
                raise error.at(node=node.name) from None
            if step.shape is not None and not step.shape.known and learn is not assume:
                gives = "one band" if step.shape.bands == 1 else f"{step.shape.bands} bands"
                warnings.append(f"The function of {node.name} could not be tried; it is taken to give {gives}.")
            number[known[id(node)], stored] = len(steps)
            steps.append(step)

    last = shown = len(steps) - 1
    if "t" in steps[last].dims:
        warnings.append("A picture shows the newest valid value of several dates; reduce t to choose another.")
    if steps[last].dims[:-2]:
        dims = tuple(d for d in steps[last].dims if d != "t")
        steps.append(Step("", None, None, {"data": last}, {}, 0, 0, dims, steps[last].names, steps[last].raw))
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
    stored: bool,
    steps: list[Step],
    number: Mapping[tuple[str, bool], int],
    known: Mapping[int, str],
    bands_of: BandsOf,
    needs: Mapping[str, frozenset[str] | None],
) -> Step:
    process = get_process(node.process_id)
    if process.kind == "source":
        source = source_of(node, bands_of, needs[known[id(node)]])
        if stored and source.numbers == "physical":
            source = replace(source, numbers="stored")
        loaded: tuple[str, ...] = DIMS[1:] if source.mosaic else DIMS
        return Step(node.name, None, source, {}, {}, 0, 0, loaded, source.bands, True)
    if process.kind == "paint":
        raise InvalidGraph(f"{process.id} is not the last step.", hint="Colour comes after all values are computed.")
    if process.kind in ("binary", "reducer") or (process.kind == "element" and process.standard):
        place = "reduce_dimension" if process.kind == "reducer" else "apply"
        raise InvalidGraph(f"{process.id} works on single values.", hint=f"Put it into the callback of {place}.")
    arguments = canonical_arguments(process, node.arguments)
    stored = stored or _wants_stored(node)
    given = {p.name: arguments.get(p.name) for p in process.parameters}
    cubes = {name: number[known[id(v)], stored] for name, v in given.items() if isinstance(v, Node)}
    for p in process.parameters:
        if p.schema.subtype == "datacube" and p.name not in cubes:
            raise InvalidGraph(f"{p.name} of {process.id} is not the result of a step.", argument=p.name)
    static = {name: _static(v) for name, v in process.with_defaults(arguments).items() if name not in cubes}
    if process.kind == "udf":
        udf = read_udf(static)
        return Step(node.name, process, None, cubes, static, udf.margin, 0, ("y", "x"), None, False, udf)
    margin = process.margin_px(static)
    if margin == "global":
        raise NeedsWholeImage(
            f"{process.id} needs the whole image and cannot be drawn as tiles.", hint="Run it in batch."
        )
    dims, names, raw = _meaning(process, arguments, {name: steps[i] for name, i in cubes.items()})
    return Step(node.name, process, None, cubes, static, margin, 0, dims, names, raw)


def _before(key: str, steps: list[Step], step: Step) -> Plan:
    """A plan of what goes into a function."""
    value = step.inputs["data"]
    return Plan(key, tuple(_with_grown([*steps, step])[:-1]), value, value, None, ())


def _with_shape(step: Step, shape: Shape) -> Step:
    names = tuple(map(str, range(shape.bands))) if "bands" in shape.dims else None
    return replace(step, dims=shape.dims, names=names, shape=shape)


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


def _wants_stored(node: Node) -> bool:
    context = node.arguments.get("context")
    return node.process_id == "run_udf" and isinstance(context, Mapping) and context.get("raw") is True


def _uses(nodes: list[Node], known: Mapping[int, str]) -> dict[str, set[bool]]:
    """How the result of each node is wanted as a step, by digest: False as physical values, True as stored numbers.

    Nodes that are only part of a source, such as the `load_collection` under a `mosaic`, are no steps.
    """
    uses = {known[id(nodes[-1])]: {False}}
    for node in reversed(nodes):
        mine = uses.get(known[id(node)], set())
        if get_process(node.process_id).kind == "source":
            continue
        if _wants_stored(node):
            _check_stored(node)
            mine = {True}
        for used in inputs(node):
            uses.setdefault(known[id(used)], set()).update(mine)
    return uses


def _check_stored(node: Node) -> None:
    """Between the files and a function that wants raw numbers, bands may be chosen and nothing else."""
    below = node.arguments["data"]
    while isinstance(below, Node) and get_process(below.process_id).kind != "source":
        arguments = below.arguments
        one = below.process_id == "reduce_dimension" and arguments["dimension"] in ("bands", "band")
        picks = one and arguments["reducer"].result.process_id == "array_element"
        if below.process_id != "filter_bands" and not (picks and "label" in arguments["reducer"].result.arguments):
            raise InvalidArgument(
                f"raw hands over the numbers of the files, and {below.process_id} makes others of them.",
                hint="Run the function right after the load, the mosaic or the choice of bands; or leave raw out.",
                node=node.name,
                argument="context",
            )
        below = arguments["data"]


def _with_grown(steps: list[Step]) -> list[Step]:
    """The steps with the margins that later steps need of them."""
    grown = [0] * len(steps)
    for i in reversed(range(len(steps))):
        for used in steps[i].inputs.values():
            grown[used] = max(grown[used], grown[i] + steps[i].margin)
    return [replace(s, grown=g) for s, g in zip(steps, grown, strict=True)]
