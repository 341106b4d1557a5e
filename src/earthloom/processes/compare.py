"""openEO's comparisons. On rasters they give float32 1 (true), 0 (false), or no data where a side has no data."""

from __future__ import annotations

from typing import Any

import numpy as np

from earthloom.processes.context import Array
from earthloom.processes.define import process
from earthloom.processes.schema import Boolean, Number, Value


def truth(answer: Any, *sides: Any) -> Array:
    """A yes-or-no array as float32 1, 0, with NaN where any of `sides` is NaN."""
    result = np.asarray(answer).astype(np.float32)
    for side in sides:
        result = np.where(np.isnan(side), np.float32(np.nan), result)
    return result


@process(kind="binary", standard=True, examples=[({"x": 1, "y": 2}, 1)])
def lt(x: Value, y: Value) -> Boolean:
    """Whether x is less than y.

    Parameters
    ----------
    x, y
        The values.
    """
    return truth(np.less(x, y), x, y)


@process(kind="binary", standard=True, examples=[({"x": 2, "y": 2}, 1)])
def lte(x: Value, y: Value) -> Boolean:
    """Whether x is less than or equal to y.

    Parameters
    ----------
    x, y
        The values.
    """
    return truth(np.less_equal(x, y), x, y)


@process(kind="binary", standard=True, examples=[({"x": 1, "y": 2}, 0)])
def gt(x: Value, y: Value) -> Boolean:
    """Whether x is greater than y.

    Parameters
    ----------
    x, y
        The values.
    """
    return truth(np.greater(x, y), x, y)


@process(kind="binary", standard=True, examples=[({"x": 2, "y": 2}, 1)])
def gte(x: Value, y: Value) -> Boolean:
    """Whether x is greater than or equal to y.

    Parameters
    ----------
    x, y
        The values.
    """
    return truth(np.greater_equal(x, y), x, y)


@process(kind="binary", standard=True, examples=[({"x": 1, "y": 1.05, "delta": 0.1}, 1)])
def eq(x: Value, y: Value, delta: float | None = None, case_sensitive: bool = True) -> Boolean:
    """Whether two values are equal.

    Parameters
    ----------
    x, y
        The values.
    delta
        The largest difference that still counts as equal; null asks for equal values.
    case_sensitive
        Only for texts, which rasters do not hold.
    """
    return truth(np.equal(x, y) if delta is None else np.abs(np.subtract(x, y)) <= delta, x, y)


@process(kind="binary", standard=True, examples=[({"x": 1, "y": 2}, 1)])
def neq(x: Value, y: Value, delta: float | None = None, case_sensitive: bool = True) -> Boolean:
    """Whether two values differ.

    Parameters
    ----------
    x, y
        The values.
    delta
        The largest difference that still counts as equal; null asks for equal values.
    case_sensitive
        Only for texts, which rasters do not hold.
    """
    return truth(np.not_equal(x, y) if delta is None else np.abs(np.subtract(x, y)) > delta, x, y)


@process(kind="element", standard=True, examples=[({"x": 5, "min": 1, "max": 5, "exclude_max": True}, 0)])
def between(x: Number, min: float, max: float, exclude_max: bool = False) -> Boolean:
    """Whether a value lies in a range.

    Parameters
    ----------
    x
        The value.
    min, max
        Ends of the range, both inside.
    exclude_max
        Whether `max` itself is outside.
    """
    below = np.less(x, max) if exclude_max else np.less_equal(x, max)
    return truth(np.greater_equal(x, min) & below, x)


@process(kind="element", standard=True)
def is_nodata(x: Value) -> Boolean:
    """Whether a value is missing.

    Parameters
    ----------
    x
        The value.
    """
    return np.isnan(x).astype(np.float32)


@process(kind="element", standard=True)
def is_valid(x: Value) -> Boolean:
    """Whether a value is there: neither missing nor infinite.

    Parameters
    ----------
    x
        The value.
    """
    return np.isfinite(x).astype(np.float32)
