"""Combinations of bands with a name of their own, as one argument of `bands`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Combination:
    """Three bands for red, green and blue."""

    name: str
    bands: tuple[str, str, str]

    def __repr__(self) -> str:
        return f"{self.name}: {' '.join(self.bands)}"


# The original's bands are not published; near infrared, short-wave infrared and red tell land from water.
S2_LandWater = Combination("S2_LandWater", ("B08", "B11", "B04"))
