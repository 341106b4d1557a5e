"""The server's page in Chromium over a real server: pictures, values, keys, links, failures, sign-in, a lost server."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect

from earthloom.server.tokens import Tokens

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Start = Callable[..., AbstractContextManager[str]]
Visit = Callable[..., Page]

LAT, LON, ZOOM = 37.698, -75.6115, 14
COAST = f"#{ZOOM}/{LAT}/{LON}"
FAILS = """def greenness(img, context):
    half = 1 / int(context.x[0] < -8417000)  # fails in the east
    return img[0] * half
"""


@dataclass(frozen=True)
class Server:
    """A server, and who shares there."""

    url: str
    client: httpx.Client

    def share(self, name: str, graph: dict[str, Any]) -> str:
        kept = self.client.post("/chains", json=graph)
        assert kept.status_code == 201, kept.text
        key = str(kept.json()["key"])
        assert self.client.post("/shared", json={"key": key, "name": name}).status_code == 201
        return key


def bands(*steps: tuple[str, dict[str, Any]], names: tuple[str, ...] = ("B04", "B08")) -> dict[str, Any]:
    """A mosaic of bands of the coast, and steps after it."""
    extent = {"spatial_extent": None, "temporal_extent": None}
    load = {"id": "sentinel2-coast", "bands": list(names), **extent}
    graph: dict[str, Any] = {"load": {"process_id": "load_collection", "arguments": load}}
    last = "load"
    for process, arguments in (("mosaic", {}), *steps):
        graph[process] = {"process_id": process, "arguments": {"data": {"from_node": last}, **arguments}}
        last = process
    graph[last]["result"] = True
    return graph


NDVI = bands(("ndvi", {"nir": "B08", "red": "B04"}), ("color", {"colors": "ylgn", "vmin": 0, "vmax": 0.9}))
COLOURS = bands(names=("B04", "B03", "B02"))
BROKEN = bands(("run_udf", {"udf": FAILS, "runtime": "Python", "context": {"function": "greenness"}}))


@pytest.fixture
def server(server: str) -> Iterator[Server]:
    """The worker's server, where nothing is shared when a test begins."""
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as client:
        for layer in client.get("/shared").json()["layers"]:
            client.delete(f"/shared/{layer['key']}").raise_for_status()
        yield Server(server, client)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens a page; it asks no other host, and no script of it fails or is refused."""
    pages: list[Page] = []
    said: list[str] = []
    asked: list[Request] = []

    def opened(url: str, width: int = 1280, height: int = 800) -> Page:
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(20_000)
        pages.append(page)
        page.on("request", lambda request: asked.append(request))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
        page.goto(url)
        return page

    yield opened
    hosts = {urlsplit(request.url).netloc for request in asked if request.url.startswith("http")}
    own = {urlsplit(page.url).netloc for page in pages}
    for page in pages:
        page.close()
    assert said == []
    assert hosts == own


def drawn(page: Page, layers: int) -> None:
    """Wait until so many layers have a card and no tile is on its way."""
    expect(page.locator(".el-layer")).to_have_count(layers)
    expect(page.locator(".status [role=status]")).to_have_text("")
    page.wait_for_timeout(700)  # Leaflet fades tiles in
    expect(page.locator(".el-map-line")).to_have_attribute("aria-valuenow", "100")


def picture(page: Page) -> Image.Image:
    return Image.open(BytesIO(page.screenshot())).convert("RGB")


def tile_colour(server: Server, key: str, dx: int, dy: int) -> tuple[int, ...]:
    """The server's colour of a layer, so many pixels from the middle of the view at COAST."""
    size = 256 * 2**ZOOM
    x = round((LON + 180) / 360 * size) + dx
    y = round((0.5 - math.asinh(math.tan(math.radians(LAT))) / (2 * math.pi)) * size) + dy
    answer = server.client.get(f"/tiles/{key}/{ZOOM}/{x // 256}/{y // 256}.png")
    return Image.open(BytesIO(answer.content)).convert("RGBA").getpixel((x % 256, y % 256))  # type: ignore[return-value]


def test_layers_are_drawn_as_the_server_paints_them(server: Server, visit: Visit, tmp_path: Path) -> None:
    server.share("True colour", COLOURS)
    key = server.share("NDVI", NDVI)
    page = visit(f"{server.url}/?theme=light{COAST}")

    drawn(page, 2)
    seen = picture(page)
    places = [(dx, dy) for dx in (-150, -60, 40, 130, 220) for dy in (-200, -90, 30, 160, 210)]
    for dx, dy in places:
        colour = tile_colour(server, key, dx, dy)
        near = [seen.getpixel((640 + dx + i, 400 + dy + j)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        assert colour[:3] in near, (dx, dy)
        assert colour[3] == 255
    assert len({tile_colour(server, key, *place) for place in places}) > 5
    expect(page.locator(".el-layer .name")).to_have_text(["NDVI", "True colour"])
    expect(page.locator(".el-layer").first.locator(".tick")).to_have_text(["0.0", "0.2", "0.4", "0.6", "0.8"])
    expect(page.locator(".el-layer").last.locator(".el-rgb")).to_contain_text("B04")
    expect(page.locator(".side footer")).to_have_text("2 layers drawn, 2 shared on this server")
    expect(page.locator(".status")).to_contain_text("Contains modified Copernicus Sentinel data")
    page.screenshot(path=tmp_path / "light.png")

    page.locator(".el-layer input[type=range]").first.fill("0")
    page.wait_for_timeout(300)
    assert picture(page).getpixel((640, 400)) != seen.getpixel((640, 400))
    page.get_by_role("radio", name="Plain").click()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="Blue Marble")).to_be_checked()


def test_values_follow_the_pointer_and_are_held(server: Server, visit: Visit) -> None:
    key = server.share("NDVI", NDVI)
    page = visit(f"{server.url}/{COAST}")
    drawn(page, 1)
    inspect = page.locator(".el-inspect")
    expect(inspect).to_have_text("Point at the map to read values; click to hold them.")

    page.mouse.move(600, 380)
    expect(inspect.locator("td b")).to_have_count(1)
    page.mouse.click(640, 400)
    expect(page.locator(".el-pin")).to_be_visible()
    expect(inspect.get_by_role("button", name="Let go (Esc)")).to_be_visible()
    expect(inspect).not_to_have_class(re.compile("wait"))
    asked = server.client.get(f"/point/{key}", params={"lon": LON, "lat": LAT, "z": ZOOM}).json()["values"]
    assert float(inspect.locator("td b").inner_text().replace("−", "-")) == pytest.approx(asked, abs=0.02)
    expect(page.locator(".el-ramp .here")).to_be_visible()
    page.mouse.move(500, 700)  # what is held stays
    page.keyboard.press("Escape")
    expect(page.locator(".el-pin")).to_have_count(0)


def test_all_can_be_done_with_keys_and_told_by_a_link(server: Server, visit: Visit) -> None:
    server.share("True colour", COLOURS)
    key = server.share("NDVI", NDVI)
    page = visit(f"{server.url}/{COAST}")
    drawn(page, 2)

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Map"
    page.keyboard.press("Enter")
    expect(page.locator(".el-pin")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".el-pin")).to_have_count(0)
    page.keyboard.press("+")
    expect(page.locator(".status")).to_contain_text(f"Zoom {ZOOM + 1}")
    page.keyboard.press("Home")
    expect(page.locator(".status")).to_contain_text(f"Zoom {ZOOM} ")
    page.keyboard.press("l")
    expect(page.locator(".list")).to_be_hidden()
    page.keyboard.press("l")
    page.keyboard.press("2")
    expect(page.locator(".el-layer").last).to_have_class(re.compile(r"\boff\b"))
    page.locator(".el-layer input[type=range]").first.fill("40")
    page.locator("main").focus()
    page.keyboard.press("s")
    dialog = page.get_by_role("dialog", name="Share this view")
    link = dialog.get_by_label("Link").input_value()
    assert link == f"{server.url}/#{ZOOM}/{LAT:.4f}/{LON:.4f}/{key[:12]}@40"
    dialog.get_by_role("button", name="XYZ").click()
    assert dialog.get_by_label("Link").input_value() == f"{server.url}/tiles/{key}/{{z}}/{{x}}/{{y}}.png"
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    other = visit(link)
    drawn(other, 2)
    expect(other.locator(".el-layer output").first).to_have_text("40\u202f%")
    expect(other.locator(".el-layer").last).to_have_class(re.compile(r"\boff\b"))
    expect(other.locator(".status")).to_contain_text(f"Zoom {ZOOM} ")


def test_a_failed_tile_is_hatched_and_its_reason_told(server: Server, visit: Visit, tmp_path: Path) -> None:
    server.share("Greenness", BROKEN)
    page = visit(f"{server.url}/?theme=dark{COAST}")
    drawn(page, 1)

    said = page.get_by_role("alert")
    expect(said).to_contain_text(
        re.compile(r"^Your function failed in greenness, line 2: ZeroDivisionError: division by zero\. \d+ tiles\.")
    )
    expect(page.locator(".el-layer .bad")).to_contain_text(re.compile(r"\d+ tiles failed"))
    hatched = page.locator("img.leaflet-tile[src^='data:image/svg+xml']")
    assert 0 < hatched.count() < page.locator("img.leaflet-tile").count()
    said.get_by_role("button", name="Show line").click()
    expect(page.locator(".el-reader pre")).to_contain_text("half = 1 / int(context.x[0] < -8417000)")
    page.screenshot(path=tmp_path / "dark.png")
    page.keyboard.press("Escape")
    expect(page.locator(".el-reader")).to_be_hidden()
    said.get_by_role("button", name="Close").click()
    expect(said).to_have_count(0)


def test_a_layer_appears_when_it_is_shared_and_goes_when_it_is_taken_back(server: Server, visit: Visit) -> None:
    page = visit(f"{server.url}/")
    expect(page.locator(".list")).to_contain_text("No layers are shared yet.")
    expect(page.locator(".list code")).to_have_text('m.share(ndvi, "NDVI")')

    key = server.share("NDVI", NDVI)
    drawn(page, 1)
    expect(page).to_have_url(re.compile(rf"#1[34]/37\.69\d\d/-75\.\d{{4}}/{key[:12]}$"))  # it went there
    server.client.delete(f"/shared/{key}").raise_for_status()
    expect(page.locator(".list")).to_contain_text("No layers are shared yet.")


def test_a_token_is_asked_for_and_travels_in_no_address(
    own_data: Path, start_server: Start, visit: Visit, tmp_path: Path
) -> None:
    token = Tokens(own_data).add("anna")
    bearer = {"Authorization": f"Bearer {token}"}
    with start_server(own_data, "--allowed-hosts", "maps.test") as url:
        with httpx.Client(base_url=url, headers=bearer, trust_env=False, timeout=60) as client:
            Server(url, client).share("NDVI", NDVI)
        page = visit(f"{url}/{COAST}")
        expect(page.locator(".list")).to_contain_text("This server answers only with a token.")
        page.screenshot(path=tmp_path / "token.png")
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator(".list")).to_contain_text("Nobody has this token here.")
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        drawn(page, 1)

        other = visit(f"{url}/?token={token}{COAST}")
        asked: list[str] = []
        other.on("request", lambda request: asked.append(request.url))
        drawn(other, 1)
        expect(other.locator(".el-layer")).to_contain_text("Shared by anna")
        other.reload()
        drawn(other, 1)
        assert asked
        assert not [address for address in [other.url, *asked] if token in address]


def test_a_server_that_is_gone_is_told_and_found_again(own_data: Path, start_server: Start, visit: Visit) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with ExitStack() as first:
        url = first.enter_context(start_server(own_data, "--port", port))
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            Server(url, client).share("NDVI", NDVI)
        page = visit(f"{url}/{COAST}")
        drawn(page, 1)
    said = page.get_by_role("alert")
    expect(said).to_contain_text(re.compile(r"The server has not answered since \d\d:\d\d\. What is drawn stays\."))
    expect(page.locator("img.leaflet-tile").first).to_be_visible()
    page.locator("main").focus()
    page.keyboard.press("-")  # tiles that nobody can give now
    with start_server(own_data, "--port", port):
        said.get_by_role("button", name="Try now").click()
        expect(said).to_have_count(0)
        drawn(page, 1)
        expect(page.locator("img.leaflet-tile[src^='data:']")).to_have_count(0)


def test_on_a_narrow_screen_the_list_is_a_sheet_and_nothing_lies_over_another(
    server: Server, visit: Visit, tmp_path: Path
) -> None:
    server.share("NDVI", NDVI)
    server.share("Greenness", BROKEN)
    page = visit(f"{server.url}/{COAST}", width=390, height=780)
    drawn(page, 2)
    expect(page.get_by_role("alert")).to_be_visible()
    page.screenshot(path=tmp_path / "narrow.png")

    boxes = [page.locator(part).bounding_box() for part in (".side", ".status", ".say", ".right")]
    for i, one in enumerate(boxes):
        assert one is not None
        assert one["x"] >= 0
        assert one["x"] + one["width"] <= 390
        for other in boxes[i + 1 :]:
            assert other is not None
            apart = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
            beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            assert apart or beside
