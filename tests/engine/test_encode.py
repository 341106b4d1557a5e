from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from earthloom.engine.encode import empty_png, encode, encode_npy
from earthloom.engine.paint import Picture


def by_pillow(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def by_gdal(png):
    """(y, x, 4), with the palette looked up."""
    with rasterio.MemoryFile(png) as file, file.open() as data:
        bands = data.read()
        if data.count == 1:
            colours = data.colormap(1)
            return np.array([colours[int(i)] for i in bands[0].ravel()], np.uint8).reshape(*bands.shape[1:], 4)
        alpha = np.full((1, *bands.shape[1:]), 255, np.uint8)
        return np.moveaxis(bands if data.count == 4 else np.concatenate([bands, alpha]), 0, -1)


def chunks(png):
    """Kind and data of the chunks, after a check of their sums."""
    at, found = 8, []
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", png, at + 8 + size)[0] == zlib.crc32(kind + data)
        found.append((kind, data))
        at += 12 + size
    return found


def of_palette(index, palette):
    alpha = palette[index][..., 3]
    return Picture(index, palette, None, empty=not index.any(), opaque=bool((alpha == 255).all()))


def of_rgba(rgba):
    return Picture(None, None, rgba, empty=not rgba[..., 3].any(), opaque=bool((rgba[..., 3] == 255).all()))


@st.composite
def pictures(draw):
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    opaque, smooth = draw(st.booleans()), draw(st.booleans())
    if draw(st.booleans()):
        palette = rng.integers(0, 256, (draw(st.integers(2, 256)), 4), np.uint8)
        palette[0] = 0
        if opaque:
            palette[1:, 3] = 255
        index = rng.integers(1 if opaque else 0, len(palette), (height, width))
        return of_palette((np.sort(index, axis=0) if smooth else index).astype(np.uint8), palette)
    rgba = rng.integers(0, 256, (height, width, 4), np.uint8)
    rgba[..., 3] = 255 if opaque else 255 * rng.integers(0, 2, (height, width))
    rgba[rgba[..., 3] == 0] = 0
    return of_rgba(np.sort(rgba, axis=0) if smooth and opaque else rgba)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@settings(deadline=None)
@given(pictures())
def test_two_decoders_read_what_was_painted(picture):
    png = encode(picture)
    painted = picture.rgba if picture.rgba is not None else picture.palette[picture.index]
    shown = np.where(picture.empty, 0, painted)
    assert np.array_equal(by_pillow(png), shown)
    if not picture.empty:
        assert np.array_equal(by_gdal(png), painted)
    assert [kind for kind, _ in chunks(png) if kind != b"tRNS" and kind != b"PLTE"] == [b"IHDR", b"IDAT", b"IEND"]


def test_a_palette_is_written_as_one_and_only_as_long_as_needed():
    palette = np.array([[0, 0, 0, 0], [255, 0, 0, 128], [0, 255, 0, 255], [0, 0, 255, 255]], np.uint8)
    found = dict(chunks(encode(of_palette(np.array([[0, 1, 2, 3]], np.uint8), palette))))
    assert found[b"IHDR"] == struct.pack(">IIBBBBB", 4, 1, 8, 3, 0, 0, 0)
    assert (len(found[b"PLTE"]), found[b"tRNS"]) == (12, bytes([0, 128]))
    assert b"tRNS" not in dict(chunks(encode(of_palette(np.array([[2, 3]], np.uint8), palette))))


@pytest.mark.parametrize(("alpha", "colour_type"), [(255, 2), (0, 6)])
def test_rgb_has_three_bytes_where_opaque(alpha, colour_type):
    rgba = np.full((4, 5, 4), 255, np.uint8)
    rgba[0, 0] = (9, 8, 7, 255) if alpha else 0
    assert dict(chunks(encode(of_rgba(rgba))))[b"IHDR"][9] == colour_type


def test_an_empty_picture_is_one_constant_of_its_size():
    nothing = of_palette(np.zeros((256, 256), np.uint8), np.zeros((256, 4), np.uint8))
    png = encode(nothing)
    assert png is encode(of_rgba(np.zeros((256, 256, 4), np.uint8))) is empty_png(256, 256)
    assert len(png) < 200
    for height, width in ((256, 256), (1, 1), (3, 9)):
        assert np.array_equal(by_pillow(empty_png(height, width)), np.zeros((height, width, 4), np.uint8))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
def test_npy_keeps_every_bit(seed, dtype):
    values = np.random.default_rng(seed).normal(size=(3, 4, 5)).astype(dtype)
    values[0, 0, 0] = np.nan
    back = np.load(io.BytesIO(encode_npy(values[:, 1:, ::2])), allow_pickle=False)
    assert back.dtype == dtype
    assert back.tobytes() == values[:, 1:, ::2].tobytes()
