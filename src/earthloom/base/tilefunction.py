"""How a user's own function is called for a tile: its conventions, its arguments, what it is told, what it may return.

One definition for the notebook that tries a function, the server that asks for it and the process that runs it. It
stands alone (standard library and numpy, no module of ours), for it is loaded inside the sandbox too.
"""

from __future__ import annotations

import dis
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Convention = Literal["array", "globals", "datacube", "timeseries", "udf_data"]

OPENEO: Mapping[str, Convention] = {
    "apply_datacube": "datacube",
    "apply_timeseries": "timeseries",
    "apply_udf_data": "udf_data",
}
# Types that a result may have, by the name that travels.
RESULT_TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
GRAPH_KEYS = ("from_node", "from_parameter", "process_graph")  # mean something else in a process graph
MAX_ARRAY_VALUES = 4096  # of an array as an argument
MAX_INTEGER = 2**53  # JSON's numbers are exact up to here
MAX_DEPTH = 20
MAX_MARGIN_PX = 128


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


def namespace() -> dict[str, Any]:
    """Globals in which a source is executed: numpy is there under both of its names."""
    return {"__name__": "__function__", "numpy": np, "np": np}


def convention_of(function: Callable[..., Any]) -> Convention:
    """How a function wants to be called.

    Returns
    -------
    "array": `f(img, ...)` returns the result, or None if it changed `img`. "globals": `global img`, with `band0`,
    `band1` ... as input and `img` as result. The others are openEO's, by the names in `OPENEO`.

    Raises
    ------
    FunctionProblem
        If it takes no array.
    """
    plain = inspect.unwrap(getattr(function, "py_func", function))
    name = getattr(plain, "__name__", "")
    if name in OPENEO:
        return OPENEO[name]
    code = getattr(plain, "__code__", None)
    if code is not None and any(i.opname == "STORE_GLOBAL" and i.argval == "img" for i in dis.get_instructions(code)):
        return "globals"
    parameters = list(inspect.signature(plain).parameters.values())
    if parameters and parameters[0].kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    ):
        return "array"
    raise FunctionProblem(
        f"{name or 'The function'} takes no array.", "Write def f(img, ...): the array comes first, arguments follow."
    )


class TileFunction:
    """A user's function and how it is called.

    Parameters
    ----------
    function
        The function itself, or a function compiled by numba.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.plain = inspect.unwrap(getattr(function, "py_func", function))
        self.name = getattr(self.plain, "__name__", "function")
        self.convention = convention_of(function)
        self.signature = inspect.signature(self.plain)
        self.annotations = dict(getattr(self.plain, "__annotations__", {}))
        parameters = list(self.signature.parameters.values())
        self.array_name = parameters[0].name if parameters and self.convention == "array" else ""
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        # A ufunc that numba made knows its parameters by their places only.
        self._by_name = all(p.kind in named for p in parameters) and not hasattr(function, "nin")
        self.wants_context = self.convention in ("array", "globals") and "context" in self.signature.parameters

    @classmethod
    def find(cls, source: Mapping[str, Any], name: str) -> TileFunction:
        """The function of this name in an executed source; without a name, the openEO function in it.

        Raises
        ------
        FunctionProblem
            If there is none, or it takes no array.
        """
        if not name:
            found = [n for n in OPENEO if callable(source.get(n))]
            if not found:
                raise FunctionProblem("The source defines no openEO function.", f"It needs one of {', '.join(OPENEO)}.")
            name = found[0]
        if name not in source:
            raise FunctionProblem(f'The source defines no function "{name}".')
        if not callable(source[name]):
            raise FunctionProblem(f'"{name}" is {type(source[name]).__name__}, and cannot be called.')
        return cls(source[name])

    def call(
        self,
        img: NDArray[Any],
        arguments: Mapping[str, Any],
        context: TileContext | None = None,
        openeo_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """What the function makes of an array; `checked` looks at it.

        Parameters
        ----------
        img
            (..., y, x); the function may change it.
        arguments
            Values by the names of the parameters; a name with a star holds the list or dictionary of its values.
        context
            Given if `wants_context`, or if the convention is openEO's, which needs the labels.
        openeo_context
            The argument `context` of an openEO function.
        """
        if self.convention not in ("array", "globals"):
            from earthloom.base import openeo_udf

            assert context is not None
            return openeo_udf.call(self, img, context, dict(openeo_context or {}))
        given = dict(arguments)
        if self.wants_context:
            given["context"] = context
        if self.convention == "globals":
            names = self.function.__globals__
            names["img"] = img
            for i in range(img.shape[-3] if img.ndim > 2 else 1):
                names[f"band{i}"] = img[..., i, :, :] if img.ndim > 2 else img
            self._bound(given)
            return names["img"]
        result = self._bound({self.array_name: img} | given)
        return img if result is None else result

    def _bound(self, given: dict[str, Any]) -> Any:
        if self._by_name:
            return self.function(**given)
        parameters = self.signature.parameters
        if self.array_name and parameters[self.array_name].kind is inspect.Parameter.VAR_POSITIONAL:
            given[self.array_name] = (given[self.array_name], *given.get("*" + self.array_name, ()))
        bound = inspect.BoundArguments(self.signature, {})
        bound.arguments = {name: given[name] for name in parameters if name in given}
        return self.function(*bound.args, **bound.kwargs)


def checked(result: Any, img: NDArray[Any], margin: int) -> NDArray[Any]:
    """A function's result as a plain array of the wanted window, or what is wrong with it.

    Parameters
    ----------
    result
        (y, x), (bands, y, x), or (t, bands, y, x) of the array's own t; as large as the array, or without its margin.
    img
        The array that went in, (..., y, x).
    margin
        Pixels of `img` around the wanted window on each side.

    Returns
    -------
    (..., y, x) without the margin, one of `RESULT_TYPES` in native byte order.

    Raises
    ------
    FunctionProblem
        If type, dtype or shape are not accepted; names what was given and what is wanted.
    """
    if type(result) is not np.ndarray:
        kind = type(result).__name__
        hints = {"MaskedArray": "Return img.filled(...).", "DataArray": "Return .values.", "list": "Use numpy.array."}
        raise FunctionProblem(
            f"The function returned {kind}, not a numpy array.",
            hints.get(kind, "Return an array of pixels."),
        )
    if result.dtype.kind not in "biuf" or result.dtype.itemsize > 8:  # not RESULT_TYPES; its name takes 2 us
        raise FunctionProblem(
            f"The function returned an array of {result.dtype}.",
            "Integers, floats up to 64 bits and bool are accepted.",
        )
    rows, columns = img.shape[-2:]
    whole, inner = (rows, columns), (rows - 2 * margin, columns - 2 * margin)
    if result.ndim < 2 or result.shape[-2:] not in (whole, inner) or 0 in result.shape:
        raise FunctionProblem(
            f"The function returned the shape {result.shape} for an array of shape {img.shape}.",
            f"The last two axes must be {inner}" + (f" or, with the margin, {whole}." if margin else "."),
        )
    if result.ndim > 3 and (result.ndim != 4 or img.ndim != 4 or result.shape[0] != img.shape[0]):
        raise FunctionProblem(
            f"The function returned {result.ndim} dimensions, of shape {result.shape}.",
            "Return (y, x) or (bands, y, x); of a stack also (t, bands, y, x) with the same t.",
        )
    if margin and result.shape[-2:] == whole:
        result = result[..., margin : rows - margin, margin : columns - margin]
    native: NDArray[Any] = result if result.dtype.isnative else result.astype(result.dtype.newbyteorder("="))
    return native


def result_dims(dims: Sequence[str], shape: Sequence[int], result: Sequence[int]) -> tuple[str, ...]:
    """Names of a result's axes, from the names and sizes of those of the array that went in.

    Three axes are (bands, y, x), except that a series of one band, (t, y, x), stays one if its length is kept.
    """
    if len(result) == 2:
        return "y", "x"
    if len(result) == 4:
        return "t", "bands", "y", "x"
    if tuple(dims) == ("t", "y", "x") and result[0] == shape[0]:
        return "t", "y", "x"
    return "bands", "y", "x"


def finish(
    result: NDArray[Any],
    dims: Sequence[str],
    valid: NDArray[np.bool_],
    valid_dims: Sequence[str],
    *,
    dtype: str = "",
    own_mask: bool = False,
    nodata: float | int = math.nan,
) -> tuple[NDArray[Any], list[str]]:
    """A checked result as the values of a cube: no data is NaN, infinite is no data.

    Parameters
    ----------
    result, dims
        What `checked` gives, and the names of its axes.
    valid, valid_dims
        The mask of the array that went in, without its margin, True where there is data, and the names of its axes.
        A pixel of the result has data if all bands had; where the result has no t, if they had at any date.
    dtype
        The type that the result was declared to have: its range is checked, and floats are rounded to integers.
    own_mask
        The function decides alone what has no data: by NaN, or by `nodata`.

    Returns
    -------
    float32, or float64 for integers of over 16 bits and float64, of the result's shape; and warnings for the log.

    Raises
    ------
    FunctionProblem
        If a value lies outside the range of the declared type; names it.
    """
    warnings = []
    declared = np.dtype(dtype) if dtype else result.dtype
    values = result.astype(np.result_type(result.dtype, np.float32))
    if own_mask:
        values[values == nodata] = np.nan
    else:
        kept = np.asarray(valid.all(axis=-3)) if "bands" in valid_dims else valid
        if "t" in valid_dims and "t" not in dims:
            kept = np.asarray(kept.any(axis=0))
        elif "t" in dims and "bands" in dims:
            kept = kept[:, None]
        np.copyto(values, np.nan, where=~kept)
    infinite = np.count_nonzero(np.isinf(values))
    if infinite:
        warnings.append(f"Infinite values count as no data; there are {infinite}.")
        values[np.isinf(values)] = np.nan
    if dtype:
        limits = np.iinfo(declared) if declared.kind in "iu" else None if declared.kind == "b" else np.finfo(declared)
        low, high = (0, 1) if limits is None else (limits.min, limits.max)
        outside = values[(values < low) | (values > high)]
        if outside.size:
            raise FunctionProblem(
                f"The result holds {outside.flat[0]:g}, which the declared {dtype} does not.",
                "Declare another dtype, or clip the result.",
            )
        values = np.rint(values) if declared.kind in "iub" else values.astype(declared)
    return values.astype(np.result_type(declared, np.float32), copy=False), warnings


def cube_values(
    result: Any,
    img: NDArray[Any],
    mask: NDArray[np.bool_],
    dims: Sequence[str],
    *,
    margin: int = 0,
    bands: int | None = None,
    dtype: str = "",
    as_type: str = "",
    own_mask: bool = False,
    nodata: float | int = math.nan,
) -> tuple[NDArray[Any], tuple[str, ...], list[str]]:
    """What a function returned, as the values of a cube: checked, without the margin, no data as NaN.

    Parameters
    ----------
    result
        What the function returned.
    img, mask, dims
        What it was given, with the margin, and the names of the axes.
    margin, bands, dtype
        What is declared of the function; None and "" are not declared.
    as_type
        float32 or float64: type of the values where none is declared; "" takes what fits the result.
    own_mask, nodata
        As in `finish`.

    Returns
    -------
    Values, the names of their axes, and warnings for the log.

    Raises
    ------
    FunctionProblem
        As `checked` and `finish`; and if the number of bands is not the declared one.
    """
    plain = checked(result, img, margin)
    named = result_dims(dims, img.shape, plain.shape)
    if bands is not None:
        if bands == 1 and "bands" in named and plain.shape[-3] == 1:
            plain, named = plain[..., 0, :, :], tuple(d for d in named if d != "bands")
        count = plain.shape[-3] if "bands" in named else 1
        if count != bands:
            raise FunctionProblem(f"The function is declared to give {bands} bands and returned {plain.shape}.")
    fits = np.result_type(plain.dtype, np.float32).name
    wanted = dtype or (as_type if as_type != fits else "")
    rows, columns = mask.shape[-2:]
    inside = mask[..., margin : rows - margin, margin : columns - margin]
    values, warnings = finish(plain, named, inside, dims, dtype=wanted, own_mask=own_mask, nodata=nodata)
    return values, named, warnings
