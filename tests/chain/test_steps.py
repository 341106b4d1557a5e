"""Chains as steps that a person reads."""

from __future__ import annotations

from typing import Any

import pytest

from earthloom.chain.collection import ImageCollection
from earthloom.chain.steps import chain_steps, period, quantity, short_name

SERIES = ImageCollection("sentinel2-series")
CUBE = SERIES.cube(["B04", "B08", "SCL"])
RED, NIR, CLASSES = CUBE["B04"], CUBE["B08"], CUBE["SCL"]


def lines(chain: Any) -> list[str]:
    return [f"{step.name} {step.text}".rstrip() for step in chain_steps(chain.graph)]


def test_the_first_chain() -> None:
    coll = SERIES.filter_date("2020-05", "2020-09").filter("eo:cloud_cover", "<=", 20)
    red = coll.mosaic()["B04"]

    assert lines(red.where(red >= 0.03).color(["red", "yellow", "green"])) == [
        "load_collection sentinel2-series, 2020-05-01 to 2020-09-30, eo:cloud_cover <= 20",
        "mosaic",
        "band B04",
        "where keeps B04 >= 0.03",
        "color red yellow green, range chosen from the data",
    ]


def test_cloud_free_ndvi() -> None:
    ndvi = (NIR - RED) / (NIR + RED)

    assert lines(ndvi.mask(CLASSES.isin([3, 8, 9, 10])).median("t").color("RdYlGn", vmin=0, vmax=0.9)) == [
        "load_collection sentinel2-series, bands B04 B08 SCL",
        "calculate (B08 - B04) / (B08 + B04)",
        "mask hides SCL in 3, 8, 9, 10",
        "median over t",
        "color RdYlGn, 0 to 0.9",
    ]


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        (NIR - (RED - 1), "B08 - (B04 - 1)"),
        (NIR - RED - 1, "B08 - B04 - 1"),
        ((NIR + RED) * 2, "(B08 + B04) * 2"),
        (NIR + RED * 2, "B08 + B04 * 2"),
        (1 / NIR, "1 / B08"),
        ((NIR**2) ** RED, "(B08 ** 2) ** B04"),
        (NIR ** (RED**2), "B08 ** B04 ** 2"),
        ((NIR > 0.3) & ~(RED < 0.1), "(B08 > 0.3) & ~(B04 < 0.1)"),
        ((NIR > 0.3) == (RED < 0.1), "(B08 > 0.3) == (B04 < 0.1)"),
        (NIR.sqrt() + 1, "sqrt(B08) + 1"),
        (NIR.clip(0, 1), "clip(B08, min=0, max=1)"),
        (NIR * 0.0001, "B08 * 0.0001"),
    ],
)
def test_formulas_are_pythons(chain: Any, text: str) -> None:
    assert lines(chain)[-1] == f"calculate {text}"
    # Read by Python, the text is the same chain again.
    names = {"B04": RED, "B08": NIR, "sqrt": lambda c: c.sqrt(), "clip": lambda c, min, max: c.clip(min, max)}
    assert eval(text, names).key == chain.key


def test_what_is_used_twice_is_a_step_of_its_own() -> None:
    ndvi = (NIR - RED) / (NIR + RED)

    assert lines(ndvi.where(ndvi > 0.3)) == [
        "load_collection sentinel2-series, bands B04 B08 SCL",
        "calculate (B08 - B04) / (B08 + B04)",
        "where keeps step 2 > 0.3",
    ]


def test_bands_of_two_sources_are_told_apart() -> None:
    other = ImageCollection("sentinel2-coast").mosaic()

    assert lines(RED - other["B04"]) == [
        "load_collection sentinel2-series, bands B04 B08 SCL",
        "load_collection sentinel2-coast",
        "mosaic",
        "calculate B04 of step 1 - B04 of step 3",
    ]


def test_a_long_formula_is_cut_into_steps() -> None:
    chain = RED
    for _ in range(2000):
        chain = chain + NIR

    steps = lines(chain)
    assert len(steps) > 100
    assert max(len(step) for step in steps) < 120


def test_doubling_stays_short() -> None:
    chain = RED
    for _ in range(40):
        chain = chain * chain

    assert len(lines(chain)) == 41


def test_foreign_forms_are_shown_too() -> None:
    graph = {
        "load": {
            "process_id": "load_collection",
            "arguments": {
                "id": "x",
                "spatial_extent": {"west": 1, "south": 2, "east": 3, "north": 4.5},
                "temporal_extent": ["2020-01-01T00:00:00Z", None],
            },
        },
        "unused": {"process_id": "ln", "arguments": {"x": 1}},
        "reduce": {
            "process_id": "reduce_dimension",
            "arguments": {
                "data": {"from_node": "load"},
                "dimension": "t",
                "reducer": {
                    "process_graph": {
                        "a": {"process_id": "max", "arguments": {"data": {"from_parameter": "data"}}},
                        "b": {"process_id": "min", "arguments": {"data": {"from_parameter": "data"}}},
                        "c": {
                            "process_id": "subtract",
                            "arguments": {"x": {"from_node": "a"}, "y": {"from_node": "b"}},
                            "result": True,
                        },
                    }
                },
            },
        },
        "save": {
            "process_id": "save_result",
            "arguments": {"data": {"from_node": "reduce"}, "format": "GTiff", "options": None},
            "result": True,
        },
    }

    assert [f"{step.name} {step.text}" for step in chain_steps(graph)] == [
        "load_collection x, from 2020-01-01, in 1 2 3 4.5",
        "reduce over t: max(data) - min(data)",
        "save_result format GTiff",
    ]


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2020-05-01T00:00:00Z", "2020-10-01T00:00:00Z", "2020-05-01 to 2020-09-30"),
        ("2020-05-01T00:00:00Z", "2020-05-02T00:00:00Z", "2020-05-01"),
        ("2020-05-01T00:00:00Z", "2020-05-01T12:30:00Z", "2020-05-01 to 2020-05-01T12:30:00Z"),
        (None, "2020-10-01T00:00:00Z", "until 2020-09-30"),
        ("2020-05-01T00:00:00Z", None, "from 2020-05-01"),
        (None, None, "any time"),
    ],
)
def test_periods_include_both_ends(start: str | None, end: str | None, text: str) -> None:
    assert period(start, end) == text


def test_short_names() -> None:
    assert short_name(RED.graph) == "sentinel2-series, B04"
    assert short_name((NIR / RED).median("t").color("viridis").graph) == "sentinel2-series, median over t"
    assert short_name(SERIES.mosaic().rgb("B04", "B03", "B02").graph) == "sentinel2-series, B04 B03 B02"
    assert short_name(SERIES.cube().graph) == "sentinel2-series"
    assert short_name(((NIR / RED).median("t") * 2).graph) == "sentinel2-series, formula"


def test_a_condition_gives_no_quantity() -> None:
    heights = ImageCollection("dem").mosaic()["elevation"]
    faces = heights.aspect().where(heights.slope("percent") >= 3)
    assert quantity(faces.graph) == ("aspect", "°")
    assert quantity(faces.color("gray").graph) == ("aspect", "°")
    assert quantity(heights.slope("percent").mask(heights.aspect() > 90).graph) == ("slope", "%")
