"""How values become colours, with every number resolved: what the painter and the legend work from.

A chain may leave its range to the statistics of the data; a style never does. Styles are hashable, and their digest
is part of a tile's `ETag`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from earthloom.base.canon import digest
from earthloom.base.colours import RAMP_SIZE, canonical_colour, palette, ramp
from earthloom.base.errors import InvalidArgument

MAX_CLASSES = 255  # a byte without 0, which is transparent


@dataclass(frozen=True, slots=True)
class RampStyle:
    """Colours along a range of values.

    Parameters
    ----------
    table
        255 colours of four bytes each (red, green, blue, alpha), from `vmin` to `vmax`.
    vmin, vmax
        Values of the first and the last colour; values beyond take these colours. Where both are equal, that value
        takes the middle colour.
    quantity, unit
        What the values are, for the legend.
    beyond
        Whether values below `vmin` and above `vmax` exist.
    name
        Name of the palette, if it has one.
    colours
        The colours that a ramp was made of, as `#rrggbbaa`; none for a palette.
    """

    table: bytes
    vmin: float
    vmax: float
    quantity: str = ""
    unit: str = ""
    beyond: tuple[bool, bool] = (True, True)
    name: str = ""
    colours: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.table) != 4 * RAMP_SIZE:
            raise ValueError(f"a table of {len(self.table)} bytes is not {RAMP_SIZE} colours")
        check_range(self.vmin, self.vmax, "vmin", 'To turn the colours round, reverse the list or append "_r".')

    def digest(self) -> str:
        """SHA-256 of the style, 64 hex digits."""
        return digest(["ramp", asdict(self) | {"table": self.table.hex()}])


@dataclass(frozen=True, slots=True)
class ClassStyle:
    """One colour for each of some values; all other values are transparent.

    Parameters
    ----------
    classes
        (value, label, colour), at most 255, in the order of the legend; no value twice.
    quantity
        What the classes are, for the legend.
    """

    classes: tuple[tuple[float, str, str], ...]
    quantity: str = ""

    def __post_init__(self) -> None:
        count = len(self.classes)
        if not 1 <= count <= MAX_CLASSES:
            raise InvalidArgument(
                f"{count} classes are not between 1 and {MAX_CLASSES}.",
                hint="Join classes, or colour the values by a ramp.",
                argument="classes",
            )
        values = [value for value, _, _ in self.classes]
        for value in values:
            if not math.isfinite(value):
                raise InvalidArgument(f"A class cannot have the value {value}.", argument="classes")
            if values.count(value) > 1:
                raise InvalidArgument(f"The value {value:g} has two classes.", argument="classes")

    def digest(self) -> str:
        """SHA-256 of the style, 64 hex digits."""
        return digest(["classes", asdict(self)])


@dataclass(frozen=True, slots=True)
class RgbStyle:
    """Three bands as red, green and blue.

    Parameters
    ----------
    bands
        Names of the bands for red, green and blue.
    ranges
        For each band the values of black and of full colour; values beyond take these.
    gamma
        Brightness of a colour is its place in the range, from 0 to 1, to the power of 1 / gamma.
    quantity, unit
        What the values are, for the legend.
    """

    bands: tuple[str, str, str]
    ranges: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    gamma: float = 1.0
    quantity: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        for band, (low, high) in zip(self.bands, self.ranges, strict=True):
            check_range(low, high, "stretch", f"It is the range of band {band}.")
        if not (self.gamma > 0 and math.isfinite(self.gamma)):
            raise InvalidArgument(f"A gamma of {self.gamma} is not positive.", argument="gamma")

    def digest(self) -> str:
        """SHA-256 of the style, 64 hex digits."""
        return digest(["rgb", asdict(self)])


Style = RampStyle | ClassStyle | RgbStyle


def ramp_style(
    colours: str | Sequence[str],
    vmin: float,
    vmax: float,
    *,
    quantity: str = "",
    unit: str = "",
    beyond: tuple[bool, bool] = (True, True),
) -> RampStyle:
    """A style along a list of colours or the palette of this name.

    Raises
    ------
    NotFound
        If there is no such palette.
    InvalidArgument
        If a colour is none, or the range is not one.
    """
    vmin, vmax = float(vmin), float(vmax)
    if isinstance(colours, str):
        return RampStyle(palette(colours, RAMP_SIZE).tobytes(), vmin, vmax, quantity, unit, beyond, name=colours)
    table = ramp(colours).tobytes()
    listed = tuple(canonical_colour(colour) for colour in colours)
    return RampStyle(table, vmin, vmax, quantity, unit, beyond, colours=listed)


def class_style(classes: Sequence[tuple[float, str, str]], quantity: str = "") -> ClassStyle:
    """A style of (value, label, colour), with colours in any notation; the errors of `ClassStyle` and of colours."""
    return ClassStyle(tuple((float(v), label, canonical_colour(c)) for v, label, c in classes), quantity)


def check_range(low: float, high: float, argument: str, hint: str) -> None:
    """Refuse a range that is not finite or that runs downwards."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InvalidArgument(f"The range {low} to {high} is not finite.", hint=hint, argument=argument)
    if low > high:
        raise InvalidArgument(f"The range {low} to {high} runs downwards.", hint=hint, argument=argument)
