"""The notebook map's panel over a real Leaflet map; the widget manager and its models are stood in by a few lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser

# What the panel uses of Jupyter's models and of ipyleaflet's views.
STAND_IN = """
async (layers) => {
    class Model {
        constructor(traits) { Object.assign(this, { traits, heard: [], saved: 0 }); }
        get(name) { return this.traits[name]; }
        set(name, value) {
            this.traits[name] = value;
            for (const [heard, f] of this.heard) if (heard === `change:${name}`) f();
        }
        save_changes() { this.saved++; }
        send(message) { (this.sent ??= []).push(message); }
        on(name, f) { this.heard.push([name, f]); }
        off(name, f) { this.heard = this.heard.filter(([n, g]) => n !== name || g !== f); }
    }
    const root = document.getElementById("root");
    const div = document.createElement("div");
    div.style.cssText = "width: 900px; height: 500px";
    root.replaceChildren(div);
    const map = L.map(div, { zoomControl: false }).setView([45.2, 22.15], 10);
    const viewOf = (layer) => {
        const model = new Model({ visible: true, opacity: 1, url: layer.url });
        model.model_id = layer.id;
        const obj = L.tileLayer(layer.url, { maxZoom: 22 }).addTo(map);
        // As ipyleaflet does it.
        model.on("change:url", () => { obj.setUrl(model.get("url"), true); obj.refresh(); });
        const heard = [];
        const remove = () => { obj.remove(); heard.forEach((f) => f()); };
        return { model, obj, remove, once: (name, f) => heard.push(f) };
    };
    const views = layers.map(viewOf);
    const mapModel = new Model({});
    const mapView = { obj: map, layer_views: { views: views.map((view) => Promise.resolve(view)) } };
    mapModel.views = { one: Promise.resolve(mapView) };
    const model = new Model({ map_id: "map", layers, held: null, folded: false });
    model.widget_manager = { get_model: async () => mapModel };
    const el = document.createElement("div");
    const control = L.control({ position: "topright" });
    control.onAdd = () => { L.DomEvent.disableClickPropagation(el); return el; };
    const { render } = await import("/panel.js");
    window.end = render({ model, el });
    control.addTo(map);
    Object.assign(window, { map, model, views, viewOf, mapView });
}
"""

NDVI: dict[str, Any] = {
    "id": "a",
    "name": "NDVI",
    "url": "http://look.test/tiles/k1/{z}/{x}/{y}.png",
    "health": "http://look.test/health",
    "point": "http://look.test/point/k1",
    "bbox": [22.14, 45.19, 22.16, 45.21],
    "legend": {
        "kind": "ramp",
        "quantity": "NDVI",
        "unit": "",
        "range": [0, 0.9],
        "stops": [[0, "#ff0000"], [0.9, "#008000"]],
        "beyond": [False, True],
    },
}
BASE: dict[str, Any] = {
    "id": "base",
    "name": "Blue Marble",
    "url": "http://look.test/tiles/b1/{z}/{x}/{y}.png",
    "health": "http://look.test/health",
    "point": None,
    "bbox": None,
    "legend": None,
}
TRUNCATED = {
    "code": "read-error",
    "message": "file truncated at byte 12288",
    "hint": "",
    "near": [],
    "where": {"band": "B08", "item": "S2_20201003"},
}


TRACEBACK = """  line 6 of greenness
    return ratio(img)
  line 2 of ratio
    return img[300] / <b>img</b>
IndexError: index 300 is out of bounds"""


def failed(message: str, line: int = 4, place: str = "11/1150/736") -> dict[str, Any]:
    """What the server answers for a tile whose function raised."""
    where = {"function": "greenness", "line": line, "place": place, "reason": "exception", "traceback": TRACEBACK}
    return {"code": "function-failed", "message": message, "hint": "Look at img.shape.", "near": [], "where": where}


def replace(shown: Page, layer: dict[str, Any]) -> None:
    """What `m.add` sends to the browser for a layer that is there: its new address, then its new card."""
    shown.evaluate(
        """([layer, base]) => {
            if (views[0].model.get("url") !== layer.url) views[0].model.set("url", layer.url);
            setTimeout(() => model.set("layers", [layer, base]));
        }""",
        [layer, BASE],
    )


@pytest.fixture
def shown(page: Page, tiles: Any) -> Page:
    """A page with a map of two layers at zoom 10 around 22.15 E 45.2 N, the panel on it."""
    tiles.points["k1"] = {"dims": [], "labels": {}, "values": 0.45}
    page.evaluate(STAND_IN, [NDVI, BASE])
    expect(page.locator(".el-layer")).to_have_count(2)
    return page


def test_a_card_for_each_layer_with_its_legend(shown: Page) -> None:
    assert shown.locator(".el-layer .name").all_inner_texts() == ["NDVI", "Blue Marble"]
    expect(shown.locator(".el-ramp")).to_have_count(1)


def test_notes_of_a_chain_stand_in_its_card(shown: Page) -> None:
    replace(shown, NDVI | {"notes": ["The newest of <i>33</i> dates is shown."]})
    expect(shown.locator(".el-layer .notes").first).to_have_text("The newest of <i>33</i> dates is shown.")


def test_tiles_are_counted_until_all_are_there(shown: Page, tiles: Any) -> None:
    expect(shown.locator(".el-map-line")).to_have_attribute("aria-valuenow", "100")
    expect(shown.locator(".leaflet-tile-loaded")).to_have_count(shown.locator(".leaflet-tile").count())
    assert tiles.asked


def test_a_failed_tile_is_hatched_and_told_with_its_reason(shown: Page, tiles: Any) -> None:
    tiles.broken["11/1150/736"] = TRUNCATED
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    notice = shown.locator(".el-notice.bad")
    expect(notice).to_contain_text("2 tiles failed: B08 of S2_20201003: file truncated at byte 12288")
    expect(shown.locator('img[src^="data:image/svg+xml"]')).to_have_count(2)  # one of each layer
    expect(shown.locator(".el-layer .bad b").first).to_have_text("1 tile failed")

    tiles.broken.clear()
    shown.locator(".el-layer .bad button").first.click()
    expect(notice).to_contain_text("1 tile failed:")
    notice.get_by_text("Retry").click()
    expect(notice).to_have_count(0)
    expect(shown.locator('img[src^="data:image/svg+xml"]')).to_have_count(0)


def test_blocks_of_one_file_are_one_reason(shown: Page, tiles: Any) -> None:
    for i, tile in enumerate(("11/1149/736", "11/1150/736", "11/1151/736")):
        where = {"item": "S2_20201003", "file": "B08.tif"}
        tiles.broken[tile] = {"code": "read-error", "message": f"Block {i} of B08.tif is damaged.", "where": where}
    tiles.broken["11/1150/735"] = {"code": "read-error", "message": "Missing.", "where": {"item": "S2_20201008"}}
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    expect(shown.locator(".el-notice")).to_contain_text("6 tiles failed: S2_20201003: Block")
    expect(shown.locator(".el-notice")).to_contain_text("is damaged. (and 1 other reason)")


def test_a_failure_is_forgotten_when_its_tile_leaves_the_map(shown: Page, tiles: Any) -> None:
    tiles.broken["11/1150/736"] = TRUNCATED
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    expect(shown.locator(".el-notice.bad")).to_have_count(1)
    shown.evaluate("map.setView([-45, -70], 9, { animate: false })")
    expect(shown.locator(".el-notice.bad")).to_have_count(0)


SILENT = re.compile(
    r"^The server has not answered since \d\d:\d\d\. What is drawn stays\. Next try in (\d+) s\.Try now$"
)


def fall_silent(shown: Page) -> None:
    shown.route("http://look.test/**", lambda route: route.abort())


def test_a_silent_server_is_told_and_comes_back_by_itself(shown: Page, tiles: Any) -> None:
    expect(shown.locator(".leaflet-tile-loaded")).to_have_count(shown.locator(".leaflet-tile").count())
    fall_silent(shown)
    shown.evaluate("map.setView([45.2, 22.15], 12, { animate: false })")
    notice = shown.locator(".el-notice.bad")
    expect(notice).to_have_text(SILENT)
    expect(shown.locator('img[src^="data:image/svg+xml"]').first).to_be_attached()

    shown.unroute("http://look.test/**")
    shown.route("http://look.test/health", lambda route: route.fulfill(json={"title": "Earthloom"}))
    expect(notice).to_have_count(0, timeout=15_000)
    expect(shown.locator(".el-map-line")).to_have_attribute("aria-valuenow", "100")
    expect(shown.locator('img[src^="data:image/svg+xml"]')).to_have_count(0)
    assert shown.evaluate("model.sent")[0] == {"kind": "silent"}  # the kernel may start its engine again


def test_a_silent_server_is_asked_at_longer_and_longer_intervals_or_at_once(shown: Page, tiles: Any) -> None:
    fall_silent(shown)
    shown.mouse.click(450, 250)  # a value is asked for in vain
    notice = shown.locator(".el-notice.bad")
    expect(notice).to_have_text(re.compile("Next try in [34] s"))
    expect(shown.locator(".el-inspect tr")).to_have_text("NDVIthe server does not answer")

    shown.unroute("http://look.test/**")
    shown.route("http://look.test/health", lambda route: route.fulfill(status=502, body="<html>"))
    notice.get_by_text("Try now").click()
    expect(notice).to_have_text(re.compile("Next try in [78] s"))  # a proxy's answer is none
    shown.unroute("http://look.test/health")
    shown.route("http://look.test/health", lambda route: route.fulfill(json={"title": "Earthloom"}))
    tiles.points["k1"] = {"dims": [], "labels": {}, "values": 0.45}
    shown.route("http://look.test/point/**", tiles.answer)
    notice.get_by_text("Try now").click()
    expect(notice).to_have_count(0)
    expect(shown.locator(".el-inspect tr")).to_have_text("NDVI0.45")


def test_a_server_that_moved_is_found_where_the_kernel_says(shown: Page, tiles: Any) -> None:
    fall_silent(shown)
    shown.evaluate("map.setView([45.2, 22.15], 12, { animate: false })")
    expect(shown.locator(".el-notice.bad")).to_have_text(SILENT)
    shown.route("http://look.test/new/**", tiles.answer)
    moved = {name: NDVI[name].replace("look.test/", "look.test/new/") for name in ("url", "health", "point")}
    shown.route("http://look.test/new/health", lambda route: route.fulfill(json={"title": "Earthloom"}))
    base = {name: BASE[name].replace("look.test/", "look.test/new/") for name in ("url", "health")}
    shown.evaluate(
        """([layer, base]) => {
            views[0].model.set("url", layer.url);
            views[1].model.set("url", base.url);
            model.set("layers", [layer, base]);
        }""",
        [NDVI | moved, BASE | base],
    )
    expect(shown.locator(".el-notice")).to_have_count(0, timeout=15_000)
    expect(shown.locator('img[src^="data:image/svg+xml"]')).to_have_count(0)


def test_a_busy_server_is_asked_again_when_it_says(shown: Page, tiles: Any) -> None:
    busy = ["11/1150/736"]

    def answer(route: Route) -> None:
        if busy and route.request.url.endswith(f"{busy[0]}.png"):
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"code": "busy", "message": "Busy."})
        else:
            tiles.answer(route)

    shown.route("http://look.test/tiles/**", answer)
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    notice = shown.locator(".el-notice.note")
    expect(notice).to_have_text("The server is busy. 2 tiles wait; next try in 1 s.")
    expect(shown.locator('img[src^="data:image/svg+xml"][src*="pattern"]')).to_have_count(0)  # waiting is not failing
    expect(shown.locator(".el-map-line")).not_to_have_attribute("aria-valuenow", "100")
    busy.clear()
    expect(shown.locator(".el-map-line")).to_have_attribute("aria-valuenow", "100")
    expect(notice).to_have_count(0)
    expect(shown.locator('img[src^="data:image/svg+xml"]')).to_have_count(0)


def test_a_closed_notice_stays_closed(shown: Page, tiles: Any) -> None:
    tiles.broken["11/1150/736"] = TRUNCATED
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    shown.locator(".el-notice").get_by_role("button", name="Close").click()
    shown.evaluate("map.panBy([1, 1], { animate: false })")
    shown.wait_for_timeout(100)
    expect(shown.locator(".el-notice")).to_have_count(0)

    shown.evaluate("map.setView([45.2, 22.15], 10, { animate: false })")
    shown.wait_for_timeout(100)
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    expect(shown.locator(".el-notice")).to_contain_text("2 tiles failed")  # it was gone, and came again


def test_a_users_function_that_fails_is_told_with_its_line(shown: Page, tiles: Any, tmp_path: Path) -> None:
    tiles.status = 422
    for i, tile in enumerate(("11/1149/736", "11/1150/736", "11/1151/736")):
        tiles.broken[tile] = failed(f"IndexError: index {300 + i} is out of bounds", place=tile)
    tiles.broken["11/1150/735"] = failed("ValueError: all bad", line=5)
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    notice = shown.locator(".el-notice.bad")
    expect(notice).to_have_text(
        re.compile(
            r"Your function failed in greenness, line 4: IndexError: index 30\d is out of bounds\. "
            r"Look at img\.shape\. 6 tiles \(and 1 other reason\)\.Show lineRetry"
        )
    )
    expect(notice.locator("code")).to_have_text("greenness")

    notice.get_by_text("Show line").click()
    read = shown.locator(".el-reader")
    expect(read.locator("b")).to_have_text("greenness, line 4")
    expect(read.locator("pre")).to_have_text(TRACEBACK)  # as text: the <b> in it is no element
    expect(read.locator("pre b")).to_have_count(0)
    shown.screenshot(path=tmp_path / "line.png")
    shown.mouse.wheel(0, 100)
    assert shown.evaluate("map.getZoom()") == 11  # what happens in the text is not the map's
    shown.keyboard.press("Escape")
    expect(read).to_be_hidden()
    expect(shown.locator(".leaflet-container")).to_be_focused()


def test_lines_that_failed_close_when_another_chain_comes(shown: Page, tiles: Any) -> None:
    tiles.broken["11/1150/736"] = failed("ZeroDivisionError: division by zero")
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    shown.get_by_text("Show line").click()
    tiles.broken.clear()
    replace(shown, NDVI | {"url": NDVI["url"].replace("k1", "k2")})
    expect(shown.locator(".el-reader")).to_be_hidden()


def test_a_long_message_of_a_function_is_cut(shown: Page, tiles: Any) -> None:
    tiles.broken["11/1150/736"] = failed("ValueError: " + "no " * 700)
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    expect(shown.locator(".el-notice")).to_contain_text("no \u2026")
    box = shown.locator(".el-say").bounding_box()
    assert box is not None
    assert box["height"] < 112  # so much is left below the layers


@pytest.mark.parametrize(
    ("status", "code", "message", "told"),
    [
        (501, "not-supported", "No seccomp here.", "Not possible on this server. No seccomp here. 2 tiles."),
        (401, "unauthorized", "Nobody has it.", "Your sign-in has ended. Layers stay; 2 tiles: Nobody has it.Retry"),
    ],
)
def test_what_a_server_refuses_is_told(
    shown: Page, tiles: Any, status: int, code: str, message: str, told: str
) -> None:
    tiles.status = status
    tiles.broken["11/1150/736"] = {"code": code, "message": message, "hint": "", "where": {}}
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    expect(shown.locator(".el-notice.bad")).to_have_text(told)


def test_what_functions_print_is_counted_and_read(shown: Page, tiles: Any, tmp_path: Path) -> None:
    line = {"time": "2026-11-25T12:00:00Z", "place": "10/575/368", "stream": "stdout", "text": "<b>min 0.1</b>"}
    tiles.logs["k1"] = [line | {"text": f"line {i}"} for i in range(40)] + [line]
    tiles.logs["k1"] += [line | {"stream": "warning", "text": "RuntimeWarning: divide by zero\nin two lines"}]
    replace(shown, NDVI | {"logs": "http://look.test/logs/k1?token=t"})
    shown.evaluate("views[0].obj.redraw()")
    count = shown.locator(".el-layer .printed button")
    expect(count.first).to_have_text("41 lines printed, 1 warning")
    expect(count.nth(1)).to_be_hidden()

    count.first.click()
    read = shown.locator(".el-reader")
    expect(read.locator("tr")).to_have_count(42)
    expect(read.locator("tr").nth(40).locator("td").last).to_have_text("<b>min 0.1</b>")
    expect(read.locator("tr").last).to_contain_text("warning: RuntimeWarning: divide by zero")
    expect(read.locator("tr").last).to_be_in_viewport()  # the newest
    shown.screenshot(path=tmp_path / "log.png")

    tiles.logs["k1"].append(line | {"text": "and one more"})
    shown.evaluate("views[0].obj.redraw()")
    expect(read.locator("tr").last).to_contain_text("and one more")
    expect(count.first).to_have_text("42 lines printed, 1 warning")
    read.get_by_role("button", name="Close").click()
    expect(read).to_be_hidden()


def test_logs_are_asked_for_at_most_every_two_seconds(shown: Page, tiles: Any) -> None:
    tiles.logs["k1"] = []
    replace(shown, NDVI | {"logs": "http://look.test/logs/k1"})
    for _ in range(10):
        shown.evaluate("views[0].obj.redraw()")
        shown.wait_for_timeout(150)
    assert 1 <= sum("/logs/" in url for url in tiles.urls) <= 2
    expect(shown.locator(".el-layer .printed").first).to_be_hidden()


def test_a_layer_takes_another_chain_in_its_place(shown: Page, tiles: Any) -> None:
    expect(shown.locator(".el-map-line")).to_have_attribute("aria-valuenow", "100")
    shown.get_by_role("button", name="Opacity and order of NDVI").click()
    above = shown.evaluate_handle("views[1].obj._container.querySelector('img')")
    tiles.urls.clear()
    tiles.broken["10/574/368"] = TRUNCATED
    legend = NDVI["legend"] | {"quantity": "EVI"}
    # What is on the screen at each frame: the chain of the tiles that are drawn, and the legend.
    shown.evaluate(
        """() => {
            window.frames = new Set();
            (function look() {
                const tiles = [...views[0].obj._container.querySelectorAll("img")];
                const chain = [...new Set(tiles.map((img) => img.src.split("/")[4]).filter(Boolean))].join("+");
                window.frames.add(`${chain} ${document.querySelector(".el-layer .cap")?.textContent}`);
                requestAnimationFrame(look);
            })();
        }"""
    )
    replace(shown, NDVI | {"url": NDVI["url"].replace("k1", "k2") + "?token=a%2Fb", "legend": legend})
    expect(shown.locator(".el-legend .cap")).to_have_text("EVI")
    expect(shown.locator(".el-notice")).to_contain_text("1 tile failed")
    drawn = shown.evaluate("[...views[0].obj._container.querySelectorAll('img')].map((img) => img.src)")
    assert all(
        "/k2/" in url or url.startswith("data:") for url in drawn
    )  # no old picture is left where a new one failed
    assert all(url.endswith(".png?token=a%2Fb") for url in tiles.urls if "/tiles/" in url)
    assert shown.evaluate("(img) => img.isConnected", above)  # the other layer is as it was
    expect(shown.get_by_role("slider", name="Opacity").first).to_be_visible()  # and so is the card
    assert "k1 EVI" not in shown.evaluate("[...window.frames]")


def test_a_layer_that_is_made_anew_is_heard_again(shown: Page, tiles: Any) -> None:
    # So ipyleaflet does with the layers above one that goes.
    shown.evaluate(
        """(layer) => {
            const [old] = views;
            views[0] = viewOf(layer);
            mapView.layer_views.views[0] = Promise.resolve(views[0]);
            old.remove();
        }""",
        NDVI,
    )
    tiles.broken["11/1150/736"] = TRUNCATED
    shown.wait_for_timeout(100)
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    expect(shown.locator(".el-notice")).to_contain_text("2 tiles failed")
    shown.get_by_role("button", name="Hide NDVI").click()
    assert shown.evaluate("map.hasLayer(views[0].obj)") is False


def test_of_layers_that_follow_each_other_quickly_the_last_stays(shown: Page) -> None:
    # A view that never comes: its layer was taken off before the browser saw it.
    shown.evaluate("(gone) => model.set('layers', [gone, ...model.get('layers')])", NDVI | {"id": "never", "name": "x"})
    shown.wait_for_timeout(50)
    shown.evaluate("([ndvi, base]) => model.set('layers', [ndvi, base])", [NDVI | {"name": "NDVI"}, BASE])
    shown.wait_for_timeout(50)
    assert shown.locator(".el-layer .name").all_inner_texts() == ["NDVI", "Blue Marble"]


def test_a_point_with_a_token_is_asked_with_it(shown: Page, tiles: Any) -> None:
    replace(shown, NDVI | {"point": "http://look.test/point/k1?token=a%2Fb"})
    shown.mouse.click(450, 250)
    expect(shown.locator(".el-inspect tr")).to_have_text("NDVI0.45")
    # Where the pointer rested before, the address without a token was asked.
    assert any("k1?token=a%2Fb&lon=22.1" in url for url in tiles.urls if "/point/" in url)


def test_a_click_holds_values_and_escape_lets_go(shown: Page) -> None:
    shown.mouse.click(450, 250)
    expect(shown.locator(".el-inspect tr")).to_have_text("NDVI0.45")
    expect(shown.locator(".el-pin")).to_be_visible()
    expect(shown.locator(".el-ramp .here")).to_be_visible()
    held = shown.evaluate("model.get('held')")
    assert held["lat"] == pytest.approx(45.2, abs=1e-3)
    assert held["lon"] == pytest.approx(22.15, abs=1e-3)

    shown.mouse.move(200, 200)
    shown.keyboard.press("Escape")
    assert shown.evaluate("model.get('held')") is None
    expect(shown.locator(".el-pin")).to_be_hidden()


def test_no_value_is_told_in_words(shown: Page, tiles: Any) -> None:
    tiles.points["k1"] = {"dims": [], "labels": {}, "values": None}
    shown.mouse.click(450, 250)
    expect(shown.locator(".el-inspect tr")).to_have_text("NDVImasked or no data")
    shown.mouse.click(100, 200)
    expect(shown.locator(".el-inspect tr")).to_have_text("NDVIoutside the data")


def test_of_several_dates_the_newest_value_is_told_and_all_are_listed(shown: Page, tiles: Any, tmp_path: Path) -> None:
    labels = {"t": ["2020-05-01", "2020-06-01"], "bands": ["B04", "B08"]}
    tiles.points["k1"] = {"dims": ["t", "bands"], "labels": labels, "values": [[0.1, 0.2], [None, 0.4]]}
    shown.mouse.click(450, 250)
    rows = shown.locator(".el-inspect .dates tr")
    expect(rows).to_have_text(["2020-06-01–  0.4", "2020-05-010.1  0.2"])
    expect(shown.locator(".el-inspect tr").first).to_have_text("NDVI0.1  0.4")
    tiles.points["k1"]["values"][0] = [None, None]
    shown.mouse.click(460, 250)
    expect(rows.last).to_have_text("2020-05-01masked")
    shown.screenshot(path=tmp_path / "dates.png")
    shown.keyboard.press("Escape")
    expect(rows).to_have_count(0)  # under the pointer the newest alone


def test_the_eye_takes_the_layer_off_the_map(shown: Page, tiles: Any) -> None:
    shown.get_by_role("button", name="Hide NDVI").click()
    assert shown.evaluate("views[0].model.get('visible')") is False
    assert shown.evaluate("map.hasLayer(views[0].obj)") is False
    assert shown.evaluate("views[0].model.saved") == 1

    shown.get_by_role("button", name="Show NDVI").click()
    assert shown.evaluate("map.hasLayer(views[0].obj)") is True
    order = shown.evaluate("views.map((view) => Number(view.obj.options.zIndex))")
    assert order[0] > order[1]


def test_a_layer_outside_the_view_says_so_and_leads_there(shown: Page) -> None:
    shown.evaluate("map.setView([-45, -70], 9, { animate: false })")
    there = shown.get_by_text("Go there").first
    expect(there).to_be_visible()
    there.click()
    expect(there).to_be_hidden()
    assert shown.evaluate("map.getCenter().lat") == pytest.approx(45.2, abs=0.01)


def test_keys_fold_and_hide_while_the_focus_is_in_the_map(shown: Page) -> None:
    shown.locator(".leaflet-container").focus()
    shown.keyboard.press("l")
    expect(shown.locator(".el-layers .cards")).to_be_hidden()
    shown.keyboard.press("1")
    assert shown.evaluate("views[0].model.get('visible')") is False
    shown.keyboard.press("Enter")
    assert shown.evaluate("model.get('held').lat") == pytest.approx(45.2)


def test_opacity_stands_under_more(shown: Page) -> None:
    slider = shown.get_by_role("slider", name="Opacity").first
    expect(slider).to_be_hidden()
    shown.get_by_role("button", name="Opacity and order of NDVI").click()
    slider.fill("40")
    assert shown.evaluate("views[0].model.get('opacity')") == pytest.approx(0.4)
    expect(shown.locator(".el-opacity output").first).to_have_text("40\u202f%")


def test_layers_are_moved_up_and_down(shown: Page) -> None:
    def heights() -> list[float]:
        return list(shown.evaluate("views.map((view) => Number(view.obj.options.zIndex))"))

    assert heights() == [2, 1]
    shown.get_by_role("button", name="Opacity and order of NDVI").click()
    shown.get_by_text("Move down").first.click()
    expect(shown.locator(".el-layer .name")).to_have_text(["Blue Marble", "NDVI"])
    assert [layer["id"] for layer in shown.evaluate("model.get('layers')")] == ["base", "a"]
    assert heights() == [1, 2]
    expect(shown.get_by_text("Move down").last).to_be_focused()
    shown.keyboard.press("Enter")  # it is the last: nothing happens
    expect(shown.locator(".el-layer .name")).to_have_text(["Blue Marble", "NDVI"])
    shown.get_by_text("Move up").last.click()
    expect(shown.locator(".el-layer .name")).to_have_text(["NDVI", "Blue Marble"])
    assert heights() == [2, 1]


def test_the_end_takes_everything_off_the_map(shown: Page) -> None:
    shown.evaluate("window.end()")
    for part in (".el-map-line", ".el-tools", ".el-inspect", ".el-pin", ".el-map-scale"):
        expect(shown.locator(part)).to_have_count(0)


@pytest.mark.parametrize(("width", "theme"), [(900, "light"), (560, "dark")])
def test_the_parts_do_not_overlap(shown: Page, tiles: Any, tmp_path: Path, width: int, theme: str) -> None:
    shown.evaluate("(theme) => document.getElementById('root').dataset.theme = theme", theme)
    shown.evaluate("(w) => { map.getContainer().style.width = `${w}px`; map.invalidateSize(); }", width)
    trace = "".join(f"  line {i}, in f{i}\n    return f{i + 1}(img, and, many, more, arguments)\n" for i in range(20))
    tiles.broken["11/1150/736"] = failed("ValueError: " + "no " * 30)
    tiles.broken["11/1150/736"]["where"]["traceback"] = trace
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    shown.get_by_text("Show line").click()
    shown.evaluate("map.attributionControl.addAttribution('Data of somebody '.repeat(9))")
    shown.mouse.click(100, 350)
    expect(shown.locator(".el-notice.bad")).to_be_visible()
    expect(shown.locator(".el-inspect tr")).to_have_count(1)
    shown.screenshot(path=tmp_path / "panel.png")
    names = [".el-layers", ".el-tools", ".el-inspect", ".el-say", ".el-map-scale", ".el-reader"]
    names.append(".leaflet-control-attribution")
    boxes = {name: shown.locator(name).bounding_box() for name in names}
    for one, a in boxes.items():
        for other, b in boxes.items():
            assert a is not None
            assert b is not None
            apart = a["x"] + a["width"] <= b["x"] or a["y"] + a["height"] <= b["y"]
            apart = apart or b["x"] + b["width"] <= a["x"] or b["y"] + b["height"] <= a["y"]
            assert one == other or apart, (one, other)
