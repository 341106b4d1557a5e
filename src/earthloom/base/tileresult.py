"""What a user's own function may return, and how that becomes values of a cube. Stands alone, as `tilecontext` does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.tilecontext import FunctionProblem


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
