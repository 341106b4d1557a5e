"""A value as one line of Python that gives it again: the constants that a user's function needs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.errors import InvalidArgument
from earthloom.base.tilecontext import MAX_ARRAY_VALUES, MAX_DEPTH, RESULT_TYPES


def literal(value: Any, name: str, depth: int = 0) -> str:
    """The text of a value; `numpy` may stand in it.

    Parameters
    ----------
    value
        None, bool, numbers, text, bytes; tuples, lists, sets, dictionaries of them; numpy's scalars and small arrays.
    name
        What messages call it.

    Raises
    ------
    InvalidArgument
        If the value is of another type, or too large.
    """
    if isinstance(value, np.generic | np.ndarray):
        return _numpy(value, name)
    if value is None or type(value) in (bool, int, str, bytes):
        return repr(value)
    if type(value) is float:
        return _number(value)
    if depth >= MAX_DEPTH:
        raise InvalidArgument(f"{name} nests more than {MAX_DEPTH} deep.", argument=name)

    def each(values: Any) -> list[str]:
        return [literal(v, f"{name}[{i}]", depth + 1) for i, v in enumerate(values)]

    if type(value) is list:
        return f"[{', '.join(each(value))}]"
    if type(value) is tuple:
        return f"({', '.join(each(value))}{',' if len(value) == 1 else ''})"
    if type(value) in (set, frozenset):
        # In the order of the texts, for a set has none that lasts.
        inner = f"{{{', '.join(sorted(each(value)))}}}" if value else "set()"
        return inner if type(value) is set else f"frozenset({inner if value else ''})"
    if type(value) is dict:
        pairs = (f"{literal(k, f'A key of {name}', depth + 1)}: {literal(v, f'{name}[{k!r}]', depth + 1)}"
                 for k, v in value.items())  # fmt: skip
        return f"{{{', '.join(pairs)}}}"
    raise InvalidArgument(
        f"{name} is of type {type(value).__name__}, which cannot travel with a function.",
        hint="Numbers, text, lists, dictionaries, small numpy arrays, functions of yours and installed modules can; "
        "make what else is needed inside the function.",
        argument=name,
    )


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'


def _numpy(value: np.generic | NDArray[Any], name: str) -> str:
    """A scalar or an array of numbers or bool, with its type."""
    kind = str(value.dtype)
    if kind not in RESULT_TYPES or type(value) not in (np.ndarray, value.dtype.type):
        what = "array" if isinstance(value, np.ndarray) else "value"
        raise InvalidArgument(
            f"{name} is a numpy {what} of type {value.dtype} ({type(value).__name__}).",
            hint="Arrays of numbers and of bool can travel with a function.",
            argument=name,
        )
    if value.size > MAX_ARRAY_VALUES:
        raise InvalidArgument(
            f"{name} is an array of {value.size} values; {MAX_ARRAY_VALUES} can travel with a function.",
            hint="Make a collection of it, or compute it inside the function.",
            argument=name,
        )

    def write(v: Any) -> str:
        if isinstance(v, list):
            return f"[{', '.join(map(write, v))}]"
        if not isinstance(v, float):
            return repr(v)
        if not math.isfinite(v):
            return f"{'-' if v < 0 else ''}numpy.{'nan' if math.isnan(v) else 'inf'}"
        short = str(value.dtype.type(v))  # 0.1 of float32 is 0.10000000149011612
        return short if value.dtype.type(float(short)) == v else repr(v)

    inner = write(value.tolist())
    if isinstance(value, np.generic):
        return f"numpy.{'bool' if kind == 'bool' else kind}({inner})"
    empty = f".reshape({value.shape})" if value.size == 0 else ""
    return f'numpy.array({inner}, "{kind}"){empty}'
