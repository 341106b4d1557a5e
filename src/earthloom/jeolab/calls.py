"""Wrong calls, told in the words of the original: what was given, and what a function accepts."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from earthloom.base.errors import InvalidArgument

P = ParamSpec("P")
R = TypeVar("R")


def told(function: Callable[P, R]) -> Callable[P, R]:
    """A function or method whose wrong calls are answered with the arguments that it takes."""
    signature = inspect.signature(function)
    name = function.__name__
    shown = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    takes = f"{name}({', '.join(map(str, shown))})"

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArgument(f"{name}: {error}.", hint=f"Write {takes}.") from None
        return function(*args, **kwargs)

    return call


def number(value: Any, call: str, argument: str, accepts: str = "a number") -> float:
    """A finite number, as it was written; InvalidArgument names the call, the argument and what it accepts."""
    item = getattr(value, "item", None)
    plain = item() if callable(item) else value
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not math.isfinite(plain):
        raise InvalidArgument(f"{call}: {argument} is {accepts}, not {value!r}.", argument=argument)
    return plain


def whole(value: Any, call: str, argument: str) -> int:
    """A whole number; InvalidArgument names the call and the argument."""
    plain = number(value, call, argument, "a whole number")
    if plain != int(plain):
        raise InvalidArgument(f"{call}: {argument} is a whole number, not {value!r}.", argument=argument)
    return int(plain)
