"""Colours as text and as tables: CSS names, ramps between colours, palettes by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earthloom.base.errors import InvalidArgument, NotFound, nearest

RAMP_SIZE = 255  # colours of a ramp: a byte without 0, which is transparent

# The named colours of CSS Color Module Level 4, section 6.1 (www.w3.org/TR/css-color-4). They stand here and not in a
# dependency because the keys of chains depend on them.
_CSS = """
    aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4
    black 000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0
    chartreuse 7fff00 chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c cyan 00ffff
    darkblue 00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkgrey a9a9a9
    darkkhaki bdb76b darkmagenta 8b008b darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000
    darksalmon e9967a darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f darkslategrey 2f4f4f
    darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff dimgray 696969 dimgrey 696969
    dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff gainsboro dcdcdc
    ghostwhite f8f8ff gold ffd700 goldenrod daa520 gray 808080 green 008000 greenyellow adff2f grey 808080
    honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082 ivory fffff0 khaki f0e68c lavender e6e6fa
    lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue add8e6 lightcoral f08080 lightcyan e0ffff
    lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 lightpink ffb6c1
    lightsalmon ffa07a lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899 lightslategrey 778899
    lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 magenta ff00ff maroon 800000
    mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db mediumseagreen 3cb371
    mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred c71585 midnightblue 191970
    mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead navy 000080 oldlace fdf5e6 olive 808000
    olivedrab 6b8e23 orange ffa500 orangered ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98
    paleturquoise afeeee palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd
    powderblue b0e0e6 purple 800080 rebeccapurple 663399 red ff0000 rosybrown bc8f8f royalblue 4169e1
    saddlebrown 8b4513 salmon fa8072 sandybrown f4a460 seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0
    skyblue 87ceeb slateblue 6a5acd slategray 708090 slategrey 708090 snow fffafa springgreen 00ff7f steelblue 4682b4
    tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise 40e0d0 violet ee82ee wheat f5deb3 white ffffff
    whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32
"""
_WORDS = _CSS.split()
CSS_COLOURS = {name: f"#{rgb}ff" for name, rgb in zip(_WORDS[::2], _WORDS[1::2], strict=True)} | {
    "transparent": "#00000000"
}

_HINT = "Write a CSS name, #rgb, #rrggbb or #rrggbbaa."
_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})")


def canonical_colour(text: str) -> str:
    """A colour as `#rrggbbaa` in lower case.

    Parameters
    ----------
    text
        A CSS name, `#rgb`, `#rrggbb` or `#rrggbbaa`; upper and lower case are one.

    Raises
    ------
    InvalidArgument
        If it is none of these; with the near names.
    """
    lower = str(text).lower()
    if lower in CSS_COLOURS:
        return CSS_COLOURS[lower]
    if not _HEX.fullmatch(lower):
        near = [] if lower.startswith("#") else nearest(lower, CSS_COLOURS)
        raise InvalidArgument(f'"{text}" is not a colour.', near=near, hint="" if near else _HINT)
    if len(lower) == 4:
        lower = "#" + "".join(2 * digit for digit in lower[1:])
    return lower if len(lower) == 9 else lower + "ff"


def to_rgba(colours: Sequence[str]) -> NDArray[np.uint8]:
    """Colours as bytes, (n, 4): red, green, blue, alpha; the errors of `canonical_colour`."""
    text = "".join(canonical_colour(colour)[1:] for colour in colours)
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 4)


def to_text(rgba: Sequence[int]) -> str:
    """Four bytes as `#rrggbbaa`."""
    return "#" + bytes(rgba).hex()


def ramp(colours: Sequence[str], n: int = RAMP_SIZE) -> NDArray[np.uint8]:
    """A table of `n` colours, with the given ones spread evenly from its first to its last entry.

    Between two colours red, green, blue and alpha are each interpolated linearly and rounded half up. One colour fills
    the table.

    Returns
    -------
    (n, 4), uint8.

    Raises
    ------
    InvalidArgument
        If there is no colour, or one of them is none.
    """
    if isinstance(colours, str) or not colours:
        raise InvalidArgument("A ramp needs a list of at least one colour.", argument="colours")
    rgba = to_rgba(colours)
    at = np.linspace(0.0, len(rgba) - 1.0, n)
    channels = [np.interp(at, np.arange(len(rgba)), rgba[:, i]) for i in range(4)]
    return np.floor(np.stack(channels, axis=1) + 0.5).astype(np.uint8)


def palette(name: str, n: int = 256) -> NDArray[np.uint8]:
    """A named palette as a table of `n` colours; `_r` at the end of the name reverses it.

    The names are those of the package `cmap` (matplotlib's, ColorBrewer's, cmocean's and others), upper and lower case
    are one. A palette of separate colours, such as `Set1`, gives steps of even length.

    Returns
    -------
    (n, 4), uint8.

    Raises
    ------
    NotFound
        If there is no palette of this name; with the near names.
    """
    import cmap  # 0.1 s, and only chains with a palette need it

    catalogue = cmap.Colormap.catalog()
    forward = name[:-2] if name.lower().endswith("_r") else name
    try:
        full_name = catalogue.resolve(forward)  # without its source, an ambiguous name would log a warning
    except KeyError:
        known = sorted(catalogue.short_keys())
        known = known if forward == name else [f"{k}_r" for k in known]
        raise NotFound.name("palette", name, known) from None
    lut = cmap.Colormap(full_name).lut(n)
    if len(lut) != n:
        lut = lut[np.arange(n) * len(lut) // n]
    table = np.floor(lut * 255.0 + 0.5).astype(np.uint8)
    return table if forward == name else table[::-1].copy()
