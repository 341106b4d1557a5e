"""openEO's array processes and statistics: along one axis, by loops over its planes.

The loops matter: numpy's own sums group terms by the memory layout, so that a window of one pixel would get other
bits than a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.processes.compare import truth
from earthloom.processes.context import Array, Context
from earthloom.processes.define import process
from earthloom.processes.schema import Boolean, Number, Numbers, Value, Values


@process(kind="reducer", standard=True)
def array_element(
    data: Values, index: int | None = None, label: Value = None, return_nodata: bool = False, *, ctx: Context
) -> Value:
    """One element of an array, by number or by label.

    Parameters
    ----------
    data
        The array.
    index
        Its number, from 0.
    label
        Its label: a band name or a date-time.
    return_nodata
        Whether an element that is not there is no data instead of an error.
    """
    if (index is None) == (label is None):
        raise InvalidArgument("array_element takes either index or label.", argument="index")
    size = data.shape[ctx.axis]
    if label is not None and str(label) in ctx.labels:
        index = ctx.labels.index(str(label))
    if index is not None and 0 <= index < size:
        return np.take(data, index, axis=ctx.axis)
    if return_nodata:
        return np.full_like(np.take(data, 0, axis=ctx.axis), np.nan)
    if label is not None:
        raise NotFound.name("label", str(label), ctx.labels, argument="label")
    raise InvalidArgument(f"There is no element {index} among {size}.", argument="index")


@process(kind="reducer", standard=True)
def array_contains(data: Values, value: Value, *, ctx: Context) -> Boolean:
    """Whether a value is among those of an array. A missing value is in no array; on a raster it stays no data.

    Parameters
    ----------
    data
        The array, or a plain list of values.
    value
        The value to look for.
    """
    if isinstance(data, list | tuple):
        return truth(np.isin(value, data), value)
    found = (data == np.expand_dims(value, ctx.axis)) if np.ndim(value) else (data == value)
    return found.any(axis=ctx.axis).astype(np.float32)


@process(kind="reducer", standard=True)
def mean(data: Numbers, ignore_nodata: bool = True, *, ctx: Context) -> Number:
    """Arithmetic mean; no data where nothing is valid.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over; else one makes the result no data.
    """
    total, count = _sum(data, ctx.axis, ignore_nodata)
    return (total / count).astype(data.dtype)


@process(kind="reducer", standard=True)
def median(data: Numbers, ignore_nodata: bool = True, *, ctx: Context) -> Number:
    """Median; of an even number of values the mean of the two in the middle.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over; else one makes the result no data.
    """
    ordered = np.sort(np.moveaxis(data, ctx.axis, 0), axis=0)  # NaN goes to the end
    count = np.count_nonzero(~np.isnan(ordered), axis=0)[None]
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(ordered) - 1), axis=0)[0]
    middle = ((low.astype(np.float64) + high) / 2).astype(data.dtype)
    complete = count[0] == len(ordered)
    return middle if ignore_nodata else np.where(complete, middle, data.dtype.type(np.nan))


@process(kind="reducer", standard=True)
def min(data: Numbers, ignore_nodata: bool = True, *, ctx: Context) -> Number:
    """Smallest value.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over; else one makes the result no data.
    """
    return (np.fmin if ignore_nodata else np.minimum).reduce(data, axis=ctx.axis)


@process(kind="reducer", standard=True)
def max(data: Numbers, ignore_nodata: bool = True, *, ctx: Context) -> Number:
    """Largest value.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over; else one makes the result no data.
    """
    return (np.fmax if ignore_nodata else np.maximum).reduce(data, axis=ctx.axis)


@process(kind="reducer", standard=True, id="sum")
def sum_(data: Numbers, ignore_nodata: bool = True, *, ctx: Context) -> Number:
    """Sum; no data where nothing is valid.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over; else one makes the result no data.
    """
    total, count = _sum(data, ctx.axis, ignore_nodata)
    return np.where(count > 0, total, np.nan).astype(data.dtype)


@process(kind="reducer", standard=True)
def variance(data: Numbers, ignore_nodata: bool = True, *, ctx: Context) -> Number:
    """Sample variance (divided by n - 1); no data for fewer than two values.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over; else one makes the result no data.
    """
    total, count = _sum(data, ctx.axis, ignore_nodata)
    centre = np.expand_dims(total / count, ctx.axis)
    squares, _ = _sum((data - centre) ** 2, ctx.axis, ignore_nodata)
    return np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan).astype(data.dtype)


@process(kind="reducer", standard=True)
def sd(data: Numbers, ignore_nodata: bool = True, *, ctx: Context) -> Number:
    """Sample standard deviation, the root of `variance`.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over; else one makes the result no data.
    """
    return np.sqrt(variance(data, ignore_nodata, ctx=ctx))


@process(kind="reducer", standard=True)
def count(data: Values, condition: bool | None = None, context: Value = None, *, ctx: Context) -> Number:
    """Number of values.

    Parameters
    ----------
    data
        The values.
    condition
        null counts the valid ones, true all of them.
    context
        Not used.
    """
    counted = np.ones_like(data, bool) if condition else np.isfinite(data)
    return np.count_nonzero(counted, axis=ctx.axis).astype(np.float32)


@process(kind="reducer", standard=True)
def first(data: Values, ignore_nodata: bool = True, *, ctx: Context) -> Value:
    """The first value along the axis, in time the oldest.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over.
    """
    return _first(np.moveaxis(data, ctx.axis, 0), ignore_nodata)


@process(kind="reducer", standard=True)
def last(data: Values, ignore_nodata: bool = True, *, ctx: Context) -> Value:
    """The last value along the axis, in time the newest.

    Parameters
    ----------
    data
        The values.
    ignore_nodata
        Whether missing values are passed over.
    """
    return _first(np.moveaxis(data, ctx.axis, 0)[::-1], ignore_nodata)


def _first(planes: Array, ignore_nodata: bool) -> Array:
    result = planes[0]
    for plane in planes[1:] if ignore_nodata else ():
        result = np.where(np.isnan(result), plane, result)
    return result


def _sum(data: Array, axis: int, ignore_nodata: bool) -> tuple[Array, Any]:
    """Sum in float64, plane by plane, and number of valid values."""
    planes = np.moveaxis(data, axis, 0)
    total = np.zeros(planes.shape[1:], np.float64)
    count = np.zeros(planes.shape[1:], np.int64)
    for plane in planes:
        valid = ~np.isnan(plane)
        total += np.where(valid, plane, 0.0) if ignore_nodata else plane
        count += valid
    return total, count
