from __future__ import annotations

import json

import numpy as np
import pytest

from earthloom.base.colours import palette, ramp, to_rgba, to_text
from earthloom.engine.legend import legend
from earthloom.engine.style import RgbStyle, class_style, ramp_style


def blended(stops, values):
    """Colours at `values`, as a page blends the stops."""
    at, rgba = [v for v, _ in stops], to_rgba([c for _, c in stops]).astype(float)
    return np.stack([np.interp(values, at, rgba[:, i]) for i in range(4)], axis=1)


def test_the_stops_of_a_ramp_are_its_colours():
    doc = legend(ramp_style(["red", "yellow", "green"], 0.0, 0.5, quantity="B04", unit="reflectance"))
    assert doc == {
        "kind": "ramp",
        "quantity": "B04",
        "unit": "reflectance",
        "range": [0.0, 0.5],
        "stops": [[0.0, "#ff0000ff"], [0.25, "#ffff00ff"], [0.5, "#008000ff"]],
        "beyond": [True, True],
        "ticks": 5,
    }


@pytest.mark.parametrize("name", ["viridis", "RdYlGn", "magma", "Greys"])
def test_the_bar_of_a_palette_looks_like_the_palette(name):
    doc = legend(ramp_style(name, -1.0, 3.0, beyond=(False, True)))
    assert len(doc["stops"]) == 11
    assert doc["beyond"] == [False, True]
    table = palette(name, 255)
    assert [doc["stops"][0][1], doc["stops"][-1][1]] == [to_text(table[0]), to_text(table[-1])]
    assert np.abs(blended(doc["stops"], np.linspace(-1, 3, 255)) - table).max() < 32


def test_a_palette_of_separate_colours_has_a_step_between_two():
    stops = legend(ramp_style("Set1", 0.0, 9.0))["stops"]
    assert len(stops) == 18
    assert stops[1][0] == stops[2][0] == pytest.approx(1.0, abs=0.02)
    assert stops[1][1] != stops[2][1]
    assert stops[0] == [0.0, "#e41a1cff"]
    assert stops[-1] == [9.0, "#999999ff"]


def test_one_colour_and_many_colours_are_bars_too():
    assert legend(ramp_style(["lime"], 0, 1))["stops"] == [[0.0, "#00ff00ff"], [1.0, "#00ff00ff"]]
    many = [to_text(row) for row in ramp(["black", "red", "white"], 15)]
    assert len(legend(ramp_style(many, 0, 1))["stops"]) == 11


def test_classes():
    doc = legend(class_style([(6, "water", "blue"), (4, "vegetation", "#0a0")], "Scene classes"))
    assert doc == {
        "kind": "classes",
        "quantity": "Scene classes",
        "classes": [
            {"value": 6.0, "label": "water", "colour": "#0000ffff"},
            {"value": 4.0, "label": "vegetation", "colour": "#00aa00ff"},
        ],
    }


def test_rgb():
    doc = legend(RgbStyle(("B04", "B03", "B02"), ((0.0, 0.3), (0.0, 0.2), (0.0, 0.1)), unit="reflectance"))
    assert doc["channels"] == [
        {"band": "B04", "range": [0.0, 0.3]},
        {"band": "B03", "range": [0.0, 0.2]},
        {"band": "B02", "range": [0.0, 0.1]},
    ]
    assert (doc["kind"], doc["unit"]) == ("rgb", "reflectance")
    assert json.loads(json.dumps(doc)) == doc
