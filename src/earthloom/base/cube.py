"""Values with names: a numpy array whose axes are among (t, bands, y, x), their labels, and the grid it lies on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.grid import Grid

if TYPE_CHECKING:
    import xarray

DIMS = ("t", "bands", "y", "x")


@dataclass(frozen=True, slots=True)
class Cube:
    """A raster data cube.

    Parameters
    ----------
    values
        float32 or float64, one axis for each name in `dims`; NaN is no data.
    dims
        Names among t, bands, y, x, in this order; y and x are always there.
    labels
        Labels of t (date-times as `YYYY-MM-DDTHH:MM:SSZ`, ascending) and of bands (names), if the cube has them.
    grid
        Where the pixels lie; its shape is that of (y, x).
    """

    values: NDArray[Any]
    dims: tuple[str, ...]
    grid: Grid
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(d for d in DIMS if d in self.dims) != self.dims or self.dims[-2:] != ("y", "x"):
            raise ValueError(f"dims {self.dims} are not (t, bands, y, x) in this order")
        sizes = tuple(len(self.labels[d]) for d in self.dims[:-2]) + self.grid.shape
        if self.values.shape != sizes:
            raise ValueError(f"values of shape {self.values.shape} do not fit {self.dims} of sizes {sizes}")

    def axis(self, dim: str) -> int:
        """Number of the axis called `dim`, counted from the end (-1 is x), so that it holds for broadcast arrays."""
        return self.dims.index(dim) - len(self.dims)

    def with_values(self, values: NDArray[Any], drop: str | None = None, **labels: tuple[str, ...]) -> Cube:
        """The same cube with other values; without the dimension `drop`; with other labels."""
        dims = tuple(d for d in self.dims if d != drop)
        kept = {d: labels.get(d, self.labels.get(d, ())) for d in dims[:-2]}
        return Cube(values, dims, self.grid, kept)

    def cropped(self, grid: Grid) -> Cube:
        """The part on a smaller grid of the same lattice, as a view."""
        if grid == self.grid:
            return self
        rows, cols = self.grid.window(grid)
        return Cube(self.values[..., rows, cols], self.dims, grid, self.labels)

    def to_xarray(self) -> xarray.DataArray:
        """The cube as a DataArray with coordinates of the pixel centres and a `spatial_ref`; values are not copied."""
        import xarray

        crs = self.grid.geobox().crs
        coords: dict[str, Any] = {"y": self.grid.y_centres(), "x": self.grid.x_centres()}
        if "t" in self.dims:
            coords["t"] = np.array([t.removesuffix("Z") for t in self.labels["t"]], "datetime64[ns]")
        if "bands" in self.dims:
            coords["bands"] = list(self.labels["bands"])
        array = xarray.DataArray(self.values, coords=coords, dims=self.dims)
        wkt = crs.to_wkt() if crs is not None else ""
        return array.assign_coords(spatial_ref=xarray.Variable((), 0, {"crs_wkt": wkt, "spatial_ref": wkt}))
