"""The notebook map's panel over a real Leaflet map; the widget manager and its models are stood in by a few lines."""

from __future__ import annotations

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
        on(name, f) { this.heard.push([name, f]); }
        off(name, f) { this.heard = this.heard.filter(([n, g]) => n !== name || g !== f); }
    }
    const root = document.getElementById("root");
    const div = document.createElement("div");
    div.style.cssText = "width: 900px; height: 500px";
    root.replaceChildren(div);
    const map = L.map(div, { zoomControl: false }).setView([45.2, 22.15], 10);
    const views = layers.map((layer) => {
        const model = new Model({ visible: true, opacity: 1 });
        model.model_id = layer.id;
        const obj = L.tileLayer(layer.url, { maxZoom: 22 }).addTo(map);
        return { model, obj };
    });
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
    Object.assign(window, { map, model, views });
}
"""

NDVI: dict[str, Any] = {
    "id": "a",
    "name": "NDVI",
    "url": "http://look.test/tiles/k1/{z}/{x}/{y}.png",
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


def test_a_silent_server_is_told_as_such(shown: Page, tiles: Any) -> None:
    shown.route("http://look.test/tiles/k1/**", lambda route: route.abort())
    shown.evaluate("map.setView([45.2, 22.15], 12, { animate: false })")
    expect(shown.locator(".el-notice.bad")).to_contain_text("The server does not answer. What is drawn stays")

    shown.unroute("http://look.test/tiles/k1/**")
    shown.locator(".el-notice").get_by_text("Retry").click()
    expect(shown.locator(".el-notice")).to_have_count(0)


def test_a_busy_server_is_asked_again_when_it_says(shown: Page, tiles: Any) -> None:
    busy = ["11/1150/736"]

    def answer(route: Route) -> None:
        if busy and route.request.url.endswith(f"{busy[0]}.png"):
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"code": "unavailable", "message": "Busy."})
        else:
            tiles.answer(route)

    shown.route("http://look.test/tiles/**", answer)
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    shown.wait_for_timeout(500)
    expect(shown.locator(".el-notice")).to_have_count(0)
    expect(shown.locator(".el-map-line")).not_to_have_attribute("aria-valuenow", "100")
    busy.clear()
    expect(shown.locator(".el-map-line")).to_have_attribute("aria-valuenow", "100")
    expect(shown.locator('img[src^="data:image/svg+xml"]')).to_have_count(0)


def test_a_closed_notice_stays_closed(shown: Page, tiles: Any) -> None:
    tiles.broken["11/1150/736"] = TRUNCATED
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    shown.locator(".el-notice").get_by_role("button", name="Close").click()
    shown.evaluate("map.panBy([1, 1], { animate: false })")
    shown.wait_for_timeout(100)
    expect(shown.locator(".el-notice")).to_have_count(0)


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


def test_of_several_dates_the_newest_value_is_told(shown: Page, tiles: Any) -> None:
    labels = {"t": ["2020-05-01", "2020-06-01"], "bands": ["B04", "B08"]}
    tiles.points["k1"] = {"dims": ["t", "bands"], "labels": labels, "values": [[0.1, 0.2], [None, 0.4]]}
    shown.mouse.click(450, 250)
    expect(shown.locator(".el-inspect tr")).to_have_text("NDVI0.1  0.4")


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
    shown.get_by_role("button", name="Opacity of NDVI").click()
    slider.fill("40")
    assert shown.evaluate("views[0].model.get('opacity')") == pytest.approx(0.4)
    expect(shown.locator(".el-opacity output").first).to_have_text("40\u202f%")


def test_the_end_takes_everything_off_the_map(shown: Page) -> None:
    shown.evaluate("window.end()")
    for part in (".el-map-line", ".el-tools", ".el-inspect", ".el-pin", ".el-map-scale"):
        expect(shown.locator(part)).to_have_count(0)


@pytest.mark.parametrize("width", [900, 560])
def test_the_parts_do_not_overlap(shown: Page, tiles: Any, tmp_path: Path, width: int) -> None:
    shown.evaluate("(w) => { map.getContainer().style.width = `${w}px`; map.invalidateSize(); }", width)
    tiles.broken["11/1150/736"] = TRUNCATED
    shown.evaluate("map.setView([45.2, 22.15], 11, { animate: false })")
    shown.evaluate("map.attributionControl.addAttribution('Data of somebody '.repeat(9))")
    shown.mouse.click(300, 150)
    expect(shown.locator(".el-notice.bad")).to_be_visible()
    expect(shown.locator(".el-inspect tr")).to_have_count(1)
    shown.screenshot(path=tmp_path / "panel.png")
    names = [".el-layers", ".el-tools", ".el-inspect", ".el-say", ".el-map-scale", ".leaflet-control-attribution"]
    boxes = {name: shown.locator(name).bounding_box() for name in names}
    for one, a in boxes.items():
        for other, b in boxes.items():
            assert a is not None
            assert b is not None
            apart = a["x"] + a["width"] <= b["x"] or a["y"] + a["height"] <= b["y"]
            apart = apart or b["x"] + b["width"] <= a["x"] or b["y"] + b["height"] <= a["y"]
            assert one == other or apart, (one, other)
