"""How a user's own function is called for a tile: by which of the conventions, and with which arguments.

One definition for the notebook that tries a function, the server that asks for it and the process that runs it. Stands
alone, as `tilecontext` does.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earthloom.base.tilecontext import FunctionProblem, TileContext

Convention = Literal["array", "globals", "datacube", "timeseries", "udf_data"]
OPENEO: Mapping[str, Convention] = {
    "apply_datacube": "datacube",
    "apply_timeseries": "timeseries",
    "apply_udf_data": "udf_data",
}
MAX_MARGIN_PX = 128


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
