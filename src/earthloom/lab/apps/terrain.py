"""Pictures of the terrain as chains: what the panel's settings mean; and where a server has elevations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from earthloom.chain.build import Chain
from earthloom.chain.collection import ImageCollection

# Sequential palettes get lighter or darker all the way; that of directions is cyclic, with its seam at north.
PALETTES: dict[str, str | Sequence[str]] = {
    "Terrain": ("#1f4a4a", "#3b6b57", "#678a5f", "#98a56b", "#c3b87a", "#d9c498", "#e6d5ba", "#f2e9dc", "#fffdf9"),
    "Viridis": "viridis",
    "Sand to brown": ("#fffecb", "#f9dd7b", "#eda553", "#d9694f", "#a4423f", "#5f2e29", "#1f1a14"),
    "Grey": "gray",
}
_STEEP = PALETTES["Sand to brown"]
_DIRECTIONS = ("#2f2a5e", "#3f63b0", "#79aed0", "#e6e6e2", "#e0a07a", "#b24a3f", "#5d1f46", "#2f2a5e")
_SHADOW = ("#000000b8", "#00000000")  # over a picture: dark where the light does not fall
_LEVEL_GROUND = 180  # brightness of level ground under a sun 45 degrees high

_NAME = re.compile(r"elevation|altitude|height|\bd[estf]m\b", re.I)
_METRES = {"m", "metre", "metres", "meter", "meters"}

Mode = Literal["elevation", "hillshade", "slope", "aspect"]
Unit = Literal["degree", "percent"]


@dataclass(frozen=True, slots=True)
class Source:
    """A band of elevations: collection, its title, band, and the range of most values [m]."""

    id: str
    title: str
    band: str
    range: tuple[float, float]

    @property
    def heights(self) -> Chain:
        """The elevations as a chain. Read between the pixels, or slopes would be steps of a stair."""
        return ImageCollection(self.id).mosaic().resample_spatial(method="bilinear")[self.band]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the terrain is shown.

    Parameters
    ----------
    mode
        What is shown.
    palette
        A name of `PALETTES`, for elevation.
    low, high
        Elevations of the first and the last colour [m].
    azimuth, altitude
        Where the light comes from, clockwise from north, and its height over the horizon [degree].
    exaggeration
        Factor of the heights in the hillshade.
    unit
        Unit of the slope.
    steepest
        Slope of the last colour, in that unit.
    flat
        Slope under which ground has no direction [degree].
    """

    mode: Mode
    palette: str
    low: float
    high: float
    azimuth: float
    altitude: float
    exaggeration: float
    unit: Unit
    steepest: float
    flat: float


def picture(heights: Chain, settings: Settings) -> Chain:
    """The chain that shows elevations as the settings say."""
    match settings.mode:
        case "elevation":
            return heights.color(PALETTES[settings.palette], vmin=settings.low, vmax=settings.high)
        case "hillshade":
            light = heights.hillshade(settings.azimuth, settings.altitude, settings.exaggeration)
            return light.color("gray", vmin=0, vmax=255)
        case "slope":
            return heights.slope(settings.unit).color(_STEEP, vmin=0, vmax=settings.steepest)
        case "aspect":
            faces = heights.aspect()
            if settings.flat:
                faces = faces.where(heights.slope() >= settings.flat)
            return faces.color(_DIRECTIONS, vmin=0, vmax=360)


def shadows(heights: Chain) -> Chain:
    """Shadows of the relief alone, to lie over another picture."""
    return heights.hillshade(z_factor=1.5).color(_SHADOW, vmin=0, vmax=_LEVEL_GROUND)


def elevation_sources(collections: Sequence[Mapping[str, Any]]) -> list[Source]:
    """The bands of elevations in metres that collections have, by their names and titles.

    Parameters
    ----------
    collections
        STAC documents with `bands`; collections with no other band come first.
    """
    found = [
        (len(document["bands"]), _source(document, band))
        for document in collections
        for band in document["bands"]
        if _NAME.search(f"{band['name']} {band.get('title', '')}") and band.get("unit", "m").lower() in _METRES
    ]
    return [source for _, source in sorted(found, key=lambda pair: pair[0] > 1)]


def _source(document: Mapping[str, Any], band: Mapping[str, Any]) -> Source:
    known = band.get("statistics") or {}
    mean, spread = known.get("mean") or 0.0, 2 * (known.get("stddev") or 500.0)
    low, high = known.get("minimum"), known.get("maximum")
    most = round_range(
        mean - spread if low is None else max(low, mean - spread),
        mean + spread if high is None else min(high, mean + spread),
    )
    return Source(document["id"], document.get("title") or document["id"], band["name"], most)


def round_range(low: float, high: float) -> tuple[float, float]:
    """A range that holds another and has round ends."""
    step = next(step for wide, step in ((500, 50), (100, 10), (0, 1)) if high - low >= wide)
    first = low // step * step
    return float(first), float(max(-(-high // step) * step, first + step))


def point_of_compass(direction: float) -> str:
    """N, NE, E ... for a direction [degree], clockwise from north."""
    return ("N", "NE", "E", "SE", "S", "SW", "W", "NW")[round(direction / 45) % 8]
