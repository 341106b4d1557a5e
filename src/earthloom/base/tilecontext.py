"""What a user's own function is given beside its array: arguments that travel as JSON, and what it may ask of the tile.

Stands alone (standard library and numpy), for it is loaded inside the sandbox too; so do `tilefunction`, `tileresult`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Types that a result may have, by the name that travels.
RESULT_TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
GRAPH_KEYS = ("from_node", "from_parameter", "process_graph")  # mean something else in a process graph
MAX_ARRAY_VALUES = 4096  # of an array as an argument
MAX_INTEGER = 2**53  # JSON's numbers are exact up to here
MAX_DEPTH = 20
MAX_TEXT_BYTES = 64 << 10  # of the source of a function, and of its arguments


class FunctionProblem(Exception):
    """What is wrong with a function, its arguments or its result: `message`, and `hint`, what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def to_json(value: Any, name: str = "argument", depth: int = 0) -> Any:
    """An argument as JSON: plain values, tuples as lists, numpy's scalars, small arrays, NaN and infinity.

    Raises
    ------
    FunctionProblem
        If the value has no such form; names it.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise FunctionProblem(f"{name} is an integer over 2**53, which JSON cannot hold.", "Pass it as text.")
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, np.ndarray):
        if str(value.dtype) not in RESULT_TYPES:
            raise FunctionProblem(f"{name} is an array of {value.dtype}.", "Arrays of numbers and of bool can travel.")
        if value.size > MAX_ARRAY_VALUES:
            raise FunctionProblem(
                f"{name} is an array of {value.size} values; {MAX_ARRAY_VALUES} can travel in a chain.",
                "Make a collection of it, or compute it inside the function.",
            )
        values = [to_json(v, name) for v in value.ravel().tolist()]
        return {"$array": values, "dtype": str(value.dtype), "shape": list(value.shape)}
    if depth >= MAX_DEPTH:
        raise FunctionProblem(f"{name} nests more than {MAX_DEPTH} deep.")
    if isinstance(value, list | tuple):
        return [to_json(v, f"{name}[{i}]", depth + 1) for i, v in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key.startswith("$") or key in GRAPH_KEYS:
                kept = f"Keys are text, do not begin with $, and are none of {', '.join(GRAPH_KEYS)}."
                raise FunctionProblem(f"{name} has the key {key!r}.", kept)
        return {key: to_json(v, f"{name}[{key!r}]", depth + 1) for key, v in value.items()}
    raise FunctionProblem(
        f"{name} is of type {type(value).__name__}, which cannot travel in a chain.",
        "Numbers, text, lists, dictionaries and small numpy arrays can.",
    )


def from_json(value: Any) -> Any:
    """The value that `to_json` wrote."""
    if isinstance(value, list):
        return [from_json(v) for v in value]
    if isinstance(value, dict):
        if "$float" in value:
            return float(value["$float"])
        if "$array" in value:
            return np.array(from_json(value["$array"]), dtype=value["dtype"]).reshape(value["shape"])
        return {key: from_json(v) for key, v in value.items()}
    return value


@dataclass(slots=True)
class TileContext:
    """What a function is told of the array that it gets, if it has a parameter `context`.

    Parameters
    ----------
    crs
        Coordinate system, such as "EPSG:3857".
    x, y
        Coordinates of the pixel centres in it, (x,) and (y,); those of the margin included.
    resolution
        True width and height of the pixels of each row on the ground [m], both (y, 1).
    dims
        Names of the array's axes, among t, bands, y, x.
    bands
        Names of the bands; empty if there is no such axis.
    dates
        Dates of the axis t, datetime64[s], UTC; empty if there is no such axis.
    nodata
        The value that stands for no data: NaN, or that of the stored numbers.
    margin
        Pixels around the wanted result that the array has on each side.
    mask
        True where there is data, of the array's shape.
    """

    crs: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    resolution: tuple[NDArray[np.float64], NDArray[np.float64]]
    dims: tuple[str, ...]
    bands: tuple[str, ...]
    dates: NDArray[np.datetime64]
    nodata: float | int
    margin: int
    mask: NDArray[np.bool_] = field(repr=False)

    @classmethod
    def from_json(cls, document: Mapping[str, Any], img: NDArray[Any], mask: NDArray[np.bool_] | None) -> TileContext:
        """The context from the JSON of `context_json` and the array; without a mask, what is not NaN is data."""
        x, y = (
            origin + step * (np.arange(first, first + count, dtype=np.float64) + 0.5)
            for origin, step, first, count in (document["x"], document["y"])
        )
        width, height = (np.array(side, np.float64)[:, None] for side in document["resolution"])
        return cls(
            crs=document["crs"],
            x=x,
            y=y,
            resolution=(width, height),
            dims=tuple(document["dims"]),
            bands=tuple(document["bands"]),
            dates=np.array([d.removesuffix("Z") for d in document["dates"]], "datetime64[s]"),
            nodata=from_json(document["nodata"]),
            margin=document["margin"],
            mask=~np.isnan(img) if mask is None else mask,
        )


def context_json(
    crs: str,
    x: tuple[float, float, int, int],
    y: tuple[float, float, int, int],
    resolution: tuple[Sequence[float], Sequence[float]],
    dims: Sequence[str],
    bands: Sequence[str] = (),
    dates: Sequence[str] = (),
    nodata: float | int = math.nan,
    margin: int = 0,
) -> dict[str, Any]:
    """A `TileContext` as JSON, without its mask.

    Parameters
    ----------
    x, y
        Origin of the lattice, step, index of the first pixel, number of pixels: centres come from absolute indices, so
        that they have the same bits in every window.
    resolution
        Width and height of the pixels of each row [m].
    """
    return {
        "crs": crs,
        "x": list(x),
        "y": list(y),
        "resolution": [list(side) for side in resolution],
        "dims": list(dims),
        "bands": list(bands),
        "dates": list(dates),
        "nodata": to_json(nodata),
        "margin": margin,
    }
