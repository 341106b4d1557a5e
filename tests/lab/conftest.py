"""A real Chromium with our modules and Leaflet served from a made-up origin: no server, no network."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route

from earthloom.lab.join import WEB

LEAFLET = files("js_lib_leaflet") / "static/js_lib_leaflet"
ORIGIN = "http://look.test"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty page at ORIGIN with look and Leaflet; an error in a script fails the test."""
    page = chromium.new_page(viewport={"width": 900, "height": 500})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/*", _answer)
    page.goto(f"{ORIGIN}/")
    yield page
    page.close()
    assert not errors


class Tiles:
    """A tile server in the page's network: red tiles, except where `broken` says so."""

    def __init__(self) -> None:
        self.broken: dict[str, dict[str, Any]] = {}  # "z/x/y" -> error as JSON
        self.status = 500  # of the broken ones
        self.asked: list[str] = []
        self.urls: list[str] = []
        self.logs: dict[str, list[dict[str, Any]]] = {}  # key -> lines of the log route
        self.points: dict[str, Any] = {}  # key -> answer of the point route

    def answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        self.urls.append(route.request.url)
        if "/logs/" in url.path:
            route.fulfill(json={"lines": self.logs[url.path.rsplit("/", 1)[1]]})
            return
        if "/point/" in url.path:
            query = {name: float(values[0]) for name, values in parse_qs(url.query).items() if name != "token"}
            answer = query | self.points[url.path.rsplit("/", 1)[1]]
            route.fulfill(json=answer)
            return
        tile = "/".join(url.path.removesuffix(".png").split("/")[-3:])
        self.asked.append(tile)
        if tile in self.broken:
            route.fulfill(status=self.status, json=self.broken[tile])
        else:
            file = BytesIO()
            Image.new("RGB", (256, 256), (200, 30, 30)).save(file, "png")
            route.fulfill(body=file.getvalue(), content_type="image/png")


@pytest.fixture
def tiles(page: Page) -> Tiles:
    tiles = Tiles()
    page.route(f"{ORIGIN}/tiles/**", tiles.answer)
    page.route(f"{ORIGIN}/point/**", tiles.answer)
    page.route(f"{ORIGIN}/logs/**", tiles.answer)
    return tiles


def _answer(route: Route) -> None:
    url = urlsplit(route.request.url)
    if f"{url.scheme}://{url.netloc}" != ORIGIN:
        route.abort()  # nothing of ours asks another host
        return
    name = url.path.removeprefix("/")
    if name == "":
        route.fulfill(
            content_type="text/html",
            body="""<!doctype html><html><head><meta charset="utf-8">
            <link rel="stylesheet" href="leaflet.css"><link rel="stylesheet" href="tokens.css">
            <link rel="stylesheet" href="look.css"><script src="leaflet.js"></script></head>
            <body style="margin: 0"><div id="root" class="el"></div></body></html>""",
        )
        return
    folder = LEAFLET if name.startswith("leaflet.") else WEB
    kind = {"js": "text/javascript", "css": "text/css"}[name.rsplit(".", 1)[1]]
    route.fulfill(body=(folder / name).read_bytes(), content_type=kind)
