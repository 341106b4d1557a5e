"""What a process may ask: where its pixels lie, and which axis and labels it works along. A process does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.grid import Grid


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one call of a process.

    Parameters
    ----------
    grid
        Grid of the result, without the margin that the process asked for.
    axis
        For reducers: the axis to reduce, counted from the end of the array.
    labels
        For reducers: the labels along that axis (times as text, band names); empty for plain lists.
    """

    grid: Grid
    axis: int = 0
    labels: tuple[str, ...] = ()

    def ground_resolution(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True width and height of the pixels of each row of the result [m], both (y, 1)."""
        return self.grid.ground_resolution()


Array = NDArray[Any]
