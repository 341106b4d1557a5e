from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earthloom.base.colours import palette, ramp
from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.engine.style import ClassStyle, RampStyle, RgbStyle, class_style, ramp_style

RGB = RgbStyle(("B04", "B03", "B02"), ((0.0, 0.3), (0.0, 0.3), (0.0, 0.2)))


def test_a_style_of_a_list_or_of_a_palette():
    listed = ramp_style(["Red", "#0f0"], 0, 1)
    assert listed.table == ramp(["red", "lime"]).tobytes()
    assert (listed.colours, listed.name) == (("#ff0000ff", "#00ff00ff"), "")
    named = ramp_style("viridis_r", np.float32(0.5), 1)
    assert named.table == palette("viridis_r", 255).tobytes()
    assert (named.colours, named.name, named.vmin) == ((), "viridis_r", 0.5)


def test_equal_styles_are_one_key_and_have_one_digest():
    one, other = ramp_style("viridis", 0, 1, unit="m"), ramp_style("viridis", 0.0, 1.0, unit="m")
    assert len({one, other}) == 1
    assert one.digest() == other.digest()


@pytest.mark.parametrize(
    ("style", "changes"),
    [
        (ramp_style("viridis", 0, 1), [{"vmin": -1.0}, {"vmax": 2.0}, {"unit": "m"}, {"table": bytes(1020)}]),
        (class_style([(1, "water", "blue")]), [{"classes": ((2.0, "water", "#0000ffff"),)}, {"quantity": "cover"}]),
        (RGB, [{"bands": ("B02", "B03", "B04")}, {"gamma": 1.2}, {"ranges": ((0.0, 0.3),) * 3}]),
    ],
)
def test_every_change_changes_the_digest(style, changes):
    digests = {style.digest(), *(replace(style, **change).digest() for change in changes)}
    assert len(digests) == 1 + len(changes)


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_is_finite_and_runs_upwards(low, high):
    with pytest.raises(InvalidArgument, match="range"):
        ramp_style("viridis", low, high)
    with pytest.raises(InvalidArgument, match="B03"):
        replace(RGB, ranges=((0.0, 1.0), (low, high), (0.0, 1.0)))


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan")])
def test_gamma_is_positive(gamma):
    with pytest.raises(InvalidArgument, match="gamma"):
        replace(RGB, gamma=gamma)


def test_a_byte_holds_255_classes():
    classes = tuple((float(i), str(i), "#00000000") for i in range(256))
    assert len(ClassStyle(classes[:255]).classes) == 255
    with pytest.raises(InvalidArgument, match="256 classes"):
        ClassStyle(classes)
    with pytest.raises(InvalidArgument, match="0 classes"):
        ClassStyle(())


def test_a_value_has_one_class_and_is_a_number():
    with pytest.raises(InvalidArgument, match="The value 4 has two classes"):
        class_style([(4, "trees", "green"), (5, "soil", "tan"), (4, "grass", "lime")])
    with pytest.raises(InvalidArgument, match="nan"):
        class_style([(float("nan"), "nothing", "red")])


def test_unknown_palettes_and_colours_are_refused():
    with pytest.raises(NotFound, match="viridis"):
        ramp_style("viridiss", 0, 1)
    with pytest.raises(InvalidArgument, match="redd"):
        class_style([(1, "a", "redd")])


def test_a_table_has_255_colours():
    with pytest.raises(ValueError, match="255"):
        RampStyle(bytes(1024), 0.0, 1.0)
