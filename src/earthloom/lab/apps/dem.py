"""The terrain panel: elevation, hillshade, slope and aspect on a map, for people who do not program.

What a setting means as a chain stands in `terrain.py`, the marker in `identify.py`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, cast

import ipywidgets
import numpy as np

from earthloom.base.errors import EarthloomError, InvalidArgument, NotFound
from earthloom.base.grid import MAX_ZOOM
from earthloom.chain.build import Chain
from earthloom.chain.collection import ImageCollection
from earthloom.chain.session import current
from earthloom.client.api import HttpSession
from earthloom.lab.apps.identify import Identify
from earthloom.lab.apps.terrain import (
    PALETTES,
    Settings,
    Source,
    elevation_sources,
    picture,
    point_of_compass,
    round_range,
    shadows,
)
from earthloom.lab.join import style
from earthloom.lab.map import Map
from earthloom.lab.view import look_at

LAYER, SHADOWS = "Terrain", "Shaded relief"
MODES = (("Elevation", "elevation"), ("Hillshade", "hillshade"), ("Slope", "slope"), ("Aspect", "aspect"))
_CSS = Path(__file__).with_name("dem.css").read_text("utf-8")
_SAMPLES = 256  # elevations across the map, from which a range is chosen
_CLOSER = 2  # levels of zoom
_RANGE = (1, 99)  # percentiles of them


def dem(map: Map) -> Terrain:
    """A panel that shows the terrain on a map; as a cell's last line it shows.

    Parameters
    ----------
    map
        An `el.Map`. One that looks nowhere yet goes to the data.

    Raises
    ------
    NotFound
        If the server has no collection of elevations.
    InvalidArgument
        If it is no map of ours.
    """
    if not isinstance(map, Map):
        raise InvalidArgument(f"dem takes a map, not a {type(map).__name__}.", hint="Write m = el.Map().")
    sources = elevation_sources(cast(HttpSession, current()).collections())
    if not sources:
        raise NotFound(
            "The server has no collection of elevations.",
            hint='Ingest a DEM whose band is named or titled "elevation", "height" or "DEM", in metres.',
        )
    return Terrain(map, sources)


class Terrain(ipywidgets.Box):  # type: ignore[misc]
    """The panel; its widgets are its attributes, so that a notebook can set them too.

    Parameters
    ----------
    map
        The map.
    sources
        Where there are elevations; the first is shown at once.
    """

    def __init__(self, map: Map, sources: Sequence[Source]) -> None:
        super().__init__()
        self.add_class("el").add_class("el-terrain")
        self.map = map
        self._held = 0
        self._make_widgets(sources)
        self.identifier = Identify(map, self._heights)
        self._arrange(several=len(sources) > 1)
        if map._goes_to_first:
            self.go_to_data()
        self._draw_modes()
        self._listen()
        self._show()

    @property
    def settings(self) -> Settings:
        """What the widgets say."""
        unit = self.unit.value
        return Settings(
            mode=self.mode.value,
            palette=self.palette.value,
            low=self.low.value,
            high=self.high.value,
            azimuth=self.azimuth.value,
            altitude=self.altitude.value,
            exaggeration=self.exaggeration.value,
            unit=unit,
            steepest=(self.steepest_degree if unit == "degree" else self.steepest_percent).value,
            flat=self.flat.value,
        )

    @property
    def chain(self) -> Chain:
        """The chain of the picture that is shown."""
        return picture(self._heights, self.settings)

    def go_to_data(self, _: Any = None) -> None:
        """Look at the first item of the chosen elevations."""
        with self._telling():
            box = current().search(ImageCollection(self.source.value.id).limit(1).graph)["bbox"]
            centre, zoom = look_at(box, self.map._height)
            self.map._goes_to_first = False
            with self.map.hold_sync():
                self.map.center, self.map.zoom = list(centre), zoom

    def fit_to_view(self, _: Any = None) -> None:
        """Choose the range of elevations that the map shows now."""
        with self._telling():
            if not self.map.bounds:
                raise InvalidArgument("The map is not on the screen yet.", hint="Show it in a cell of its own.")
            (south, west), (north, east) = self.map.bounds
            area = (west, max(south, -85.0), east, min(north, 85.0))
            cube = current().compute(self._heights.graph, area, (east - west) / _SAMPLES, 4326)
            seen = cube.values[np.isfinite(cube.values)]
            if not seen.size:
                raise InvalidArgument("This view has no elevations.", hint='"Go to the data" finds them.')
            low, high = np.percentile(seen, _RANGE)
            self._set_range(round_range(float(low), float(high)))

    # Widgets

    def _make_widgets(self, sources: Sequence[Source]) -> None:
        options = [(source.title, source) for source in sources]
        self.source = ipywidgets.Dropdown(options=options, value=sources[0])
        self.mode = ipywidgets.ToggleButtons(options=MODES)
        self.mode.add_class("el-terrain-modes")
        low, high = sources[0].range
        self.palette = ipywidgets.Dropdown(options=list(PALETTES))
        self.low = ipywidgets.FloatText(value=low, step=50)
        self.high = ipywidgets.FloatText(value=high, step=50)
        self.fit = ipywidgets.Button(description="Fit to this view")
        self.relief = ipywidgets.Checkbox(value=True, description="Shade the relief", indent=False)
        self.azimuth = _slider(315, 0, 355, 5)
        self.altitude = _slider(45, 5, 85, 5)
        self.exaggeration = _slider(1.5, 0.5, 5, 0.5)
        self.unit = ipywidgets.ToggleButtons(options=[("Degrees", "degree"), ("Per cent", "percent")])
        self.unit.add_class("el-terrain-choice")
        self.steepest_degree = _slider(50, 10, 80, 5)
        self.steepest_percent = _slider(120, 20, 200, 10)
        self.flat = _slider(3, 0, 15, 1)
        self.identify = ipywidgets.ToggleButton(description="Identify")
        self.go = ipywidgets.Button(description="Go to the data")
        self.notice = ipywidgets.HTML()
        self.steps = ipywidgets.HTML()
        self._thumbnails = ipywidgets.HTML()
        self._thumbnails.layout.display = "none"

    def _arrange(self, *, several: bool) -> None:
        """The rows of the panel; which settings are seen depends on the mode."""
        box = ipywidgets.VBox
        self._settings = {
            "elevation": [
                _field("Colours", self.palette),
                ipywidgets.HBox([_field("From, m", self.low), _field("To, m", self.high)]),
                self.fit,
                self.relief,
            ],
            "hillshade": [
                _field("Sun direction", self.azimuth, lambda v: f"{v:.0f}° {point_of_compass(v)}"),
                _field("Sun height", self.altitude, lambda v: f"{v:.0f}°"),
                _field("Exaggeration", self.exaggeration, lambda v: f"× {v:g}"),
            ],
            "slope": [
                _field("Unit", self.unit),
                _field("Darkest at", self.steepest_degree, lambda v: f"{v:.0f}°"),
                _field("Darkest at", self.steepest_percent, lambda v: f"{v:.0f}\u202f%"),
            ],
            "aspect": [
                _field("Flat below", self.flat, lambda v: f"{v:.0f}°"),
                _text("The colour tells where the ground faces, clockwise from north. Flat ground stays clear."),
            ],
        }
        source = _field("Elevations", self.source) if several else _text(self.source.label)
        places = _text("A blue marker tells elevation, slope and direction of the ground; drag it over the map.")
        self._parameters = box()
        self.children = [
            ipywidgets.HTML(f"<style>{style('tokens', 'look')}{_CSS}</style><h3>Terrain</h3>"),
            box([source, self.go, _heading("Show"), self.mode, self._thumbnails]),
            box([_heading("Settings"), self._parameters]),
            box([_heading("Values at a place"), self.identify, places, self.steps]),
            self.notice,
        ]

    def _listen(self) -> None:
        drawn = (self.palette, self.low, self.high, self.relief, self.azimuth, self.altitude, self.exaggeration)
        for widget in (*drawn, self.unit, self.steepest_degree, self.steepest_percent, self.flat, self.mode):
            widget.observe(self._show, "value")
        self.source.observe(self._change_source, "value")
        self.identify.observe(self._change_identify, "value")
        self.fit.on_click(self.fit_to_view)
        self.go.on_click(self.go_to_data)

    def _draw_modes(self) -> None:
        """Small pictures of the modes: a tile of each at the centre of the map, closer than it, to lie within data."""
        lat, lon = self.map.center
        tile = "/".join(map_tile(lat, lon, min(round(self.map.zoom) + _CLOSER, MAX_ZOOM)))
        low, high = self.source.value.range
        rules = []
        with self._telling():
            for place, (_, mode) in enumerate(MODES, 1):
                plain = Settings(mode, "Terrain", low, high, 315, 45, 1.5, "degree", 50, 3)  # type: ignore[arg-type]
                key = current().put(picture(self._heights, plain).graph)
                url = current().address(f"/tiles/{key}/{tile}.png")
                rules.append(f'.el-terrain-modes button:nth-of-type({place}) {{ --picture: url("{url}"); }}')
        self._thumbnails.value = f"<style>{''.join(rules)}</style>"

    # Changes

    @property
    def _heights(self) -> Chain:
        return cast(Source, self.source.value).heights

    def _show(self, _: Any = None) -> None:
        """Show the picture of the settings, in the place of the one before."""
        if self._held:
            return
        settings = self.settings
        seen = self._settings[settings.mode]
        if settings.mode == "slope":
            seen = [seen[0], seen[1] if settings.unit == "degree" else seen[2]]
        self._parameters.children = seen
        with self._telling():
            if settings.low >= settings.high:
                raise InvalidArgument("The first elevation is not less than the second.", hint='See "From" and "To".')
            chain = self.chain
            self._put(chain, LAYER)
            if settings.mode == "elevation" and self.relief.value:
                self._put(shadows(self._heights), SHADOWS)
            elif any(layer.name == SHADOWS for layer in self.map.layers):
                self.map.remove(SHADOWS)
            self.steps.value = (
                f"<details><summary>The chain behind this picture</summary><pre>{escape(repr(chain))}</pre></details>"
            )

    def _put(self, chain: Chain, name: str) -> None:
        """Show a chain, unless the layer shows it already: then its tiles would be asked for once more."""
        if not any(layer.name == name and f"/{chain.key}/" in layer.url for layer in self.map.layers):
            self.map.add(chain, name=name)

    def _change_source(self, _: Any) -> None:
        source: Source = self.source.value
        self.identifier.of(source.heights)
        with self._telling():
            west, south, east, north = current().search(ImageCollection(source.id).graph)["bbox"]
            lat, lon = self.map.center
            if not (south <= lat <= north and west <= lon <= east):
                self.go_to_data()
        self._draw_modes()
        self._set_range(source.range, always=True)

    def _change_identify(self, change: Any) -> None:
        if change["new"]:
            self.identifier.on()
        else:
            self.identifier.off()

    def _set_range(self, range: tuple[float, float], *, always: bool = False) -> None:
        """Set both ends, then show the picture once."""
        before = (self.low.value, self.high.value)
        self._held += 1
        try:
            self.low.value, self.high.value = range
        finally:
            self._held -= 1
        if always or before != range:
            self._show()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell a failure in the panel: what a callback of a widget raises is seen by nobody."""
        try:
            self.notice.value = ""
            yield
        except EarthloomError as error:
            self.notice.value = f'<div class="el-notice bad in" role="alert">{escape(str(error))}</div>'


def map_tile(lat: float, lon: float, zoom: int) -> tuple[str, str, str]:
    """Zoom, column and row of the tile that holds a place."""
    across = 2**zoom
    north = math.asinh(math.tan(math.radians(max(-85.0, min(85.0, lat))))) / math.pi
    column, row = int((lon + 180) / 360 * across) % across, int((1 - north) / 2 * across)
    return str(zoom), str(column), str(min(row, across - 1))


def _slider(value: float, least: float, most: float, step: float) -> Any:
    return ipywidgets.FloatSlider(value=value, min=least, max=most, step=step, readout=False)


def _field(name: str, widget: Any, told: Callable[[float], str] | None = None) -> Any:
    """A widget under its name, and at the right what it says now."""
    label = ipywidgets.HTML()
    label.add_class("el-terrain-field")

    def write(_: Any = None) -> None:
        value = f"<output>{told(widget.value)}</output>" if told else ""
        label.value = f"<span>{name}</span>{value}"

    write()
    if told:
        widget.observe(write, "value")
    widget.tooltip = name
    return ipywidgets.VBox([label, widget])


def _heading(text: str) -> Any:
    return ipywidgets.HTML(f"<h4>{text}</h4>")


def _text(text: str) -> Any:
    return ipywidgets.HTML(f'<div class="el-small el-mute">{escape(text)}</div>')
