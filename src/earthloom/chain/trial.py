"""A user's function tried in the notebook, on the very array that the server would hand over, and then on the server.

It runs here, so that a traceback and the debugger are the notebook's own: no error of the function is caught.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.errors import EarthloomError, FunctionFailed, InvalidArgument
from earthloom.base.grid import TILE_PX, Grid
from earthloom.base.tilecontext import FunctionProblem, TileContext, from_json
from earthloom.base.tilefunction import MAX_MARGIN_PX, TileFunction
from earthloom.base.tileresult import cube_values
from earthloom.chain.capture import FILLED
from earthloom.chain.graph import Graph
from earthloom.chain.picture import data_address, pictures
from earthloom.chain.session import Session, UdfInput
from earthloom.chain.show import card

ROUNDING = 1e-3  # of the range of the values: smaller differences are noted, not warned of


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A sentence on a trial; `problem` if the user should do something."""

    text: str
    problem: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trial:
    """What came of a trial.

    Parameters
    ----------
    call
        The function as it was called.
    grid
        The tiles.
    input
        What the function was given, (..., y, x), with its margin.
    context
        What it could ask of it.
    result
        Its result here, tile by tile, as the values of a cube: (..., y, x) without the margin, NaN is no data.
    server
        The same from the server; None if the server failed.
    findings
        What was found.
    """

    call: str
    grid: Grid
    input: NDArray[Any]
    context: TileContext
    result: NDArray[Any]
    server: NDArray[Any] | None
    findings: tuple[Finding, ...]

    @property
    def equal(self) -> bool:
        """Whether the server gave the same values."""
        server = self.server
        return server is not None and server.shape == self.result.shape and not differing(self.result, server).any()

    def __repr__(self) -> str:
        rows = (f"  {name:<10}{text}" for name, text in self._facts())
        return "\n".join([self.call, *rows, *(f"  {finding.text}" for finding in self.findings)])

    def _repr_html_(self) -> str:
        shown = {"notebook": self.result} | ({} if self.server is None else {"server": self.server})
        figures = "".join(
            f'<figure><img src="{data_address(png)}" alt="{name}"><figcaption>{name}</figcaption></figure>'
            for name, png in zip(shown, pictures(list(shown.values())), strict=True)
        )
        rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in self._facts())
        found = "".join(
            f"<li>{f'<b>{escape(f.text)}</b>' if f.problem else escape(f.text)}</li>" for f in self.findings
        )
        main = f'<div class="pair">{figures}</div><dl>{rows}</dl><ul>{found}</ul>'
        return card(self.call, "trial", "the same" if self.equal else "not the same", main)

    def _facts(self) -> list[tuple[str, str]]:
        west, south, east, north = self.grid.lonlat_bounds()
        place = f"lon {(west + east) / 2:.5f}, lat {(south + north) / 2:.5f}, zoom {zoom_of(self.grid)}"
        return [("place", place), ("input", _summary(self.input)), ("result", _summary(self.result))]


def try_out(
    session: Session,
    graph: Graph,
    function: Callable[..., Any],
    settings: Mapping[str, Any],
    call: str,
    place: tuple[float, float],
    zoom: int,
) -> Trial:
    """Run a function here and on the server for the same tiles, and compare.

    Parameters
    ----------
    session
        The server.
    graph
        A chain that ends in the function.
    function
        The function itself.
    settings
        The `context` of the chain's `run_udf`.
    call
        How the function is called, for print.
    place
        Longitude and latitude.
    zoom
        Zoom of the tiles.

    Raises
    ------
    InvalidArgument
        If there is no data.
    FunctionFailed
        If the function returns here what is no result.
    """
    given = session.udf_input(graph, *place, zoom)
    own = settings.get("mask") == "own" or "function" not in settings
    if not own and not _has_data(given):
        raise InvalidArgument(
            "There is no data in these tiles.",
            hint="Give another place=(lon, lat), or another zoom=.",
            argument="place",
        )
    caller = TileFunction(function)
    whole, notes = run_here(caller, settings, given)
    here = np.full_like(whole, np.nan)
    for rows, columns, part in tiles(given):
        if not own and not _has_data(part):
            continue  # as the server does
        values, _ = run_here(caller, settings, part)
        if values.shape[:-2] != whole.shape[:-2]:
            raise FunctionFailed(
                f"The function returned {values.shape} for a tile and {whole.shape} for several together.",
                hint="Its result must have the same bands for every tile.",
                reason="result",
                function=caller.name,
            )
        here[..., rows, columns] = values
    server, finding = _on_server(session, graph, given.grid, here)
    findings = [Finding(note) for note in notes] + [dependence(whole, here, given.context["margin"]), finding]
    for problem in (f for f in findings if f.problem):
        warnings.warn(f"{caller.name}: {problem.text}", UserWarning, stacklevel=3)
    context = TileContext.from_json(given.context, given.values, given.mask)
    return Trial(call, given.grid, given.values, context, here, server, tuple(findings))


def run_here(caller: TileFunction, settings: Mapping[str, Any], given: UdfInput) -> tuple[NDArray[Any], list[str]]:
    """What a function makes of an array in this process: values of a cube, and warnings.

    Raises
    ------
    FunctionFailed
        If it is no result. What the function itself raises is not caught.
    """
    openeo = "function" not in settings
    img = given.values.copy()
    context = TileContext.from_json(given.context, img, given.mask.copy())
    arguments = from_json(settings.get("arguments", {})) if not openeo else {}
    try:
        with _globals_as_there(caller):
            result = caller.call(img, arguments, context, settings if openeo else None)
        values, _, notes = cube_values(
            result,
            given.values,
            given.mask,
            given.dims,
            margin=given.context["margin"],
            bands=None if openeo else settings.get("bands"),
            dtype="" if openeo else settings.get("dtype", ""),
            own_mask=openeo or settings.get("mask") == "own",
            nodata=from_json(given.context["nodata"]),
        )
    except FunctionProblem as problem:
        raise FunctionFailed(problem.message, hint=problem.hint, reason="result", function=caller.name) from None
    return values, notes


def tiles(given: UdfInput) -> Iterator[tuple[slice, slice, UdfInput]]:
    """The parts of an array, one for each map tile, with their margins; and where their results belong."""
    grid, around = given.grid, 2 * given.context["margin"]
    for top in range(0, grid.height, TILE_PX):
        for left in range(0, grid.width, TILE_PX):
            rows, columns = slice(top, top + TILE_PX + around), slice(left, left + TILE_PX + around)
            context = dict(given.context)
            for axis, first in (("x", left), ("y", top)):
                origin, step, index, _ = context[axis]
                context[axis] = [origin, step, index + first, TILE_PX + around]
            context["resolution"] = [side[rows] for side in context["resolution"]]
            part = UdfInput(
                given.values[..., rows, columns],
                given.mask[..., rows, columns],
                given.dims,
                context,
                Grid(grid.lattice, grid.col + left, grid.row + top, TILE_PX, TILE_PX),
            )
            yield slice(top, top + TILE_PX), slice(left, left + TILE_PX), part


def differing(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two arrays of one shape differ; NaN equals NaN."""
    return np.asarray(~((a == b) | (np.isnan(a) & np.isnan(b))))


def dependence(whole: NDArray[Any], parts: NDArray[Any], margin: int) -> Finding:
    """Whether a result depends on where the area is cut into tiles.

    Parameters
    ----------
    whole
        (..., y, x), computed at once.
    parts
        The same, computed tile by tile.
    margin
        Pixels that are declared.
    """
    different = differing(whole, parts)
    if not different.any():
        return Finding("The tiles fit together.")
    finite = whole[np.isfinite(whole)]
    off = np.abs(whole - parts)
    large = different & ~(off <= ROUNDING * (np.ptp(finite) if finite.size else 0))
    if not large.any():
        most = np.nanmax(off)
        return Finding(f"The tiles fit together but for rounding, of at most {most:.2g}.")
    rows, columns = whole.shape[-2:]
    y, x = (np.abs(np.arange(size) + 0.5 - TILE_PX) + 0.5 for size in (rows, columns))
    from_cut = np.minimum(y[:, None], x[None, :])
    pixels = large.any(axis=tuple(range(large.ndim - 2)))
    reach = int(from_cut[pixels].max())
    count = f"{np.count_nonzero(pixels)} of {pixels.size} pixels change where the area is cut into tiles"
    if reach < TILE_PX // 2 and margin + reach <= MAX_MARGIN_PX:
        declare = f"Declare it: @el.tile_function(margin={margin + reach})."
        return Finding(f"{count}, up to {reach} px from the cut: it looks at neighbours. {declare}", problem=True)
    return Finding(
        f"{count}, and not only near the cut: it depends on the tile as a whole, such as its mean or maximum. "
        "The tiles will not fit together; hand such a number over as an argument.",
        problem=True,
    )


def _on_server(session: Session, graph: Graph, grid: Grid, here: NDArray[Any]) -> tuple[NDArray[Any] | None, Finding]:
    zoom = zoom_of(grid)
    there = np.full_like(here, np.nan)
    try:
        key = session.put(graph)
        for row in range(grid.row, grid.row + grid.height, TILE_PX):
            for col in range(grid.col, grid.col + grid.width, TILE_PX):
                values = session.tile(key, zoom, col // TILE_PX, row // TILE_PX)
                if values.shape[:-2] != here.shape[:-2]:
                    return values, Finding(f"The server returned the shape {values.shape}.", problem=True)
                top, left = row - grid.row, col - grid.col
                there[..., top : top + TILE_PX, left : left + TILE_PX] = values
    except EarthloomError as error:  # the result here is worth seeing all the more
        return None, Finding(f"The server failed: {error}", problem=True)
    different = differing(here, there)
    count = np.count_nonzero(different)
    if not count:
        return there, Finding("The server gave the same values.")
    most = np.nanmax(np.abs(here - there)[different], initial=0)
    text = f"The server's result differs in {count} of {different.size} values, by at most {most:.3g}."
    holes = np.count_nonzero(np.isnan(here) != np.isnan(there))
    return there, Finding(text + (f" {holes} are no data in one only." if holes else ""), problem=True)


def _summary(values: NDArray[Any]) -> str:
    """Shape, type and range of an array."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    span = f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "no data"
    holes = 100 * (1 - finite.size / values.size)
    text = f"{values.shape} {values.dtype}, {span}"
    return text + (f", {holes:.1f} % no data" if 0 < holes < 100 else "")


def zoom_of(grid: Grid) -> int:
    """Zoom of the map tiles that a grid is made of."""
    return round(math.log2(-2 * grid.lattice.x0 / (grid.lattice.res_x * TILE_PX)))


def _has_data(given: UdfInput) -> bool:
    """Whether a pixel without the margin has data in all bands; of a series, at any date."""
    margin = given.context["margin"]
    rows, columns = given.mask.shape[-2:]
    inside = given.mask[..., margin : rows - margin, margin : columns - margin]
    return bool((inside.all(axis=-3) if "bands" in given.dims else inside).any())


@contextmanager
def _globals_as_there(caller: TileFunction) -> Iterator[None]:
    """numpy is there without an import; what a function with `global img` writes into the notebook is taken back."""
    names = caller.plain.__globals__
    before = dict(names)
    for name in ("numpy", "np"):
        names.setdefault(name, np)
    try:
        yield
    finally:
        filled = caller.convention == "globals"
        for name in [n for n in names if n in ("numpy", "np") or (filled and FILLED.fullmatch(n))]:
            if name in before:
                names[name] = before[name]
            else:
                del names[name]
