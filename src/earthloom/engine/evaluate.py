"""The one evaluator: a plan on a grid gives a cube of values. Tiles, points, previews, blocks all come here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from earthloom.base.cube import Cube
from earthloom.base.errors import EarthloomError, TooLarge
from earthloom.base.grid import Grid
from earthloom.catalog.protocol import Footprint
from earthloom.engine import function
from earthloom.engine.plan import Plan
from earthloom.engine.selection import Selection, SourceItems
from earthloom.engine.source import Source
from earthloom.engine.stored import Stored
from earthloom.processes.arrays import last
from earthloom.processes.context import Context
from earthloom.processes.cube import filter_bbox
from earthloom.raster.reader import Reader

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine

MAX_READS = 5000  # bands of items that one evaluation may read


def evaluate(
    plan: Plan, grid: Grid, selection: Selection, engine: Engine, *, shown: bool = False, tenant: str = "local"
) -> Cube:
    """The values of a plan on a grid.

    Parameters
    ----------
    plan
        A compiled chain.
    grid
        Where the values are wanted; each step is evaluated with the margin that later ones need of it.
    selection
        The items of the plan's sources.
    engine
        Its reader reads pixels, its sandbox runs the user's own functions.
    shown
        Values as a picture shows them: of several dates the newest valid value, without a dimension of one band.
    tenant
        Who asks: functions run in a process that no one else's request ever reaches.

    Returns
    -------
    float32 or float64 values, NaN is no data. A pixel's value does not depend on the window of `grid`.

    Raises
    ------
    ReadError
        If a file that is needed is missing or corrupt; names node, item, band and file.
    TooLarge
        If the grid meets too many items.
    FunctionFailed
        If a function of the user raises, takes too long, or gives what is no result; names node, line and place.
    """
    target = plan.shown if shown else plan.value
    cubes: dict[int, Cube] = {}
    uses = _last_uses(plan, target)
    with np.errstate(all="ignore"):
        for i, step in enumerate(plan.steps[: target + 1]):
            if i != target and i not in uses:
                continue
            try:
                cubes[i] = _run(plan, i, grid.grown(step.grown), cubes, selection, engine, tenant)
            except EarthloomError as error:
                raise error.at(node=step.node or None) from None
            for used in step.inputs.values():
                if uses[used] == i:
                    del cubes[used]
                    uses[used] = -1
    return cubes[target].cropped(grid)


def _run(
    plan: Plan, i: int, grid: Grid, cubes: dict[int, Cube], selection: Selection, engine: Engine, tenant: str
) -> Cube:
    step = plan.steps[i]
    if step.source is not None:
        return _load(step.source, selection.sources[i], grid, engine.reader)
    around = grid.grown(step.margin)
    given = {name: cubes[k].cropped(around) for name, k in step.inputs.items()}
    if step.process is None:
        return _newest(given["data"])
    if step.udf is not None and step.shape is not None:
        stored = stored_below(plan, step.inputs["data"], selection) if step.udf.raw else None
        return function.run(step.udf, step.shape, given["data"], grid, stored, engine.sandbox, tenant)
    context = {"ctx": Context(grid)} if step.process.wants_context else {}
    if step.process.kind == "element":
        name = step.process.parameters[0].name
        cube = given[name]
        values = step.process.function(cube.values, **step.arguments, **context)
        return Cube(values, cube.dims, grid, cube.labels)
    result: Cube = step.process.function(**given, **step.arguments, **context)
    return result


def _load(source: Source, items: SourceItems, grid: Grid, reader: Reader) -> Cube:
    """Read a source: one plane, or one for each date of the whole selection."""
    here = items.meeting(grid.lonlat_bounds())
    if len(here) * len(source.bands) > MAX_READS:
        raise TooLarge(
            f"{len(here)} items of {source.query.collection} meet this area, with {len(source.bands)} bands each.",
            hint="Zoom in, choose fewer dates or a limit, or run it in batch.",
            collection=source.query.collection,
        )
    bands = source.bands
    if source.mosaic:
        values = reader.read(items.assets(here, source), grid, bands, source.method, items.dtype)
        cube = Cube(values, ("bands", "y", "x"), grid, {"bands": bands})
    else:
        shape = (len(items.labels), len(bands), *grid.shape)
        values = np.full(shape, np.nan, items.dtype)
        by_date: dict[str, list[Footprint]] = {}
        for item in here:
            by_date.setdefault(items.label(item), []).append(item)
        for label, of_date in by_date.items():
            plane = items.labels.index(label)
            values[plane] = reader.read(items.assets(of_date, source), grid, bands, source.method, items.dtype)
        cube = Cube(values, ("t", "bands", "y", "x"), grid, {"t": items.labels, "bands": bands})
    return filter_bbox(cube, dict(source.crop)) if source.crop else cube


def stored_below(plan: Plan, i: int, selection: Selection) -> dict[str, Stored]:
    """What the files hold of each band of a step that only chooses bands, in their order."""
    stored = selection.sources[plan.source_below(i)].stored
    return {band: stored[band] for band in plan.steps[i].names or ()}


def _newest(cube: Cube) -> Cube:
    if "t" in cube.dims:
        cube = cube.with_values(last(cube.values, ctx=Context(cube.grid, axis=cube.axis("t"))), drop="t")
    if "bands" in cube.dims and len(cube.labels["bands"]) == 1:
        cube = cube.with_values(cube.values[0], drop="bands")
    return cube


def _last_uses(plan: Plan, target: int) -> dict[int, int]:
    """For each step that `target` needs, the last step that uses it; later its cube is let go."""
    uses: dict[int, int] = {}
    needed = {target}
    for i in range(target, -1, -1):
        if i in needed:
            for used in plan.steps[i].inputs.values():
                needed.add(used)
                uses.setdefault(used, i)
    return uses
