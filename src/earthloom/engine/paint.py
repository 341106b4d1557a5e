"""Values to colours: a cube and a style make a picture. Nothing here knows chains, tiles or files.

The kernels compute in float64 with one operation after the other (no fused or reordered arithmetic), so the colour of
a pixel depends on its value alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from earthloom.base.colours import RAMP_SIZE, to_rgba
from earthloom.base.cube import Cube
from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.engine.style import RampStyle, RgbStyle, Style

FINE_LEVELS = 65535  # steps of a channel before its gamma


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Colours of a grid: either numbers of colours with their palette, or red, green, blue, alpha.

    Parameters
    ----------
    index
        Number of a colour of `palette` for each pixel, uint8, (y, x); 0 is transparent.
    palette
        Colours, uint8, (n, 4), at most 256.
    rgba
        Colours of the pixels, uint8, (y, x, 4); transparent ones are all 0.
    empty
        Whether every pixel is without data.
    opaque
        Whether no pixel is transparent, not even partly.
    """

    index: NDArray[np.uint8] | None
    palette: NDArray[np.uint8] | None
    rgba: NDArray[np.uint8] | None
    empty: bool
    opaque: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        pixels = self.index if self.index is not None else self.rgba
        assert pixels is not None
        return pixels.shape[0], pixels.shape[1]


def paint(cube: Cube, style: Style) -> Picture:
    """The picture of a cube.

    A ramp takes a value v to colour 1 + floor(254 * (v - vmin) / (vmax - vmin) + 1/2) of 1 to 255, held between the
    first and the last. Classes take the values that are equal to one of theirs, in the cube's own type. Red, green
    and blue are floor(255 * t ** (1 / gamma) + 1/2) with t the place in the band's range, between 0 and 1. NaN is
    transparent; in RGB, NaN in any of the three bands.

    Parameters
    ----------
    cube
        (y, x) for a ramp or classes; (bands, y, x) with the three bands of the style, in any order, for RGB.

    Raises
    ------
    InvalidArgument
        If the cube has other dimensions; says how to choose bands.
    NotFound
        If a band of an RGB style is not in the cube.
    """
    if isinstance(style, RgbStyle):
        return _paint_rgb(cube, style)
    if cube.dims != ("y", "x"):
        raise _wrong_dims(cube, "A ramp or classes colour")
    values = np.ascontiguousarray(cube.values)
    index = np.empty(values.shape, np.uint8)
    if isinstance(style, RampStyle):
        scale, bias = _line(style.vmin, style.vmax, RAMP_SIZE - 1)
        valid = _ramp_index(values, index, style.vmin, scale, bias)
        colours = np.frombuffer(style.table, np.uint8).reshape(RAMP_SIZE, 4)
    else:
        keys = np.array([value for value, _, _ in style.classes], values.dtype)
        valid = _class_index(values, index, keys)
        colours = to_rgba([colour for _, _, colour in style.classes])
    palette = np.concatenate([np.zeros((1, 4), np.uint8), colours])
    opaque = valid == index.size and bool((colours[:, 3] == 255).all())
    return Picture(index, palette, None, empty=valid == 0, opaque=opaque)


def _paint_rgb(cube: Cube, style: RgbStyle) -> Picture:
    if cube.dims != ("bands", "y", "x"):
        raise _wrong_dims(cube, "RGB colours")
    names = cube.labels["bands"]
    for band in style.bands:
        if band not in names:
            raise NotFound.name("band", band, names, argument="bands", band=band)
    order = [names.index(band) for band in style.bands]
    values = cube.values if order == list(range(len(names))) else cube.values[order]
    fine = style.gamma != 1.0
    levels = FINE_LEVELS if fine else 255
    lines = [_line(low, high, levels) for low, high in style.ranges]
    lows = np.array([low for low, _ in style.ranges])
    scales, biases = np.array([s for s, _ in lines]), np.array([b for _, b in lines])
    packed = np.empty(values.shape[1:], np.uint32)
    valid = _rgb_pixels(np.ascontiguousarray(values), packed, lows, scales, biases, _curve(style.gamma, levels), fine)
    rgba = packed.view(np.uint8).reshape(*packed.shape, 4)
    return Picture(None, None, rgba, empty=valid == 0, opaque=valid == packed.size)


def warm() -> None:
    """Compile the kernels, or load them from their cache, for both types of values; never in a user's first tile."""
    for dtype in (np.float32, np.float64):
        values, pixels = np.zeros((3, 1, 1), dtype), np.empty((1, 1), np.uint8)
        _ramp_index(values[0], pixels, 0.0, 1.0, 0.5)
        _class_index(values[0], pixels, np.zeros(1, dtype))
        three = np.zeros(3)
        _rgb_pixels(values, np.empty((1, 1), np.uint32), three, three, three, np.zeros(256, np.uint8), False)


def _wrong_dims(cube: Cube, what: str) -> InvalidArgument:
    """The error about a cube that a style cannot colour."""
    if "t" in cube.dims:
        count = len(cube.labels["t"])
        return InvalidArgument(f"{what} one date, this cube has {count}.", hint='Reduce "t" first, as by median("t").')
    if "bands" not in cube.dims:
        return InvalidArgument(
            f"{what} three bands, this cube has only one, without a name.",
            hint='Colour it by a ramp, or choose three bands as [["B04", "B03", "B02"]].',
        )
    names = cube.labels["bands"]
    three = ", ".join(f'"{name}"' for name in names[:3])
    rgb = f", or colour three with rgb({three})" if len(names) >= 3 else ""
    return InvalidArgument(
        f"{what} one band, this cube has {len(names)}: {', '.join(names)}.", hint=f'Choose one as ["{names[0]}"]{rgb}.'
    )


def _line(low: float, high: float, steps: int) -> tuple[float, float]:
    """Factor and summand that take `low` to 0.5 and `high` to `steps` + 0.5, for rounding down."""
    if low == high:
        return np.finfo(np.float64).max, 0.5 + steps // 2
    return min(steps / (high - low), np.finfo(np.float64).max), 0.5


@lru_cache(maxsize=64)
def _curve(gamma: float, levels: int) -> NDArray[np.uint8]:
    """Bytes of the places 0 to `levels` of a channel."""
    return np.floor(255.0 * np.linspace(0.0, 1.0, levels + 1) ** (1.0 / gamma) + 0.5).astype(np.uint8)


@njit(nogil=True, cache=True)
def _ramp_index(values, index, vmin, scale, bias):  # type: ignore[no-untyped-def]
    """Fill `index` (y, x) from `values` (y, x); the number of values that are not NaN."""
    valid = 0
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            value = np.float64(values[i, j])
            place = (value - vmin) * scale + bias
            # Written so that NaN becomes 0: casting it to an integer would be undefined.
            place = place if place > 0.0 else 0.0
            place = place if place < 254.0 else 254.0
            known = np.int32(value == value)
            index[i, j] = np.uint8((np.int32(place) + 1) * known)
            valid += int(known)
    return valid


@njit(nogil=True, cache=True)
def _class_index(values, index, keys):  # type: ignore[no-untyped-def]
    """Fill `index` (y, x) with 1 + the place of a value in `keys`, 0 if it is not there; the number of those found."""
    valid = 0
    for i in range(values.shape[0]):
        index[i] = 0
        for k in range(keys.size - 1, -1, -1):  # one pass a class vectorises; a search per pixel is 30 times slower
            key, number = keys[k], np.uint8(k + 1)
            for j in range(values.shape[1]):
                index[i, j] = number if values[i, j] == key else index[i, j]
        for j in range(values.shape[1]):
            valid += int(index[i, j] != 0)
    return valid


@njit(nogil=True, cache=True)
def _rgb_pixels(values, packed, lows, scales, biases, curve, curved):  # type: ignore[no-untyped-def]
    """Fill `packed` (y, x), one little-endian RGBA word a pixel, from `values` (3, y, x); the number of opaque ones."""
    height, width = packed.shape
    top = np.float64(curve.size - 1)
    row = np.empty((3, width), np.int32)
    known = np.empty(width, np.int32)
    valid = 0
    for i in range(height):
        known[:] = 1
        for b in range(3):
            for j in range(width):
                value = np.float64(values[b, i, j])
                place = (value - lows[b]) * scales[b] + biases[b]
                place = place if place > 0.0 else 0.0
                place = place if place < top else top
                row[b, j] = np.int32(place)
                known[j] &= np.int32(value == value)
            if curved:
                for j in range(width):
                    row[b, j] = curve[row[b, j]]
        for j in range(width):
            word = np.uint32(row[0, j]) | np.uint32(row[1, j]) << np.uint32(8) | np.uint32(row[2, j]) << np.uint32(16)
            packed[i, j] = np.uint32(known[j]) * (word | np.uint32(0xFF000000))
            valid += int(known[j])
    return valid
