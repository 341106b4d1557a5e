"""A blue marker on a map, and a card that tells elevation, slope and direction of the ground under it."""

from __future__ import annotations

from html import escape
from typing import Any, cast

import ipyleaflet
import ipywidgets

from earthloom.base.errors import EarthloomError
from earthloom.base.grid import MAX_ZOOM
from earthloom.chain.build import Chain
from earthloom.chain.session import current
from earthloom.client.api import HttpSession
from earthloom.lab.apps.terrain import point_of_compass
from earthloom.lab.map import Map

_PIN = (
    '<svg class="el-terrain-pin" width="26" height="34" viewBox="0 0 26 34">'
    '<path d="M13 33S2 20.5 2 12.5a11 11 0 0 1 22 0C24 20.5 13 33 13 33z" fill="#0a6494" stroke="#fff" '
    'stroke-width="1.8"/><circle cx="13" cy="12.5" r="4.5" fill="#fff"/></svg>'
)
_LEVEL_DEGREE = 1.0  # ground less steep faces nowhere


class Identify:
    """The marker with its card; `on` and `off` put them on the map and take them away.

    Parameters
    ----------
    map
        The map.
    heights
        Chain of the elevations; `of` changes it.
    """

    def __init__(self, map: Map, heights: Chain) -> None:
        self._map = map
        self._on = False
        icon = ipyleaflet.DivIcon(html=_PIN, icon_size=[26, 34], icon_anchor=[13, 33])
        self.marker = ipyleaflet.Marker(
            location=(0.0, 0.0), draggable=True, icon=icon, title="Drag to read elevation, slope and direction"
        )
        self.marker.observe(self._read, "location")
        self.card = ipywidgets.HTML()
        self.card.add_class("el").add_class("el-panel").add_class("el-terrain-card")
        self._control = ipyleaflet.WidgetControl(widget=self.card, position="topleft", transparent_bg=True)
        self.of(heights)

    def of(self, heights: Chain) -> None:
        """Read other elevations."""
        self._chains = (heights, heights.slope(), heights.aspect())
        self._keys: tuple[str, ...] = ()
        self._read()

    def on(self) -> None:
        """Put the marker at the centre of the map."""
        self._on = True
        self.marker.location = tuple(self._map.center)
        for item, there in ((self.marker, self._map.layers), (self._control, self._map.controls)):
            if item not in there:
                self._map.add(item)
        self._map.observe(self._read, "zoom")
        self._read()

    def off(self) -> None:
        """Take marker and card away."""
        self._on = False
        self._map.unobserve(self._read, "zoom")
        for item, there in ((self.marker, self._map.layers), (self._control, self._map.controls)):
            if item in there:
                self._map.remove(item)

    def _read(self, _: Any = None) -> None:
        """Write the values at the marker into the card: those of the pixel that the map's zoom shows there."""
        if not self._on:
            return
        lat, lon = self.marker.location
        lon = (lon + 180) % 360 - 180  # the map goes round the Earth more than once
        place = f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'} {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"
        try:
            body = _values(*self._ask(lon, lat))
        except EarthloomError as error:
            body = f"<div>{escape(str(error))}</div>"
        self.card.value = f'<div class="place" aria-live="polite">{place}</div>{body}'

    def _ask(self, lon: float, lat: float) -> list[float | None]:
        session = cast(HttpSession, current())
        self._keys = self._keys or tuple(session.put(chain.graph) for chain in self._chains)
        zoom = max(0, min(MAX_ZOOM, round(self._map.zoom)))
        return [session.point(key, lon, lat, zoom)["values"] for key in self._keys]


def _values(elevation: float | None, slope: float | None, direction: float | None) -> str:
    if elevation is None:
        return "<div>No elevation here: outside the data.</div>"
    if slope is None:
        steep, faces = "–", "–"
    elif direction is None or slope < _LEVEL_DEGREE:
        steep, faces = f"{slope:.0f}°", "level"
    else:
        steep, faces = f"{slope:.0f}°", f"{point_of_compass(direction)} {direction:.0f}°"
    height = f"{elevation:,.0f} m".replace(",", "\u202f").replace("-", "\u2212")
    cells = ((height, "elevation"), (steep, "slope"), (faces, "faces"))
    return f"<div class='row'>{''.join(f'<div><b>{value}</b><span>{name}</span></div>' for value, name in cells)}</div>"
