"""Arrays as small pictures for a notebook: PNG, written with the standard library alone."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Names as in the PNG specification (www.w3.org/TR/png-3), sections 9.2 and 11.2.1.
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_GREY_ALPHA, COLOUR_RGBA = 4, 6
FILTER_UP = 2


def pictures(arrays: Sequence[NDArray[Any]]) -> list[bytes]:
    """PNGs of arrays of values, all with one stretch: the same value has the same grey in each.

    Parameters
    ----------
    arrays
        (..., y, x); three bands or more are shown as red, green and blue, else the first; of several dates the last.
        NaN is transparent.
    """
    shown = [_layers(array) for array in arrays]
    low, high = _stretch(np.concatenate([layers.ravel() for layers in shown]))
    return [_png(layers, low, high) for layers in shown]


def data_address(png: bytes) -> str:
    """A PNG as an address that HTML may use."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _layers(array: NDArray[Any]) -> NDArray[np.float64]:
    """(y, x, 1) or (y, x, 3)."""
    if array.ndim == 4:
        array = array[-1]
    if array.ndim == 2:
        array = array[None]
    return np.moveaxis(array[: 3 if len(array) >= 3 else 1].astype(np.float64), 0, -1)


def _stretch(values: NDArray[np.float64]) -> tuple[float, float]:
    """What becomes black and white: the 2nd and 98th percentile, or all if those are one value, as of a mask."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (2, 98)))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 1, low)  # of one value all is white


def _png(layers: NDArray[np.float64], low: float, high: float) -> bytes:
    height, width, count = layers.shape
    data = np.isfinite(layers).all(axis=-1)
    levels = np.clip((layers - low) * (255 / (high - low)), 0, 255)
    pixels = np.zeros((height, width, count + 1), np.uint8)
    pixels[data, :count] = np.rint(levels[data])
    pixels[data, count] = 255
    rows = pixels.reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = FILTER_UP
    filtered[:, 1:] = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    colour = COLOUR_RGBA if count == 3 else COLOUR_GREY_ALPHA
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
