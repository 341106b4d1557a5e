"""Trying a function here: the same conversions as on the server, cuts into tiles, pictures. Without a server."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from earthloom.base.errors import FunctionFailed
from earthloom.base.grid import Grid, Lattice
from earthloom.base.tilecontext import context_json
from earthloom.base.tilefunction import TileFunction
from earthloom.chain.picture import pictures
from earthloom.chain.session import UdfInput
from earthloom.chain.trial import dependence, run_here, tiles, zoom_of

ZOOM, PX = 12, 512


def given(
    values: np.ndarray, dims: tuple[str, ...] = ("y", "x"), margin: int = 0, nodata: float = math.nan
) -> UdfInput:
    """Two by two tiles, as the server hands them over."""
    grid = Grid(Lattice.web_mercator(ZOOM), 256 * 1000, 256 * 1500, PX, PX)
    lattice, around = grid.lattice, grid.grown(margin)
    assert values.shape[-2:] == around.shape
    context = context_json(
        crs="EPSG:3857",
        x=(lattice.x0, lattice.res_x, around.col, around.width),
        y=(lattice.y0, -lattice.res_y, around.row, around.height),
        resolution=tuple(side[:, 0].tolist() for side in around.ground_resolution()),  # type: ignore[arg-type]
        dims=dims,
        bands=[f"B{i}" for i in range(values.shape[-3])] if "bands" in dims else (),
        nodata=nodata,
        margin=margin,
    )
    mask = ~np.isnan(values) if values.dtype.kind == "f" else values != nodata
    return UdfInput(values, mask, dims, context, grid)


def noise(margin: int = 0) -> np.ndarray:
    return np.random.default_rng(3).random((PX + 2 * margin, PX + 2 * margin), np.float32)


def tried(function: Callable[..., Any], values: np.ndarray, margin: int = 0, **settings: Any) -> tuple[Any, Any]:
    """At once, and tile by tile."""
    caller, whole = TileFunction(function), given(values, margin=margin)
    settings = {"function": "f", **settings}
    parts = np.full((PX, PX), np.nan)
    for rows, columns, part in tiles(whole):
        parts[rows, columns] = run_here(caller, settings, part)[0]
    return run_here(caller, settings, whole)[0], parts


def test_a_function_of_the_pixel_fits_together() -> None:
    found = dependence(*tried(lambda img: img * 2, noise()), margin=0)
    assert (found.text, found.problem) == ("The tiles fit together.", False)


@pytest.mark.parametrize(("size", "declared", "missing"), [(7, 0, 3), (7, 2, 1), (21, 4, 6)])
def test_an_undeclared_neighbourhood_is_measured(size: int, declared: int, missing: int) -> None:
    whole, parts = tried(lambda img: ndimage.maximum_filter(img, size), noise(declared), declared)
    found = dependence(whole, parts, declared)
    assert found.problem
    assert f"up to {missing} px from the cut" in found.text
    assert f"tile_function(margin={declared + missing})" in found.text


def test_a_declared_neighbourhood_fits_together() -> None:
    assert not dependence(*tried(lambda img: ndimage.maximum_filter(img, 7), noise(3), 3), margin=3).problem


def test_dependence_on_the_whole_tile_is_told() -> None:
    gradient = np.linspace(0, 1, PX, dtype=np.float32)[None] * noise()
    found = dependence(*tried(lambda img: img - img.mean(), gradient), margin=0)
    assert found.problem
    assert "depends on the tile as a whole" in found.text


def test_rounding_is_noted_with_its_size() -> None:
    whole = noise()
    parts = whole.copy()
    parts[3, 4] += 1e-6
    found = dependence(whole, parts, 0)
    assert not found.problem
    assert "but for rounding, of at most " in found.text


def test_holes_that_move_are_no_rounding() -> None:
    whole = noise()
    parts = whole.copy()
    parts[255, 4] = np.nan
    assert "up to 1 px" in dependence(whole, parts, 0).text


def test_every_part_knows_where_it_lies() -> None:
    margin = 2
    whole = given(noise(margin), margin=margin)
    seen = []

    def where(img, context):  # type: ignore[no-untyped-def]
        seen.append(context)
        return img + context.x[None, :] * 0 + context.y[:, None] * 0 + context.resolution[0] * 0

    for rows, columns, part in tiles(whole):
        assert part.values.shape == (260, 260)
        values, _ = run_here(TileFunction(where), {"function": "where"}, part)
        np.testing.assert_array_equal(values, whole.values[2:-2, 2:-2][rows, columns])
        x = part.grid.grown(margin).x_centres()
        np.testing.assert_array_equal(seen[-1].x, x)
        np.testing.assert_array_equal(seen[-1].y, part.grid.grown(margin).y_centres())
        np.testing.assert_array_equal(seen[-1].resolution[1], part.grid.grown(margin).ground_resolution()[1])
    assert len({(c.x[0], c.y[0]) for c in seen}) == 4
    assert zoom_of(whole.grid) == ZOOM


def test_what_the_function_gets_is_a_copy() -> None:
    def in_place(img, context):  # type: ignore[no-untyped-def]
        img[:] = 0
        context.mask[:] = False

    whole = given(noise())
    values, _ = run_here(TileFunction(in_place), {"function": "f"}, whole)
    assert not values.any()
    assert whole.values.all()
    assert whole.mask.all()


def test_conversions_are_those_of_the_server() -> None:
    values = noise()
    values[0, 0] = np.nan

    def ones(img):  # type: ignore[no-untyped-def]
        return np.where(np.arange(img.shape[1]) == 3, np.inf, np.ones(img.shape))

    result, notes = run_here(TileFunction(ones), {"function": "f", "dtype": "uint8"}, given(values))
    assert result.dtype == np.float32
    assert np.isnan(result[0, 0])
    assert np.isnan(result[:, 3]).all()
    assert notes == ["Infinite values count as no data; there are 512."]
    own, _ = run_here(TileFunction(ones), {"function": "f", "mask": "own"}, given(values))
    assert own[0, 0] == 1
    stored = given(np.full((PX, PX), 7, np.uint16), nodata=7)
    raw, _ = run_here(TileFunction(lambda img: img), {"function": "f", "mask": "own"}, stored)
    assert np.isnan(raw).all()


def test_what_is_no_result_is_told_as_the_server_does() -> None:
    for function, words in (
        (lambda img: None if img is None else 3, "returned int, not a numpy array"),
        (lambda img: img[:5], r"returned the shape \(5, 512\)"),
        (lambda img: np.stack([img] * 3), "declared to give 2 bands"),
    ):
        with pytest.raises(FunctionFailed, match=words) as caught:
            run_here(TileFunction(function), {"function": "f", "bands": 2}, given(noise()))
        assert caught.value.where["reason"] == "result"


def test_errors_of_the_function_are_its_own() -> None:
    def broken(img):  # type: ignore[no-untyped-def]
        return img * (1 // len([]))

    with pytest.raises(ZeroDivisionError) as caught:
        run_here(TileFunction(broken), {"function": "broken"}, given(noise()))
    assert caught.traceback[-1].frame.code.name == "broken"


def test_a_function_with_global_img_leaves_the_notebook_as_it_was() -> None:
    names: dict[str, Any] = {"np": "mine too", "img": "mine"}
    exec("def f(n=2):\n    global img\n    img = numpy.ones_like(band0) * band0 * n\n", names)
    values, _ = run_here(TileFunction(names["f"]), {"function": "f", "arguments": {"n": 3}}, given(noise()))
    np.testing.assert_array_equal(values, noise() * 3)
    assert (names["img"], names["np"]) == ("mine", "mine too")
    assert not {"band0", "numpy"} & set(names)


def test_openeo_functions_run_here_too() -> None:
    def apply_datacube(cube, context):  # type: ignore[no-untyped-def]
        return cube.max("bands") * context["factor"]

    values = np.stack([noise(), noise() + 1])
    result, _ = run_here(TileFunction(apply_datacube), {"factor": 2}, given(values, ("bands", "y", "x")))
    np.testing.assert_array_equal(result, (noise() + 1) * 2)


def decoded(png: bytes) -> np.ndarray:
    """Pixels of a PNG of the two kinds that are written here, (y, x, channels)."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data, size = 8, b"", (0, 0, 0)
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8
            size = (height, width, {4: 2, 6: 4}[colour])
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(size[0], -1)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(size)


def test_pictures_have_one_stretch_and_no_data_is_transparent() -> None:
    a = np.linspace(0, 100, 10_000).reshape(100, 100)
    b = np.full((100, 100), 50.0)
    b[0, 0] = np.nan
    first, second = (decoded(png) for png in pictures([a, b]))
    assert first.shape == (100, 100, 2)
    assert (first[..., 1] == 255).all()
    assert first[0, 0, 0] == 0
    assert first[-1, -1, 0] == 255
    assert second[0, 0].tolist() == [0, 0]
    at_50 = first[np.unravel_index(np.abs(a - 50).argmin(), a.shape)][0]
    assert second[1, 1].tolist() == [at_50, 255]


def test_three_bands_are_colours_and_masks_are_black_and_white() -> None:
    rgb = np.stack([np.zeros((4, 4)), np.ones((4, 4)), np.ones((4, 4)), np.ones((4, 4))])
    assert decoded(pictures([rgb])[0])[0, 0].tolist() == [0, 255, 255, 255]
    mask = np.zeros((50, 50))
    mask[3, 4] = 1
    picture = decoded(pictures([mask])[0])
    assert (picture[3, 4, 0], picture[0, 0, 0]) == (255, 0)
    nothing = decoded(pictures([np.full((2, 3, 3), np.nan)])[0])
    assert not nothing.any()
