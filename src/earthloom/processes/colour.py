"""How values become colours: declared here; the engine's painter reads the arguments, as the last step of a chain."""

from __future__ import annotations

from earthloom.processes.define import process
from earthloom.processes.schema import ClassList, Colors, Data


@process(kind="paint")
def color(data: Data, colors: Colors = "viridis", vmin: float | None = None, vmax: float | None = None) -> Data:
    """Colour one band by a ramp or a palette.

    Values under `vmin` take the first colour, those over `vmax` the last; no data is transparent.

    Parameters
    ----------
    data
        A cube with one band.
    colors
        Name of a palette (matplotlib, ColorBrewer, cmocean, colorcet ...; `_r` at its end reverses it), or a list of
        colours spread evenly from `vmin` to `vmax` (CSS names, #rrggbb, #rrggbbaa).
    vmin, vmax
        Values at the ends; null chooses them: mean +- 2 standard deviations of the band where the values are still
        the band's, else the 2nd and 98th percentile over the selection.
    """
    raise AssertionError("run by the painter")


@process(kind="paint")
def classes(data: Data, classes: ClassList) -> Data:
    """Colour the values of a classification; values that are not named are transparent.

    Parameters
    ----------
    data
        A cube with one band.
    classes
        A list of objects with `value`, `color` and, if wanted, `label`.
    """
    raise AssertionError("run by the painter")


@process(kind="paint")
def rgb(data: Data, vmin: list[float] | None = None, vmax: list[float] | None = None) -> Data:
    """Show three bands as red, green and blue; a pixel that lacks one of them is transparent.

    Parameters
    ----------
    data
        A cube with three bands.
    vmin, vmax
        For each band the value that becomes black, and full colour; one number stands for all three; null chooses
        them as `color` does.
    """
    raise AssertionError("run by the painter")
