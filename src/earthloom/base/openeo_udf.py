"""openEO's own signatures of user-defined functions, over the arrays of a tile.

`apply_datacube(cube, context)` gets an `xarray.DataArray`, or an `XarrayDataCube` if its annotation says so;
`apply_timeseries(series, context)` a `pandas.Series` for each pixel and band; `apply_udf_data(data)` a `UdfData`. The
two classes stand in for those of the package `openeo`, with the members that functions for openEO back-ends use, so
that `from openeo.udf import XarrayDataCube` works where that package is not installed (`install`).

Stands alone as `tilefunction` does; xarray and pandas are imported at the first call.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.tilecontext import FunctionProblem, TileContext

if TYPE_CHECKING:
    import xarray

    from earthloom.base.tilefunction import TileFunction


class XarrayDataCube:
    """A data cube as openEO's functions know it: an `xarray.DataArray` and a name."""

    def __init__(self, array: xarray.DataArray) -> None:
        self._array = array

    @property
    def array(self) -> xarray.DataArray:
        """The array, with the dimensions t, bands, y, x that the cube has."""
        return self._array

    @property
    def id(self) -> Any:
        """Name of the array."""
        return self._array.name

    def get_array(self) -> xarray.DataArray:
        """The array."""
        return self._array


class UdfData:
    """What `apply_udf_data` gets and gives: a list of data cubes, and the user's own context."""

    def __init__(
        self,
        proj: Any = None,
        datacube_list: list[XarrayDataCube] | None = None,
        feature_collection_list: Any = None,
        structured_data_list: Any = None,
        user_context: Mapping[str, Any] | None = None,
    ) -> None:
        self.proj = proj
        self.datacube_list = list(datacube_list or [])
        self.user_context = dict(user_context or {})

    def get_datacube_list(self) -> list[XarrayDataCube]:
        """The data cubes."""
        return self.datacube_list

    def set_datacube_list(self, datacube_list: list[XarrayDataCube]) -> None:
        """Put other data cubes in their place."""
        self.datacube_list = list(datacube_list)


def inspect(data: Any = None, message: str = "", code: str = "User", level: str = "info") -> None:
    """Print a message and data, which go to the function's log."""
    print(f"{message} {'' if data is None else data}".strip())


def install() -> None:
    """Make `openeo.udf` importable with the classes above, where the package itself is not there."""
    package, module = types.ModuleType("openeo"), types.ModuleType("openeo.udf")
    for part in (XarrayDataCube, UdfData, inspect):
        setattr(module, part.__name__, part)
    package.udf = module  # type: ignore[attr-defined]
    package.__path__ = []
    sys.modules.update({"openeo": package, "openeo.udf": module})


def call(function: TileFunction, img: NDArray[Any], context: TileContext, own: dict[str, Any]) -> Any:
    """The array that an openEO function makes of another one.

    Parameters
    ----------
    function
        A function of one of openEO's conventions.
    img, context
        As in `TileFunction.call`.
    own
        The `context` of the process `run_udf`.
    """
    import xarray

    coords: dict[str, Any] = {"y": context.y, "x": context.x}
    if "t" in context.dims:
        coords["t"] = context.dates.astype("datetime64[ns]")
    if "bands" in context.dims:
        coords["bands"] = list(context.bands)
    array = xarray.DataArray(img, coords=coords, dims=context.dims)
    if function.convention == "timeseries":
        return _series(function, img, context, own)
    if function.convention == "udf_data":
        data = UdfData(datacube_list=[XarrayDataCube(array)], user_context=own)
        given = function.function(data)
        cubes = (data if given is None else given).get_datacube_list()
        if len(cubes) != 1:
            raise FunctionProblem(f"apply_udf_data returned {len(cubes)} data cubes.", "Return one.")
        result = cubes[0]
    else:
        wanted = str(function.annotations.get(next(iter(function.signature.parameters), ""), ""))
        cube = XarrayDataCube(array) if "XarrayDataCube" in wanted else array
        takes_context = "context" in function.signature.parameters
        result = function.function(cube, context=own) if takes_context else function.function(cube)
    values = getattr(result, "get_array", lambda: result)()
    if not isinstance(values, xarray.DataArray):
        raise FunctionProblem(f"{function.name} returned {type(values).__name__}, not a DataArray or XarrayDataCube.")
    order = [d for d in ("t", "bands", "y", "x") if d in values.dims]
    if set(order) != set(values.dims):
        raise FunctionProblem(
            f"{function.name} returned the dimensions {', '.join(map(str, values.dims))}.",
            "The cube has the dimensions t, bands, y, x, or fewer.",
        )
    if order == ["t", "y", "x"] and "bands" in context.dims:  # three axes would be taken for (bands, y, x)
        values, order = values.expand_dims("bands"), ["t", "bands", "y", "x"]
    return np.ascontiguousarray(values.transpose(*order).values)


def _series(function: TileFunction, img: NDArray[Any], context: TileContext, own: dict[str, Any]) -> NDArray[Any]:
    """`apply_timeseries` for each pixel and band; it gives a series as long as the one that it got."""
    import pandas

    if "t" not in context.dims:
        raise FunctionProblem("apply_timeseries needs the dimension t.", "Use cube(), or leave t unreduced.")
    index = pandas.DatetimeIndex(context.dates.astype("datetime64[ns]"))
    flat = img.reshape(len(index), -1)
    result = np.full(flat.shape, np.nan, np.result_type(flat.dtype, np.float32))
    for i in range(flat.shape[1]):
        series = function.function(pandas.Series(flat[:, i], index=index), own)
        values = np.asarray(series)
        if values.shape != (len(index),):
            raise FunctionProblem(
                f"apply_timeseries returned {values.size} values for {len(index)} dates.", "Keep the dates."
            )
        result[:, i] = values
    return result.reshape(img.shape)
