"""openEO's arithmetic of single values. No data (NaN) in gives no data out."""

from __future__ import annotations

import numpy as np

from earthloom.processes.define import process
from earthloom.processes.schema import Number


@process(kind="binary", standard=True, examples=[({"x": 5, "y": 2.5}, 7.5)])
def add(x: Number, y: Number) -> Number:
    """Sum of two values.

    Parameters
    ----------
    x, y
        The values.
    """
    return x + y


@process(kind="binary", standard=True, examples=[({"x": 5, "y": 2.5}, 2.5)])
def subtract(x: Number, y: Number) -> Number:
    """Difference of two values, x - y.

    Parameters
    ----------
    x, y
        The values.
    """
    return x - y


@process(kind="binary", standard=True, examples=[({"x": 5, "y": 2.5}, 12.5)])
def multiply(x: Number, y: Number) -> Number:
    """Product of two values.

    Parameters
    ----------
    x, y
        The values.
    """
    return x * y


@process(kind="binary", standard=True, examples=[({"x": 5, "y": 2.5}, 2.0)])
def divide(x: Number, y: Number) -> Number:
    """Quotient of two values, x / y; by zero it is infinite, 0 / 0 is no data.

    Parameters
    ----------
    x, y
        The values.
    """
    return np.divide(x, y)


@process(kind="binary", standard=True, examples=[({"base": 2, "p": 3}, 8.0)])
def power(base: Number, p: Number) -> Number:
    """`base` raised to the power `p`.

    Parameters
    ----------
    base
        The base.
    p
        The exponent.
    """
    return np.power(np.multiply(base, 1.0), p)  # times 1.0: an integer has no negative power


@process(kind="binary", standard=True, examples=[({"x": 3000.0, "y": 1000.0}, 0.5)])
def normalized_difference(x: Number, y: Number) -> Number:
    """(x - y) / (x + y).

    Parameters
    ----------
    x, y
        The values.
    """
    return np.divide(x - y, x + y)


@process(kind="element", standard=True, examples=[({"x": -3.5}, 3.5)])
def absolute(x: Number) -> Number:
    """Absolute value.

    Parameters
    ----------
    x
        The value.
    """
    return np.abs(x)


@process(kind="element", standard=True, examples=[({"x": 9}, 3.0)])
def sqrt(x: Number) -> Number:
    """Square root; no data for negative values.

    Parameters
    ----------
    x
        The value.
    """
    return np.sqrt(x)


@process(kind="element", standard=True, examples=[({"x": 1}, 0.0)])
def ln(x: Number) -> Number:
    """Natural logarithm.

    Parameters
    ----------
    x
        The value.
    """
    return np.log(x)


@process(kind="element", standard=True, examples=[({"p": 0}, 1.0)])
def exp(p: Number) -> Number:
    """e raised to the power `p`.

    Parameters
    ----------
    p
        The exponent.
    """
    return np.exp(p)


@process(kind="element", standard=True, examples=[({"x": 1.7, "min": 0, "max": 1}, 1.0)])
def clip(x: Number, min: float, max: float) -> Number:
    """Limit values to a range.

    Parameters
    ----------
    x
        The value.
    min, max
        Smallest and largest value of the result.
    """
    return np.clip(x, min, max)


@process(
    kind="element",
    standard=True,
    examples=[({"x": 0.3, "inputMin": -1, "inputMax": 1, "outputMin": 0, "outputMax": 255}, 165.75)],
)
def linear_scale_range(
    x: Number, inputMin: float, inputMax: float, outputMin: float = 0, outputMax: float = 1
) -> Number:
    """Stretch values from one range to another; values outside the first are limited to it.

    Parameters
    ----------
    x
        The value.
    inputMin, inputMax
        Range of the values.
    outputMin, outputMax
        Range of the result.
    """
    x = np.clip(x, inputMin, inputMax)
    return (x - inputMin) / (inputMax - inputMin) * (outputMax - outputMin) + outputMin
