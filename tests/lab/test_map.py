"""`el.Map` without a browser: what it posts, and the traits that the browser gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import ipyleaflet
import ipywidgets
import numpy as np
import pytest
from PIL import Image

import earthloom as el
from earthloom.base.errors import EmptySelection, InvalidArgument, NotFound, Unavailable
from earthloom.chain import session
from earthloom.client.api import HttpSession
from earthloom.server.tokens import Tokens

SERIES = el.ImageCollection("sentinel2-series").filter_date("2020-05", "2020-09")
RED = SERIES.mosaic()["B04"]


@pytest.fixture(autouse=True)
def _session(server: str) -> Iterator[None]:
    connected = el.connect(server)
    yield
    session.use(None)
    connected.close()


def names(m: el.Map) -> list[str]:
    return [layer.name for layer in m.layers]


def cards(m: el.Map) -> list[str]:
    return [card["name"] for card in m._panel.layers]


def test_the_basemap_comes_from_our_own_server(server: str) -> None:
    m = el.Map()

    assert [layer.url.startswith(f"{server}/tiles/") for layer in m.layers] == [True]
    assert "NASA" in m.layers[0].attribution
    assert m.layout.height == "500px"


def test_a_chain_becomes_a_layer_with_a_card(server: str) -> None:
    m = el.Map()
    chain = RED.color(["red", "green"], vmin=0, vmax=0.3)
    layer = m.add(chain, name="red", opacity=0.5, visible=False)

    assert isinstance(layer, ipyleaflet.TileLayer)
    assert layer.url == f"{server}/tiles/{chain.key}/{{z}}/{{x}}/{{y}}.png"
    assert (layer.opacity, layer.visible) == (0.5, False)
    assert "Copernicus" in layer.attribution
    card = m._panel.layers[0]
    assert card["id"] == layer.model_id
    assert card["legend"]["kind"] == "ramp"
    assert card["legend"]["range"] == [0, 0.3]
    assert card["point"] == f"{server}/point/{chain.key}"


def test_the_first_layer_is_gone_to_unless_a_centre_is_given() -> None:
    m = el.Map()
    m.add(RED)
    assert m.center == pytest.approx([45.205, 22.152], abs=0.01)
    assert m.zoom >= 13
    view = m.center, m.zoom
    m.add(el.ImageCollection("sentinel2-coast").mosaic()["B04"])
    assert (m.center, m.zoom) == view

    still = el.Map(center=(10, 20), zoom=5)
    still.add(RED)
    assert (still.center, still.zoom) == ([10, 20], 5)
    still.zoom_to(still.layers[-1].name)
    assert still.center == pytest.approx([45.205, 22.152], abs=0.01)


def test_the_same_name_replaces_in_its_place() -> None:
    m = el.Map()
    first = m.add(RED, name="a", opacity=0.5)
    m.add(RED * 2, name="b")
    first.visible = False  # by its eye on the map
    new = m.add(RED * 3, name="a")

    assert names(m)[1:] == ["a", "b"]
    assert cards(m)[:2] == ["b", "a"]
    assert m.layers[1] is new is first  # the browser need not make anything anew
    assert (RED * 3).key in new.url
    assert (RED * 3).key in m._panel.layers[1]["url"]
    assert (new.opacity, new.visible) == (0.5, False)
    assert m.add(RED * 3, name="a", opacity=1, visible=True).visible


def test_a_layer_of_another_collection_is_a_new_one_in_its_place() -> None:
    m = el.Map()
    first = m.add(RED, name="a", opacity=0.5)
    m.add(RED * 2, name="b")
    new = m.add(el.ImageCollection("landsat8-itaipu").mosaic()["OLI4"], name="a")

    assert names(m)[1:] == ["a", "b"]
    assert m.layers[1] is new is not first
    assert new.attribution != first.attribution
    assert new.opacity == 0.5
    assert m._panel.layers[1]["id"] == new.model_id


def test_what_a_user_should_read_of_a_chain_stands_in_its_card() -> None:
    m = el.Map()
    m.add(SERIES.cube(["B04"]).color("viridis", vmin=0, vmax=1), name="dates")
    assert any("newest valid value" in note for note in m._panel.layers[0]["notes"])
    m.add(RED, name="one")
    assert m._panel.layers[0]["notes"] == []


def test_the_logs_of_a_function_have_an_address(server: str) -> None:
    def twice(img):  # type: ignore[no-untyped-def]
        return 2 * img

    m = el.Map()
    chain = RED.execute(twice)
    m.add((chain + 1).color("viridis", vmin=0, vmax=1), name="a")
    assert m._panel.layers[0]["logs"].startswith(f"{server}/logs/")
    m.add(RED, name="a")
    assert m._panel.layers[0]["logs"] is None


def test_addresses_carry_the_token(start_server: Callable[..., Any], own_data: Path) -> None:
    token = Tokens(own_data).add("ann")
    with start_server(own_data) as url:
        connected = el.connect(url, token=token)
        m = el.Map()
        layer = m.add(RED, name="a")
        card = m._panel.layers[0]
        assert layer.url == card["url"] == f"{url}/tiles/{RED.key}/{{z}}/{{x}}/{{y}}.png?token={token}"
        assert card["point"] == f"{url}/point/{RED.key}?token={token}"
        assert httpx.get(layer.url.format(z=14, x=9200, y=5887)).status_code == 200
        connected.close()


def test_a_slider_asks_little_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    m = el.Map()
    m.add(RED, name="a")
    asked: list[str] = []
    send = httpx.Client.request
    monkeypatch.setattr(
        httpx.Client, "request", lambda s, *a, **k: asked.append(f"{a[0]} {a[1][:7]}") or send(s, *a, **k)
    )
    messages: list[str] = []
    monkeypatch.setattr(ipywidgets.Widget, "_send", lambda widget, *a, **k: messages.append(type(widget).__name__))
    m.add(RED * 2, name="a")

    assert asked == ["POST /chains", "GET /legend"]
    # The new tiles are asked for before the new legend shows.
    assert messages == ["ChainLayer", "Panel"]

    messages.clear()
    m.add(RED * 2, name="a")  # the same once more: its tiles are asked for again, the card stays
    assert messages == ["ChainLayer"]


def test_layers_follow_a_server_that_moved(start_server: Callable[..., Any], own_data: Path) -> None:
    with start_server(own_data) as old, start_server(own_data) as new:
        where = [old]
        moving = HttpSession(old, renew=lambda: (where[0], None))
        session.use(moving)
        m = el.Map()
        layer = m.add(RED, name="a")
        where[0] = new
        m._panel._handle_custom_msg({"kind": "silent"}, [])

        assert layer.url == m._panel.layers[0]["url"] == f"{new}/tiles/{RED.key}/{{z}}/{{x}}/{{y}}.png"
        assert m._panel.layers[0]["health"] == f"{new}/health"
        assert m._panel.layers[0]["point"] == f"{new}/point/{RED.key}"
        assert m._panel.layers[1]["point"] is None  # the basemap's
        assert m.layers[0].url.startswith(new)
        moving.close()


def test_a_map_is_saved_as_it_is_shown(tmp_path: Path) -> None:
    m = el.Map(center=(45.205, 22.152), zoom=14)
    red = m.add(RED.color(["#ff0000", "#ff0000"], vmin=0, vmax=1), name="red", opacity=0.5)
    m.add(ipyleaflet.Marker(location=(45.2, 22.15)))
    file = m.save(tmp_path / "map.png", width=600)
    half = Image.open(file)
    assert (half.size, half.mode) == ((600, 500), "RGB")
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]

    red.visible = False
    under = Image.open(m.save(tmp_path / "map.png", width=600)).getpixel((300, 250))
    assert isinstance(under, tuple)
    expected = [(channel + over) / 2 for channel, over in zip(under, (255, 0, 0), strict=True)]
    assert half.getpixel((300, 250)) == pytest.approx(expected, abs=1)
    with_red = np.asarray(half.crop((0, 480, 600, 500)), int)
    assert (with_red.min(axis=2) > 200).mean() > 0.2  # the paper on which the sources stand
    red.visible = True
    m._panel.layers = m._panel.layers[::-1]  # the basemap is moved to the top
    assert Image.open(m.save(tmp_path / "map.png", width=600)).getpixel((300, 250)) == under

    # Where the picture lies: a place and the tile that a browser draws there agree.
    column, row, inside = tile_of(45.205, 22.152, 14)
    tile = Image.open(BytesIO(httpx.get(m.layers[0].url.format(z=14, x=column, y=row)).content)).convert("RGB")
    assert tile.getpixel(inside) == under

    with pytest.raises(InvalidArgument, match="PNG"):
        m.save("map.jpg")


def test_a_map_whose_tiles_cannot_be_had_is_not_saved(
    start_server: Callable[..., Any], own_data: Path, tmp_path: Path
) -> None:
    with start_server(own_data) as url:
        connected = el.connect(url)
        m = el.Map(center=(45.205, 22.152), zoom=14)
        m.add(RED, name="a")
    (tmp_path / "map.png").write_text("older")
    with pytest.raises(Unavailable):
        m.save(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_text() == "older"
    connected.close()


def tile_of(lat: float, lon: float, zoom: int) -> tuple[int, int, tuple[int, int]]:
    """Column and row of the tile, and the pixel in it."""
    x = (lon + 180) / 360 * 2**zoom * 256
    y = (0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)) * 2**zoom * 256
    return int(round(x) // 256), int(round(y) // 256), (round(x) % 256, round(y) % 256)


def test_layers_without_a_name_do_not_replace_each_other() -> None:
    m = el.Map()
    m.add(RED.color("viridis", vmin=0, vmax=1))
    m.add(RED.color("magma", vmin=0, vmax=1))
    m.add(RED.color("viridis", vmin=0, vmax=1))

    assert names(m)[1:] == ["sentinel2-series, B04", "sentinel2-series, B04 (2)"]


def test_remove_by_name_and_by_layer() -> None:
    m = el.Map()
    layer = m.add(RED, name="a")
    m.add(RED * 2, name="b")
    m.remove("b")
    assert cards(m)[0] == "a"
    m.remove(layer)
    assert len(m.layers) == len(m._panel.layers) == 1
    with pytest.raises(NotFound, match='No layer "a"'):
        m.remove("a")
    m.layers = ()
    assert m._panel.layers == []


def test_ipyleaflets_own_things_can_be_added() -> None:
    m = el.Map()
    marker = ipyleaflet.Marker(location=(45.2, 22.15))
    assert m.add(marker) is m
    assert marker in m.layers
    m.add(ipyleaflet.ScaleControl())
    m.remove(marker)
    assert marker not in m.layers
    with pytest.raises(NotFound):
        m.zoom_to(marker)


def test_what_is_no_layer_is_refused() -> None:
    m = el.Map()
    with pytest.raises(InvalidArgument, match="mosaic"):
        m.add(SERIES)
    with pytest.raises(InvalidArgument, match="cannot show a str"):
        m.add("red")


def test_an_empty_selection_names_the_nearest_date() -> None:
    m = el.Map()
    empty = el.ImageCollection("sentinel2-series").filter_date("2021").mosaic()["B04"]
    with pytest.raises(EmptySelection, match="0 items") as caught:
        m.add(empty.color("viridis", vmin=0, vmax=1))
    assert "2020-12-22" in str(caught.value)
    assert len(m._panel.layers) == 1


def test_a_wrong_band_is_refused_before_the_map_changes() -> None:
    m = el.Map()
    with pytest.raises(NotFound, match='"B4"'):
        m.add(SERIES.mosaic()["B4"])
    assert len(m.layers) == 1
