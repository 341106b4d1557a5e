"""The terrain panel by its widgets: what it puts on the map, and what the marker tells, against plain numpy."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

import earthloom as el
from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.base.grid import Grid
from earthloom.chain import session
from earthloom.chain.build import Chain
from earthloom.client.api import HttpSession
from earthloom.lab.apps.dem import Terrain, map_tile
from earthloom.lab.apps.terrain import elevation_sources, point_of_compass, round_range

GRENOBLE = (45.29, 5.80)
HEIGHTS = el.ImageCollection("elevation").mosaic().resample_spatial(method="bilinear")["elevation"]


@pytest.fixture
def connected(server: str) -> Iterator[HttpSession]:
    connection = el.connect(server)
    yield connection
    session.use(None)
    connection.close()


@pytest.fixture
def panel(connected: HttpSession) -> Terrain:
    return el.apps.dem(el.Map(center=GRENOBLE, zoom=12))


def shown(panel: Terrain, name: str = "Terrain") -> str | None:
    """Key of the chain that a layer shows."""
    found = [layer.url.split("/tiles/")[1].split("/")[0] for layer in panel.map.layers if layer.name == name]
    assert len(found) < 2
    return found[0] if found else None


def key(chain: Chain) -> str:
    return chain.key


def test_it_begins_with_elevation_over_its_relief(panel: Terrain) -> None:
    assert [layer.name for layer in panel.map.layers if not layer.base] == ["Terrain", "Shaded relief"]
    assert panel.map.center == list(GRENOBLE)
    assert (panel.low.value, panel.high.value) == (100, 2300)  # mean +- 2 standard deviations, round
    assert panel.notice.value == ""


def test_every_setting_changes_the_layer_in_its_place(panel: Terrain) -> None:
    (layer,) = [layer for layer in panel.map.layers if layer.name == "Terrain"]
    panel.palette.value, panel.low.value, panel.high.value = "Viridis", 200, 2000
    assert shown(panel) == key(HEIGHTS.color("viridis", vmin=200, vmax=2000))
    panel.relief.value = False
    assert shown(panel, "Shaded relief") is None
    panel.relief.value = True

    panel.mode.value = "hillshade"
    assert shown(panel, "Shaded relief") is None
    panel.azimuth.value, panel.altitude.value, panel.exaggeration.value = 90, 30, 3
    assert shown(panel) == key(HEIGHTS.hillshade(90, 30, 3).color("gray", vmin=0, vmax=255))

    panel.mode.value = "slope"
    panel.steepest_degree.value = 40
    assert panel.chain.graph["slope1"]["arguments"].get("unit", "degree") == "degree"
    assert panel.map._panel.layers[0]["legend"]["range"] == [0, 40]
    panel.unit.value = "percent"
    assert shown(panel) == key(panel.chain)
    legend = panel.map._panel.layers[0]["legend"]
    assert (legend["quantity"], legend["unit"], legend["range"]) == ("slope", "%", [0, 120])

    panel.mode.value = "aspect"
    panel.flat.value = 10
    legend = panel.map._panel.layers[0]["legend"]
    assert (legend["quantity"], legend["unit"], legend["range"]) == ("aspect", "°", [0, 360])
    assert shown(panel) == key(panel.chain)
    assert [other for other in panel.map.layers if other.name == "Terrain"] == [layer]


def test_what_does_not_change_is_left_alone_and_the_chain_is_told(panel: Terrain) -> None:
    sent: list[str] = []
    for layer in panel.map.layers:
        layer.send = lambda *_, name=layer.name: sent.append(name)  # what makes the browser ask for tiles again
    before = shown(panel, "Shaded relief")
    panel.palette.value = "Viridis"
    assert shown(panel, "Shaded relief") == before
    panel.relief.value = False
    assert sent == []
    assert "color viridis, 100 to 2300" in panel.steps.value
    panel.mode.value = "slope"
    assert "slope" in panel.steps.value


def test_only_the_settings_of_the_mode_are_seen(panel: Terrain) -> None:
    def seen() -> str:
        return " ".join(
            child.children[0].value
            for child in panel._parameters.children
            if getattr(child, "children", None) and hasattr(child.children[0], "value")
        )

    assert "Colours" in seen()
    panel.mode.value = "hillshade"
    assert "315° NW" in seen()
    panel.azimuth.value = 90
    assert "90° E" in seen()
    panel.mode.value = "slope"
    assert "50°" in seen()
    assert "120" not in seen()
    panel.unit.value = "percent"
    assert "120\u202f%" in seen()


def test_a_wrong_range_is_told_and_the_picture_stays(panel: Terrain) -> None:
    before = shown(panel)
    panel.low.value = 5000
    assert "From" in panel.notice.value
    assert shown(panel) == before
    panel.high.value = 6000
    assert panel.notice.value == ""
    assert shown(panel) != before


def test_pixels_of_the_modes_equal_numpy(panel: Terrain, connected: HttpSession) -> None:
    tile = tuple(int(part) for part in map_tile(*GRENOBLE, 12))
    grid = Grid.tile(*tile)
    west, south, east, north = grid.lonlat_bounds()
    assert south < GRENOBLE[0] < north
    assert west < GRENOBLE[1] < east
    heights = connected.tile(connected.put(HEIGHTS.graph), *tile).astype(float)
    dx, dy = (size[1:-1] for size in grid.ground_resolution())
    corner = {(r, c): heights[1 + r : 255 + r, 1 + c : 255 + c] for r in (-1, 0, 1) for c in (-1, 0, 1)}
    right, left = (corner[-1, s] + 2 * corner[0, s] + corner[1, s] for s in (1, -1))
    upper, lower = (corner[s, -1] + 2 * corner[s, 0] + corner[s, 1] for s in (-1, 1))
    towards_east, towards_north = (right - left) / (8 * dx), (upper - lower) / (8 * dy)
    steep = np.degrees(np.arctan(np.hypot(towards_east, towards_north)))
    falls = np.degrees(np.arctan2(-towards_east, -towards_north)) % 360

    def pixels(mode: str) -> np.ndarray:
        panel.mode.value = mode
        layer = shown(panel)
        assert layer is not None
        return connected.tile(layer, *tile)[1:-1, 1:-1]

    assert np.allclose(pixels("slope"), steep, atol=1e-3)
    panel.unit.value = "percent"
    assert np.allclose(pixels("slope"), 100 * np.tan(np.radians(steep)), atol=1e-2)
    aspect = pixels("aspect")
    assert np.array_equal(np.isnan(aspect), steep < 3)
    there = np.isfinite(aspect)
    assert there.mean() > 0.5
    assert np.abs((aspect - falls + 180) % 360 - 180)[there].max() < 0.01
    sun = np.array([math.sin(math.radians(315)), math.cos(math.radians(315))]) * math.cos(math.radians(45))
    light = math.sin(math.radians(45)) - 1.5 * (sun[0] * towards_east + sun[1] * towards_north)
    light = np.maximum(0, 255 * light / np.sqrt(1 + 2.25 * (towards_east**2 + towards_north**2)))
    assert np.allclose(pixels("hillshade"), light, atol=1e-2)


def test_identify_tells_the_values_of_the_point_route(panel: Terrain, connected: HttpSession) -> None:
    marker, card = panel.identifier.marker, panel.identifier.card
    assert marker not in panel.map.layers
    panel.identify.value = True
    assert marker in panel.map.layers
    assert marker.draggable
    assert tuple(marker.location) == GRENOBLE

    def told(lat: float, lon: float, zoom: int) -> tuple[str, str, str]:
        chains = (HEIGHTS, HEIGHTS.slope(), HEIGHTS.aspect())
        height, steep, falls = (connected.point(connected.put(c.graph), lon, lat, zoom)["values"] for c in chains)
        assert steep > 1
        return f"{height:,.0f} m".replace(",", "\u202f"), f"{steep:.0f}°", f"{point_of_compass(falls)} {falls:.0f}°"

    first = told(*GRENOBLE, 12)
    assert all(f"<b>{text}</b>" in card.value for text in first)
    assert "45.2900° N 5.8000° E" in card.value
    marker.location = (45.2905, 5.8235)
    second = told(45.2905, 5.8235, 12)
    assert second != first
    assert all(f"<b>{text}</b>" in card.value for text in second)
    panel.map.zoom = 14
    assert all(f"<b>{text}</b>" in card.value for text in told(45.2905, 5.8235, 14))
    marker.location = (0.0, 365.0)
    assert "outside the data" in card.value
    assert "0.0000° N 5.0000° E" in card.value
    panel.identify.value = False
    assert marker not in panel.map.layers
    assert not [c for c in panel.map.controls if getattr(c, "widget", None) is card]


def test_the_marker_comes_back_after_the_map_was_cleared(connected: HttpSession) -> None:
    from earthloom.jeolab import Map

    panel = el.apps.dem(Map(center=GRENOBLE, zoom=12))
    panel.identify.value = True
    panel.map.clear()
    panel.identify.value = False
    panel.identify.value = True
    assert panel.identifier.marker in panel.map.layers
    panel.palette.value = "Grey"
    assert shown(panel) == key(panel.chain)


def test_another_collection_is_shown_and_looked_at(panel: Terrain) -> None:
    titles = [title for title, _ in panel.source.options]
    assert titles == [
        "Elevation: Grenoble (France) and eastern Anatolia (Turkey)",
        "Landsat 7 and elevation, Olinda (Brazil)",
    ]
    panel.identify.value = True
    panel.source.value = panel.source.options[1][1]
    lat, lon = panel.map.center
    assert (lat, lon) == pytest.approx((-7.9, -34.9), abs=0.3)
    assert (panel.low.value, panel.high.value) == (-1, 64)
    olinda = el.ImageCollection("landsat7-olinda").mosaic().resample_spatial(method="bilinear")["elevation"]
    assert panel.chain.graph.keys() == olinda.color("gray").graph.keys()
    assert shown(panel) == key(panel.chain)
    assert "outside the data" in panel.identifier.card.value


def test_a_map_that_looks_nowhere_goes_to_the_data(connected: HttpSession) -> None:
    panel = el.apps.dem(el.Map())
    assert panel.map.center == pytest.approx([45.5, 5.5], abs=0.05)
    panel.map.center = [0.0, 0.0]
    panel.go.click()
    assert panel.map.center == pytest.approx([45.5, 5.5], abs=0.05)


def test_the_range_fits_the_view(panel: Terrain, connected: HttpSession) -> None:
    panel.fit.click()
    assert "not on the screen" in panel.notice.value
    for side, value in {"south": 45.28, "west": 5.78, "north": 45.30, "east": 5.82}.items():
        panel.map.set_trait(side, value)
    panel.fit.click()
    assert panel.notice.value == ""
    values = connected.compute(HEIGHTS.graph, (5.78, 45.28, 5.82, 45.30), 0.04 / 256, 4326).values
    low, high = np.percentile(values, (1, 99))
    assert panel.low.value <= low < high <= panel.high.value
    assert panel.high.value - panel.low.value < high - low + 100
    for side, value in {"south": 0.0, "west": 0.0, "north": 1.0, "east": 1.0}.items():
        panel.map.set_trait(side, value)
    panel.fit.click()
    assert "This view has no elevations" in panel.notice.value


def test_what_has_no_elevation_is_told(
    connected: HttpSession, start_server: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=r"el\.Map"):
        el.apps.dem(3)
    (tmp_path / "empty").mkdir()
    with start_server(tmp_path / "empty") as url:
        empty = el.connect(url)
        m = el.Map()
        with pytest.raises(NotFound, match="no collection of elevations"):
            el.apps.dem(m)
        empty.close()
    shutil.rmtree(tmp_path / "empty")


def test_which_bands_are_elevations() -> None:
    def document(*bands: dict[str, str]) -> dict[str, object]:
        return {"id": bands[0]["name"], "bands": list(bands)}

    many = document({"name": "red"}, {"name": "z", "title": "surface height", "unit": "m"})
    found = elevation_sources(
        [
            many,
            document({"name": "DEM"}),
            document({"name": "height", "unit": "ft"}),
            document({"name": "demand", "unit": "m"}),
        ]
    )
    assert [(source.id, source.band, source.title) for source in found] == [("DEM", "DEM", "DEM"), ("red", "z", "red")]


@pytest.mark.parametrize(
    ("given", "round"),
    [((136, 2279), (100, 2300)), ((-1, 63.6), (-1, 64)), ((3, 3), (3, 4)), ((101, 299), (100, 300))],
)
def test_ranges_are_round(given: tuple[float, float], round: tuple[float, float]) -> None:
    assert round_range(*given) == round
