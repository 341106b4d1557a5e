"""Our ES modules, in a real browser: one by one as the server's page loads them, and joined as a widget needs them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import Page

from earthloom.lab.join import WEB, script, style

pytestmark = pytest.mark.browser

MODULES = sorted(path.stem for path in WEB.glob("*.js"))

RAMP = {
    "kind": "ramp",
    "quantity": "NDVI",
    "unit": "index",
    "range": [0.0, 0.9],
    "stops": [[0.0, "#ff0000"], [0.45, "#ffff00"], [0.9, "#008000"]],
    "beyond": [False, True],
}
CLASSES = {
    "kind": "classes",
    "quantity": "Scene class",
    "classes": [
        {"value": 4, "label": "vegetation", "colour": "#00a000"},
        {"value": 6, "label": "water", "colour": "#0000ff"},
    ],
}
RGB = {
    "kind": "rgb",
    "quantity": "True colour",
    "unit": "reflectance",
    "channels": [{"band": band, "range": [0.0, 0.3]} for band in ("B04", "B03", "B02")],
}


def draw(page: Page, spec: dict[str, Any]) -> None:
    page.evaluate(
        """async (spec) => {
            const { legend } = await import("/legend.js");
            window.legend = legend(spec);
            document.getElementById("root").style.width = "220px";
            document.getElementById("root").replaceChildren(window.legend);
        }""",
        spec,
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_loads_by_itself(page: Page, name: str) -> None:
    exported = page.evaluate("async (name) => Object.keys(await import(`/${name}.js`))", name)

    assert exported


def test_joined_modules_parse_and_export_render(page: Page) -> None:
    kinds = page.evaluate(
        """async (text) => {
            const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
            const module = await import(url);
            return Object.entries(module.default).map(([name, value]) => [name, typeof value]);
        }""",
        script("panel"),
    )

    assert kinds == [["render", "function"]]


def test_names_at_the_top_level_are_unique_over_all_modules() -> None:
    found: Counter[str] = Counter()
    for name in MODULES:
        text = (WEB / f"{name}.js").read_text("utf-8")
        found.update(re.findall(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", text, re.M))

    assert [name for name, times in found.items() if times > 1] == []


def test_style_sheets_are_joined_in_order() -> None:
    text = style("tokens", "look")

    assert text.index("--el-surface:") < text.index(".el-layer ")


def test_ramp_has_ticks_and_marks_a_value(page: Page) -> None:
    draw(page, RAMP)

    assert page.locator(".tick").all_inner_texts() == ["0.0", "0.2", "0.4", "0.6", "0.8"]
    assert page.locator(".end.hi").count() == 1
    assert page.locator(".end.lo").count() == 0
    assert page.locator(".here").is_hidden()
    page.evaluate("window.legend.here(0.45)")
    bar, mark = page.locator(".bar").bounding_box(), page.locator(".here").bounding_box()
    assert bar is not None
    assert mark is not None
    assert mark["x"] + mark["width"] / 2 == pytest.approx(bar["x"] + bar["width"] / 2, abs=0.6)
    page.evaluate("window.legend.here(null)")
    assert page.locator(".here").is_hidden()


def test_ramp_of_one_value_still_draws(page: Page) -> None:
    draw(page, RAMP | {"range": [0.5, 0.5], "stops": [[0.5, "#ff0000"], [0.5, "#008000"]]})

    assert page.locator(".tick").all_inner_texts() == ["0.5"]


def test_classes_have_labels_and_mark_a_value(page: Page) -> None:
    draw(page, CLASSES)
    page.evaluate("window.legend.here(6)")

    assert page.locator("li").all_inner_texts() == ["vegetation", "water"]
    assert page.locator("li.here").all_inner_texts() == ["water"]


def test_rgb_names_bands_and_ranges(page: Page) -> None:
    draw(page, RGB)

    assert page.locator(".el-rgb").inner_text().split("\n")[:3] == ["Red", "B04", "0 – 0.3"]


def test_colour_of_a_value(page: Page) -> None:
    page.evaluate(
        """async ([ramp, classes]) => {
            const { colourOf } = await import("/legend.js");
            const all = [[ramp, 0.225], [ramp, -1], [ramp, 2], [classes, 6]];
            const boxes = all.map(([spec, value]) => {
                const box = document.createElement("p");
                box.style.backgroundColor = colourOf(spec, value);
                return box;
            });
            document.getElementById("root").replaceChildren(...boxes);
        }""",
        [RAMP, CLASSES],
    )
    shown = page.evaluate('[...document.querySelectorAll("p")].map((p) => getComputedStyle(p).backgroundColor)')

    assert shown == ["color(srgb 1 0.5 0)", "rgb(255, 0, 0)", "rgb(0, 128, 0)", "rgb(0, 0, 255)"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("dom.significant(0.031249)", "0.03125"),
        ("dom.significant(2854)", "2854"),
        ("dom.significant(-4.5)", "−4.5"),
        ("dom.significant(null)", "–"),
        ("dom.fixed(-0.5, 2)", "−0.50"),
        ("dom.count(183296)", "183\u202f296"),
        ("dom.plural(1, 'tile')", "1 tile"),
        ("dom.placeText(-45.2, 22.15, 2)", "45.20°\u202fS  22.15°\u202fE"),
        ("dom.metres(0.5)", "0.5 m"),
        ("dom.metres(20000)", "20 km"),
        ("dom.metres(5000000)", "5\u202f000 km"),
    ],
)
def test_numbers_are_written_as_print_does(page: Page, call: str, text: str) -> None:
    assert page.evaluate(f'import("/dom.js").then((dom) => {call})') == text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_colours_have_contrast(page: Page, theme: str) -> None:
    colours = page.evaluate(
        """(theme) => {
            const root = document.getElementById("root");
            root.dataset.theme = theme;
            const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            const names = ["surface", "hover", "ink", "ink-2", "edge", "accent", "bad"];
            return Object.fromEntries(names.map((name) => {
                root.style.color = `var(--el-${name})`;
                canvas.fillStyle = getComputedStyle(root).color;
                canvas.fillRect(0, 0, 1, 1);
                return [name, [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)];
            }));
        }""",
        theme,
    )

    for ground in ("surface", "hover"):
        for text in ("ink", "ink-2", "accent", "bad"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["edge"], colours["surface"]) >= 3


def contrast(a: list[int], b: list[int]) -> float:
    """Contrast ratio of two sRGB colours (WCAG 2.2)."""

    def luminance(colour: list[int]) -> float:
        linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)
