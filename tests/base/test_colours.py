from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageColor

from earthloom.base.colours import CSS_COLOURS, canonical_colour, palette, ramp, to_rgba, to_text
from earthloom.base.errors import InvalidArgument, NotFound


def test_the_148_names_of_css_are_the_colours_that_pillow_knows():
    ours = {name: colour for name, colour in CSS_COLOURS.items() if name != "transparent"}
    theirs = {name: f"#{bytes(ImageColor.getrgb(name)[:3]).hex()}ff" for name in ImageColor.colormap}
    assert len(ours) == 148
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Lime", "#00ff00ff"),
        ("STEELBLUE", "#4682b4ff"),
        ("transparent", "#00000000"),
        ("#FA0", "#ffaa00ff"),
        ("#A1B2C3", "#a1b2c3ff"),
        ("#A1b2C380", "#a1b2c380"),
    ],
)
def test_a_colour_has_one_text(text, canonical):
    assert canonical_colour(text) == canonical
    assert canonical_colour(canonical) == canonical


@pytest.mark.parametrize("text", ["#12", "#12345", "#1234567", "#ggg", "", "red ", "\uff23yan", "#１２３"])
def test_what_is_no_colour_is_refused(text):
    with pytest.raises(InvalidArgument, match="is not a colour"):
        canonical_colour(text)


def test_a_misspelt_name_tells_the_near_ones():
    with pytest.raises(InvalidArgument) as caught:
        canonical_colour("Steelblu")
    assert caught.value.near[0] == "steelblue"
    with pytest.raises(InvalidArgument, match="#rrggbb"):
        canonical_colour("#12")


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=1, max_size=9))
def test_bytes_and_text_are_inverse(colours):
    assert [tuple(row) for row in to_rgba([to_text(c) for c in colours]).tolist()] == colours


def test_a_ramp_spreads_its_colours_evenly():
    table = ramp(["red", "yellow", "green"])
    assert table.shape == (255, 4)
    assert table.dtype == np.uint8
    assert [to_text(table[i]) for i in (0, 127, 254)] == ["#ff0000ff", "#ffff00ff", "#008000ff"]
    assert table[64].tolist() == [255, 129, 0, 255]  # 64 / 127 of the way from red to yellow: 128.5, half up


def test_a_ramp_goes_through_alpha_and_one_colour_fills_it():
    assert ramp(["#00ff0000", "lime"], 3)[:, 3].tolist() == [0, 128, 255]
    assert (ramp(["lime"]) == (0, 255, 0, 255)).all()


@pytest.mark.parametrize("colours", [[], "red"])
def test_a_ramp_needs_a_list_of_colours(colours):
    with pytest.raises(InvalidArgument, match="list"):
        ramp(colours)


def test_palettes_by_name():
    viridis = palette("viridis")
    assert viridis.shape == (256, 4)
    assert [to_text(viridis[i]) for i in (0, 255)] == ["#440154ff", "#fde725ff"]  # as its authors published it
    assert np.array_equal(palette("Viridis_r"), viridis[::-1])
    assert to_text(palette("RdYlGn", 255)[127]) == "#ffffbfff"  # ColorBrewer's middle colour


def test_a_palette_of_separate_colours_gives_steps():
    table = palette("Set1", 255)
    steps = np.flatnonzero((np.diff(table.astype(int), axis=0) != 0).any(axis=1))
    assert len(steps) == 8  # nine colours
    assert set(np.diff(steps)) <= {28, 29}


def test_an_ambiguous_palette_is_taken_without_a_warning(caplog):
    assert palette("RdBu").shape == (256, 4)
    assert caplog.records == []


def test_an_unknown_palette_tells_the_near_ones():
    with pytest.raises(NotFound) as caught:
        palette("RdYlGrn")
    assert "RdYlGn" in caught.value.near
    with pytest.raises(NotFound) as caught:
        palette("viridiss_r")
    assert "viridis_r" in caught.value.near


def test_importing_colours_does_not_import_cmap():
    code = "import sys, earthloom.base.colours as c; c.ramp(['red', 'lime']); sys.exit('cmap' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
