"""What the engine asks of the raster room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from earthloom.base.asset import Asset
from earthloom.base.grid import Grid

Method = Literal["near", "bilinear"]


class Reader(Protocol):
    """Pixels of assets on a grid."""

    def read(
        self, assets: Sequence[Asset], grid: Grid, bands: Sequence[str], method: Method = "near", dtype: str = "float32"
    ) -> NDArray[Any]:
        """The first valid value of each band, in the order of `assets`.

        Parameters
        ----------
        assets
            One band of one item each, in the catalogue's order; several files may overlap.
        grid
            Where the values are wanted.
        bands
            The bands of the answer, in order; a band without an asset is all NaN.
        method
            Resampling: `near` or `bilinear` (GDAL's and openEO's names).
        dtype
            float32 or float64. Scale and offset are applied in float64 and rounded once to this type.

        Returns
        -------
        (bands, y, x) of `dtype`; NaN is no data. The value of a pixel does not depend on the window of `grid`.

        Raises
        ------
        ReadError
            If a file that is needed here is missing or corrupt; it names item, band and file.
        """
        ...
