"""`tile_function`: what a user's function needs around a tile and what it gives, declared on the function itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

import numpy as np

from earthloom.base.errors import InvalidArgument, nearest
from earthloom.base.tilecontext import RESULT_TYPES
from earthloom.base.tilefunction import MAX_MARGIN_PX

_ATTRIBUTE = "__tile_function__"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is declared of a function; parameters as for `tile_function`."""

    margin: int = 0
    dtype: str = ""
    bands: int = 0
    nodata: Literal["keep", "nan"] = "keep"
    mask: Literal["input", "own"] = "input"

    def context(self) -> dict[str, Any]:
        """The members of `run_udf`'s context that say it; those equal to the defaults are left out."""
        return {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) != getattr(_NOTHING, name)}


_NOTHING = Declaration()


@overload
def tile_function(function: F, /) -> F: ...


@overload
def tile_function(
    *, margin: int = ..., dtype: Any = ..., bands: int | None = ..., nodata: str = ..., mask: str = ...
) -> Callable[[F], F]: ...


def tile_function(
    function: Any = None,
    /,
    *,
    margin: int = 0,
    dtype: Any = None,
    bands: int | None = None,
    nodata: str = "keep",
    mask: str = "input",
) -> Any:
    """Declare what a function for `execute` needs and gives. The function itself stays as it is.

    Parameters
    ----------
    margin
        Pixels around the tile that the function looks at, 0 to 128. It gets an array that is larger by them on each
        side; they are cut off its result.
    dtype
        Type of the result, such as "uint8": values outside its range are an error, floats are rounded to integers.
        Without it the result keeps its own type.
    bands
        Number of bands of the result; 1 is an array (y, x). Without it the first result tells.
    nodata
        "keep": arrays of integers hold the no-data value where there is no data, floats NaN. "nan": always floats
        with NaN.
    mask
        "input": where the input has no data, neither has the result. "own": the function decides by NaN, or by the
        no-data value that it returns.

    Raises
    ------
    InvalidArgument
        If a value is none of these.
    """
    if isinstance(margin, bool) or not isinstance(margin, int | np.integer) or not 0 <= margin <= MAX_MARGIN_PX:
        raise InvalidArgument(f"A margin of {margin!r} is not 0 to {MAX_MARGIN_PX} pixels.", argument="margin")
    if bands is not None and (isinstance(bands, bool) or not isinstance(bands, int | np.integer) or bands < 1):
        raise InvalidArgument(f"{bands!r} is no number of bands.", hint="1 is an array (y, x).", argument="bands")
    for name, value, known in (("nodata", nodata, ("keep", "nan")), ("mask", mask, ("input", "own"))):
        if value not in known:
            raise InvalidArgument(f"{name} is {value!r}.", hint=f"Write {' or '.join(known)}.", argument=name)
    declared = Declaration(int(margin), _type_name(dtype), int(bands or 0), nodata, mask)  # type: ignore[arg-type]

    def declare(function: F) -> F:
        if not callable(function):
            raise InvalidArgument(f"tile_function stands over a function, not over {type(function).__name__}.")
        setattr(function, _ATTRIBUTE, declared)
        return function

    return declare if function is None else declare(function)


def declaration(function: Any) -> Declaration:
    """What `tile_function` declared of a function."""
    inner = getattr(function, "py_func", getattr(function, "__wrapped__", None))
    found = getattr(function, _ATTRIBUTE, getattr(inner, _ATTRIBUTE, _NOTHING))
    assert isinstance(found, Declaration)
    return found


def _type_name(dtype: Any) -> str:
    if dtype is None:
        return ""
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = str(dtype)
    if name not in RESULT_TYPES:
        raise InvalidArgument(f'A result cannot have the type "{name}".', near=nearest(name, RESULT_TYPES),
                              hint=f"Types are {', '.join(RESULT_TYPES)}.", argument="dtype")  # fmt: skip
    return name
