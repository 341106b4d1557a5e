"""The user's own function as a step: what `run_udf` says of it, what it is given, and its run on a cube in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earthloom.base.cube import Cube
from earthloom.base.errors import FunctionFailed, InvalidArgument, NotFound
from earthloom.base.grid import MAX_ZOOM, TILE_PX, Grid, Lattice
from earthloom.base.tilecontext import RESULT_TYPES, FunctionProblem, context_json, from_json
from earthloom.base.tilefunction import MAX_MARGIN_PX
from earthloom.base.tileresult import cube_values
from earthloom.engine.stored import Stored
from earthloom.sandbox.function import Function
from earthloom.sandbox.sandbox import Sandbox

MAX_BANDS = 1000
MAX_BLOCK_PX, MIN_BLOCK_PX = 512, 32  # on a side, of what one call gets without its margin


@dataclass(frozen=True, slots=True)
class Udf:
    """What a node `run_udf` says.

    Parameters
    ----------
    function
        Text and name of the function.
    arguments
        Its arguments by name, as JSON.
    own_context
        The `context` of a function of openEO's own signatures; None for all others.
    raw
        Whether it gets the numbers of the files in their own type.
    margin
        Pixels that it needs around the wanted result.
    dtype, bands
        Type and number of bands of the result; "" and None if they are not declared.
    nodata
        "keep": stored numbers come in their own type, with the value that stands for no data in its place; "nan": as
        floats.
    mask
        "input": a pixel has no data if one of its bands had none; "own": as the function returns it.
    """

    function: Function
    arguments: Mapping[str, Any] = field(default_factory=dict)
    own_context: Mapping[str, Any] | None = None
    raw: bool = False
    margin: int = 0
    dtype: str = ""
    bands: int | None = None
    nodata: Literal["keep", "nan"] = "keep"
    mask: Literal["input", "own"] = "input"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a function gives, the same for every tile.

    Parameters
    ----------
    dims
        Dimensions of the result.
    bands
        Their number; 1 where there is no such dimension.
    dtype
        float32 or float64.
    known
        Whether the function has been tried; else it is an assumption.
    """

    dims: tuple[str, ...]
    bands: int
    dtype: str = "float32"
    known: bool = True

    @classmethod
    def assumed(cls, udf: Udf) -> Shape:
        """The shape of a function that could not be tried: as declared, else one band."""
        dtype = np.result_type(udf.dtype or "float32", np.float32).name
        bands = udf.bands or 1
        return cls(("bands", "y", "x") if bands > 1 else ("y", "x"), bands, dtype, known=False)


@dataclass(frozen=True, eq=False, slots=True)
class Given:
    """What one call of a function is given.

    Parameters
    ----------
    img
        (..., y, x) with the margin: floats with NaN, or stored numbers.
    mask
        True where there is data, of the same shape.
    dims
        Names of the axes.
    context
        What the function may ask of the array, as `base.tilecontext.context_json` writes it.
    """

    img: NDArray[Any]
    mask: NDArray[np.bool_]
    dims: tuple[str, ...]
    context: Mapping[str, Any]


_SETTINGS: Mapping[str, tuple[Any, str]] = {
    "function": (lambda v: isinstance(v, str) and v.isidentifier(), "the name of a function"),
    "arguments": (lambda v: isinstance(v, Mapping), "an object of values by name"),
    "raw": (lambda v: isinstance(v, bool), "true or false"),
    "margin": (lambda v: _whole(v, 0, MAX_MARGIN_PX), f"a whole number of pixels from 0 to {MAX_MARGIN_PX}"),
    "dtype": (lambda v: v in RESULT_TYPES, f"one of {', '.join(RESULT_TYPES)}"),
    "bands": (lambda v: _whole(v, 1, MAX_BANDS), f"a whole number from 1 to {MAX_BANDS}"),
    "nodata": (lambda v: v in ("keep", "nan"), '"keep" or "nan"'),
    "mask": (lambda v: v in ("input", "own"), '"input" or "own"'),
}


def read_udf(arguments: Mapping[str, Any]) -> Udf:
    """What the arguments of a node `run_udf` say.

    Without a member `function` the context is that of a function of openEO's own signatures, which is handed over as
    it is. Such functions often fill gaps: their result alone says what has no data.

    Raises
    ------
    NotFound
        If the context has a member that there is not; names the nearest.
    InvalidArgument
        If a member has a value that it cannot have.
    """
    source, context = arguments["udf"], arguments["context"]
    if "function" not in context:
        return Udf(Function(source, ""), own_context=context, mask="own")
    for name, value in context.items():
        if name not in _SETTINGS:
            raise NotFound.name("setting", name, _SETTINGS, within="the context of run_udf", argument="context")
        accepts, words = _SETTINGS[name]
        if not accepts(value):
            raise InvalidArgument(f"{name} of run_udf is {value!r}, not {words}.", argument="context")
    settings = {name: value for name, value in context.items() if name != "function"}
    return Udf(Function(source, context["function"]), **settings)


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def given(udf: Udf, cube: Cube, stored: Mapping[str, Stored] | None = None) -> Given:
    """What a function is given of a cube, which reaches as far as its margin.

    Parameters
    ----------
    cube
        Values, or stored numbers, as floats with NaN.
    stored
        For a function that wants raw numbers: what the files hold of each band of the cube, in its order.
    """
    mask = ~np.isnan(cube.values)
    img, nodata = cube.values, math.nan
    if stored is not None and udf.nodata == "keep":
        img, nodata = _as_stored(cube, mask, list(stored.values()))
    grid = cube.grid
    lattice, (width, height) = grid.lattice, grid.ground_resolution()
    context = context_json(
        crs=f"EPSG:{grid.epsg}",
        x=(lattice.x0, lattice.res_x, grid.col, grid.width),
        y=(lattice.y0, -lattice.res_y, grid.row, grid.height),
        resolution=(width[:, 0].tolist(), height[:, 0].tolist()),
        dims=cube.dims,
        bands=cube.labels.get("bands", ()),
        dates=cube.labels.get("t", ()),
        nodata=nodata,
        margin=udf.margin,
    )
    if udf.own_context is not None:
        context["user"] = dict(udf.own_context)
    return Given(img, mask, cube.dims, context)


def _as_stored(cube: Cube, mask: NDArray[np.bool_], bands: list[Stored]) -> tuple[NDArray[Any], float | int]:
    """Numbers in the type of the files, no data in its place; and the one value that stands for it, else NaN."""
    dtype = np.result_type(*(b.dtype for b in bands))
    values = cube.values
    if dtype.kind != "f" and not all(b.exact for b in bands):
        values = np.rint(values)
    if not mask.all():
        fill = np.array([b.nodata for b in bands], np.float64)
        values = np.where(mask, values, fill[:, None, None] if "bands" in cube.dims else fill[0])
    common = {str(b.nodata): b.nodata for b in bands}
    nodata = next(iter(common.values())) if len(common) == 1 else math.nan
    whole = dtype.kind != "f" and math.isfinite(nodata)
    return values.astype(dtype), int(nodata) if whole else nodata


def call(
    udf: Udf, part: Given, sandbox: Sandbox, tenant: str, place: str, dtype: str = ""
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """One call of a function in the sandbox.

    Parameters
    ----------
    place
        Where it is, for logs and errors.
    dtype
        Type of the values that are wanted, float32 or float64; "" takes that of the result.

    Returns
    -------
    Values without the margin, float32 or float64 with NaN, and the names of their axes.

    Raises
    ------
    FunctionFailed
        If the function raises, takes too long, or gives what is no result.
    """
    # What is not NaN is data: only of stored numbers the mask must be told.
    mask = part.mask if udf.raw and not part.mask.all() else None
    result = sandbox.call(
        tenant, udf.function, part.img, arguments=udf.arguments, context=part.context, mask=mask, place=place
    )
    try:
        values, dims, warnings = cube_values(
            result,
            part.img,
            part.mask,
            part.dims,
            margin=udf.margin,
            bands=udf.bands,
            dtype=udf.dtype,
            as_type=dtype,
            own_mask=udf.mask == "own",
            nodata=from_json(part.context["nodata"]),
        )
    except FunctionProblem as problem:
        name = udf.function.name or None
        raise FunctionFailed(problem.message, hint=problem.hint, reason="result", function=name, place=place) from None
    for text in warnings:
        sandbox.note(tenant, udf.function, text, place=place)
    return values, dims


def _inside(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    rows, columns = mask.shape[-2:]
    return mask[..., margin : rows - margin, margin : columns - margin]


def run(
    udf: Udf,
    shape: Shape,
    cube: Cube,
    grid: Grid,
    stored: Mapping[str, Stored] | None,
    sandbox: Sandbox,
    tenant: str,
) -> Cube:
    """A function on a cube, in blocks of at most 512 x 512 pixels.

    Where no pixel has data in all bands (of a series: at any date), the function is not called, unless it decides by
    itself what has data: its result would be hidden.

    Parameters
    ----------
    shape
        What the function gives.
    cube
        Reaches as far as the function's margin around `grid`.
    grid
        Where its result is wanted.
    stored
        As in `given`.

    Raises
    ------
    FunctionFailed
        As `call`; and if the result has another shape than before.
    """
    labels = {}
    if "t" in shape.dims:
        labels["t"] = cube.labels["t"]
    if "bands" in shape.dims:
        labels["bands"] = tuple(map(str, range(shape.bands)))
    values = np.full((*(len(v) for v in labels.values()), *grid.shape), np.nan, shape.dtype)
    planes_in, planes_out = (math.prod(a.shape[:-2]) for a in (cube.values, values))
    # A byte of the mask goes in with each number; no number of a result has more than eight.
    costs = planes_in * (cube.values.itemsize + 1), planes_out * 8
    for block in _blocks(grid, _side(costs, udf.margin, sandbox.settings.arena_bytes)):
        part = given(udf, cube.cropped(block.grown(udf.margin)), stored)
        if udf.mask == "input" and not has_data(_inside(part.mask, udf.margin), part.dims):
            continue
        place = place_of(block)
        result, dims = call(udf, part, sandbox, tenant, place, shape.dtype)
        rows, columns = grid.window(block)
        target = values[..., rows, columns]
        if dims != shape.dims or result.shape != target.shape:
            before = "when it was tried" if shape.known else "by assumption, for it could not be tried"
            raise FunctionFailed(
                f"The function returned {result.shape}, and {target.shape} {before}.",
                hint="Its result must have the same bands for every tile; declare their number as bands.",
                reason="result",
                function=udf.function.name or None,
                place=place,
            )
        target[...] = result
    return Cube(values, shape.dims, grid, labels)


def has_data(mask: NDArray[np.bool_], dims: tuple[str, ...]) -> bool:
    """Whether any pixel has data in all bands; of a series, at any date."""
    return bool(mask.all(axis=-3).any() if "bands" in dims else mask.any())


def _side(costs: tuple[int, int], margin: int, arena_bytes: int) -> int:
    """How large a block may be for what goes in and out [bytes a pixel]."""
    side = MAX_BLOCK_PX
    while side > MIN_BLOCK_PX and max((side + 2 * margin) ** 2 * costs[0], side**2 * costs[1]) > arena_bytes:
        side //= 2
    return side


def _blocks(grid: Grid, side: int) -> Iterator[Grid]:
    for top in range(0, grid.height, side):
        for left in range(0, grid.width, side):
            width, height = min(side, grid.width - left), min(side, grid.height - top)
            yield Grid(grid.lattice, grid.col + left, grid.row + top, width, height)


def place_of(grid: Grid) -> str:
    """The middle of a grid, for messages: zoom/column/row of its map tile, else longitude and latitude."""
    col, row = grid.col + grid.width // 2, grid.row + grid.height // 2
    zoom = _zoom(grid.lattice)
    if zoom is not None:
        return f"{zoom}/{col // TILE_PX}/{row // TILE_PX}"
    west, south, east, north = Grid(grid.lattice, col, row, 1, 1).lonlat_bounds()
    return f"{(west + east) / 2:.5f}, {(south + north) / 2:.5f}"


@lru_cache(maxsize=256)
def _zoom(lattice: Lattice) -> int | None:
    return next((z for z in range(MAX_ZOOM + 1) if Lattice.web_mercator(z) == lattice), None)
