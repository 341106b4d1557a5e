"""The functions of a chain beside its tiles: tried once when it is made, and what one would be given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.cube import Cube
from earthloom.base.errors import EarthloomError, FunctionFailed, NotFound, ReadError
from earthloom.base.grid import WEB_MERCATOR, Grid, Lattice, transformer
from earthloom.chain.graph import Node, ordered
from earthloom.chain.key import canonical_arguments, digests
from earthloom.chain.parse import parse
from earthloom.engine.evaluate import evaluate, stored_below
from earthloom.engine.function import Shape, Udf, call, given, has_data, place_of, read_udf
from earthloom.engine.plan import Plan, compile_plan
from earthloom.engine.selection import Selection, selection_for
from earthloom.engine.views import MERCATOR_LATITUDE, native_zoom
from earthloom.processes.define import get_process
from earthloom.sandbox.function import Function

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine

SAMPLE_PX = 32
SAMPLES = 8  # places that are looked at for data, before the function is tried without any
# Mistakes of the function itself, whatever the data are.
MISTAKES = ("syntax", "import", "result")


@dataclass(frozen=True, eq=False, slots=True)
class TileInput:
    """What a function is given for a grid.

    Parameters
    ----------
    values, mask, dims, context
        As `function.Given` has them: with the margin around the grid.
    labels
        Dates and bands, by dimension.
    grid
        Where the function's result would lie.
    """

    values: NDArray[Any]
    mask: NDArray[np.bool_]
    dims: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    context: Mapping[str, Any]
    grid: Grid


def functions_of(result: Node) -> tuple[Function, ...]:
    """The users' functions of a chain, each once, in the order of the steps."""
    process = get_process("run_udf")
    found: dict[Function, None] = {}
    for node in ordered(result):
        if node.process_id == process.id:
            try:
                found[read_udf(process.with_defaults(canonical_arguments(process, node.arguments))).function] = None
            except EarthloomError as error:
                raise error.at(node=node.name) from None
    return tuple(found)


def tile_input(engine: Engine, document: Mapping[str, Any], grid: Grid, tenant: str = "local") -> TileInput:
    """What the last function of a chain would be given for a grid; it is not run, nothing is kept.

    Parameters
    ----------
    document
        A chain, as it is posted.
    grid
        Where its result is wanted.
    tenant
        Who asks. Earlier functions of the chain run.

    Raises
    ------
    NotFound
        If no function is in the chain.
    """
    nodes = [n for n in ordered(parse(document)) if n.process_id == "run_udf"]
    if not nodes:
        raise NotFound("The chain runs no function.", hint="Add one with execute.")
    last = digests(nodes[-1])[id(nodes[-1])]

    def learn(before: Plan, udf: Udf, digest: str) -> Shape:
        return Shape.assumed(udf) if digest == last else try_function(engine, before, udf, digest, tenant)

    plan = compile_plan(nodes[-1], engine.bands_of, learn)
    step = next(s for s in plan.steps[::-1] if s.udf is not None)
    assert step.udf is not None
    before = replace(plan, key=f"{plan.key}/input", value=step.inputs["data"])
    selection = selection_for(engine, before)
    cube = evaluate(before, grid.grown(step.udf.margin), selection, engine, tenant=tenant)
    part = given(step.udf, cube, stored_below(before, before.value, selection) if step.udf.raw else None)
    return TileInput(part.img, part.mask, part.dims, cube.labels, part.context, grid)


def try_function(engine: Engine, before: Plan, udf: Udf, digest: str, tenant: str) -> Shape:
    """Run a function once on a small window of what goes into it, and keep the shape of its result.

    Parameters
    ----------
    before
        A plan whose value is what goes into the function.
    digest
        Digest of the node with all that goes into it.

    Returns
    -------
    What it gives. If nothing can be read, or there is no data, and the function fails on that, an assumption.

    Raises
    ------
    FunctionFailed
        If the function fails on data, or whatever the data.
    """
    series = "t" in before.steps[before.value].dims
    name = (digest, engine.revisions(before) if series else ())
    shape = engine.shapes.get(name)
    if shape is not None:
        return shape
    selection = selection_for(engine, before)
    cube, has = _sample(engine, before, udf, selection, tenant)
    if cube is None:
        return Shape.assumed(udf)
    part = given(udf, cube, stored_below(before, before.value, selection) if udf.raw else None)
    try:
        values, dims = call(udf, part, engine.sandbox, tenant, place_of(cube.grid))
    except FunctionFailed as error:
        if has or error.where.get("reason") in MISTAKES:
            raise
        return Shape.assumed(udf)
    shape = Shape(dims, values.shape[-3] if "bands" in dims else 1, values.dtype.name)
    engine.shapes.put(name, shape)
    return shape


def _sample(engine: Engine, before: Plan, udf: Udf, selection: Selection, tenant: str) -> tuple[Cube | None, bool]:
    """A small cube with its margin, and whether it has data in the middle; None if even an empty one cannot be had."""
    cube = None
    for grid in _windows(engine, before, selection):
        try:
            cube = evaluate(before, grid.grown(udf.margin), selection, engine, tenant=tenant)
        except ReadError:  # no mistake of the chain: the tiles there will tell
            continue
        if has_data(~np.isnan(cube.cropped(grid).values), cube.dims):
            return cube, True
    return (_empty(before, udf, selection) if cube is None else cube), False


def _windows(engine: Engine, before: Plan, selection: Selection) -> Iterator[Grid]:
    """Small grids near the resolution of the files: in the item nearest to the middle of all, then in others."""
    number = before.source_below(before.value)
    source = before.sources[number]
    boxes = np.array(selection.sources[number].boxes)
    if not len(boxes):
        return
    boxes[boxes[:, 0] > boxes[:, 2], 2] += 360  # across the antimeridian
    if source.crop and source.crop["west"] <= source.crop["east"]:
        west, south, east, north = (source.crop[side] for side in ("west", "south", "east", "north"))
        cut = np.column_stack([np.maximum(boxes[:, :2], (west, south)), np.minimum(boxes[:, 2:], (east, north))])
        inside = (cut[:, 0] < cut[:, 2]) & (cut[:, 1] < cut[:, 3])
        boxes = cut[inside] if inside.any() else boxes
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    middle = (boxes[:, :2].min(axis=0) + boxes[:, 2:].max(axis=0)) / 2
    near = np.argsort(np.hypot(*(middles - middle).T), kind="stable")
    parts = [(0.5, 0.5), (0.3, 0.3), (0.7, 0.7), (0.3, 0.7), (0.7, 0.3)]
    places = [(near[0], x, y) for x, y in parts] + [(i, 0.5, 0.5) for i in near[1:]]
    for i, x, y in places[:SAMPLES]:
        west, south, east, north = boxes[i]
        lat = float(np.clip(south + y * (north - south), -MERCATOR_LATITUDE, MERCATOR_LATITUDE))
        lon = math.remainder(float(west + x * (east - west)), 360)
        lattice = Lattice.web_mercator(native_zoom(engine, before, number, lat))
        col, row = lattice.pixel(*transformer(4326, WEB_MERCATOR).transform(lon, lat))
        yield Grid(lattice, col - SAMPLE_PX // 2, row - SAMPLE_PX // 2, SAMPLE_PX, SAMPLE_PX)


def _empty(before: Plan, udf: Udf, selection: Selection) -> Cube | None:
    """A cube without data like the one that goes into the function, as far as its labels are known."""
    step, number = before.steps[before.value], before.source_below(before.value)
    items = selection.sources[number]
    labels = {d: found for d, found in (("t", items.labels), ("bands", step.names or ())) if d in step.dims}
    if not all(labels.values()):
        return None
    grid = Grid(Lattice.web_mercator(0), 0, 0, SAMPLE_PX, SAMPLE_PX).grown(udf.margin)
    shape = (*(len(v) for v in labels.values()), *grid.shape)
    return Cube(np.full(shape, np.nan, items.dtype), step.dims, grid, labels)
