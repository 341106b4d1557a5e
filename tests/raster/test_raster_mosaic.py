"""Many files: the first valid value wins, blocks are decoded once, bad files are named and others go on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from earthloom.base.errors import ReadError
from earthloom.base.grid import Grid, Lattice
from earthloom.raster import warp
from earthloom.raster.coords import choose_level
from earthloom.raster.files import header
from earthloom.raster.mosaic import MosaicReader

Function = Callable[..., Any]  # fixtures of conftest.py

UTM = Lattice(32633, 10.0, 10.0)


def own_grid(path: str) -> Grid:
    """The very pixels of a file that `make_tiff` made."""
    return Grid.covering(UTM, header(path).bounds)


def first_valid(*layers: NDArray[np.float64]) -> NDArray[np.float64]:
    out = layers[0].copy()
    for layer in layers[1:]:
        out = np.where(np.isnan(out), layer, out)
    return out


@pytest.mark.parametrize("method", ["near", "bilinear"])
@pytest.mark.parametrize("zoom", [9, 11, 13])
def test_itaipu_has_no_seam(
    pack: Path, reader: MosaicReader, zoom: int, method: str, asset: Function, by_gdal: Function
) -> None:
    """Two scenes that overlap by 3.9 km, in either order: no hole, and the first one in the overlap."""
    paths = sorted((pack / "landsat8-itaipu").glob("*.tif"))
    lattice = Lattice.web_mercator(zoom)
    x, y = lattice.pixel(-6_070_000, -2_917_500)  # inside the overlap
    grid = Grid(lattice, x - 200, y - 200, 400, 400)
    upper, lower = (by_gdal(p, choose_level(header(str(p)), lattice), 1, grid, method) for p in paths)
    both = np.isfinite(upper) & np.isfinite(lower)
    assert both.any()
    for order, truth in (((0, 1), first_valid(upper, lower)), ((1, 0), first_valid(lower, upper))):
        ours = reader.read([asset(paths[k], item=str(k)) for k in order], grid, ["b"], method)[0]
        differs = (ours != truth) & ~(np.isnan(ours) & np.isnan(truth)) if method == "near" else abs(ours - truth) > 0.5
        assert differs.sum() <= 0.001 * grid.width * grid.height
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(upper) & np.isnan(lower))


def test_two_coordinate_systems_in_one_mosaic(
    pack: Path, reader: MosaicReader, asset: Function, tile_over: Function
) -> None:
    """What a projected scene leaves empty is filled from a geographic one."""
    scene, world = pack / "sentinel2-havel/T33UUU_20170216T102101_B04.tif", pack / "basemap/blue_marble.tif"
    grid = tile_over(header(str(scene)), 12, 0.0, 0.0)
    above, below = (reader.read([asset(p)], grid, ["b"])[0] for p in (scene, world))
    assert 0.1 < np.isnan(above).mean() < 0.9
    both = reader.read([asset(scene), asset(world)], grid, ["b"])[0]
    np.testing.assert_array_equal(both, first_valid(above, below))
    assert np.isfinite(both).all()


def test_first_valid_is_by_band(make_tiff: Function, reader: MosaicReader, asset: Function) -> None:
    one = make_tiff(np.array([[[0, 11]], [[12, 0]]], np.uint8), "one.tif", nodata=0)
    two = make_tiff(np.array([[[21, 21]], [[22, 22]]], np.uint8), "two.tif", nodata=0)
    assets = [asset(path, k, band=f"b{k}") for path in (one, two) for k in (2, 1)]
    ours = reader.read(assets, own_grid(one), ["b1", "none", "b2"])
    np.testing.assert_array_equal(ours[:, 0], [[21, 11], [np.nan, np.nan], [12, 22]])


def test_stops_when_filled_and_decodes_no_block_that_is_not_needed(
    make_tiff: Function, reader: MosaicReader, asset: Function
) -> None:
    values = np.full((1024, 1024), 5, np.uint16)
    first = make_tiff(values, "first.tif", tiled=True)
    second = make_tiff(values, "second.tif", tiled=True, nodata=0)
    grid = own_grid(first)
    quarter = Grid(UTM, grid.col + 10, grid.row + 10, 200, 200)
    reader.read([asset(first), asset(second), asset("/nowhere/missing.tif")], quarter, ["b"])
    assert reader.blocks.decoded == 1

    values[:256, :256] = 0
    holed = make_tiff(values, "holed.tif", tiled=True, nodata=0)
    ours = reader.read([asset(holed), asset(second)], grid, ["b"])
    assert (ours == 5).all()
    # Needs are told by patches of 32 pixels, some of which reach from the hole into the blocks beside it.
    assert 1 + 16 < reader.blocks.decoded <= 1 + 16 + 4


def test_footprints_that_miss_are_not_decoded(
    pack: Path, reader: MosaicReader, asset: Function, tile_over: Function
) -> None:
    coast = str(pack / "sentinel2-coast/T18S_coast_B08.tif")
    others = sorted((pack / "sentinel2-havel").glob("*.tif")) + sorted((pack / "elevation").glob("*.tif"))
    ours = reader.read([asset(p) for p in others], tile_over(header(coast), 12), ["b"])
    assert np.isnan(ours).all()
    assert reader.blocks.decoded == 0


def test_no_data_of_every_kind(make_tiff: Function, reader: MosaicReader, asset: Function) -> None:
    values = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    wanted = values.astype(np.float64)
    wanted[0, 0] = np.nan
    hole = values.copy()
    hole[0, 0] = np.nan
    mask = np.where(np.isnan(wanted), 0, 255).astype(np.uint8)
    rgba = np.stack([*[np.nan_to_num(hole).astype(np.uint8)] * 3, mask])
    cases = {
        "NaN": (make_tiff(hole, "nan.tif", nodata=np.nan), {}),
        "NaN, not declared": (make_tiff(hole, "undeclared.tif"), {}),
        "a number": (make_tiff(np.nan_to_num(hole, nan=-9999), "number.tif", nodata=-9999), {}),
        "the catalogue's number": (make_tiff(np.nan_to_num(hole, nan=-7), "asset.tif"), {"nodata": -7.0}),
        "both numbers": (make_tiff(np.nan_to_num(hole, nan=-7), "both.tif", nodata=99), {"nodata": -7.0}),
        "float64's limit": (make_tiff(np.nan_to_num(hole, nan=-3.4028235e38), "limit.tif", nodata=-3.4028235e38), {}),
        "a mask": (make_tiff(np.nan_to_num(hole, nan=77), "mask.tif", mask=mask), {}),
        "an alpha band": (make_tiff(rgba, "alpha.tif", photometric="RGB", ALPHA="YES"), {}),
    }
    for name, (path, facts) in cases.items():
        assert header(path).masked == (name in ("a mask", "an alpha band"))
        ours = reader.read([asset(path, **facts)], own_grid(path), ["b"])[0]
        np.testing.assert_array_equal(ours, wanted, err_msg=name)


def test_no_data_value_that_the_type_cannot_hold_hides_nothing(
    make_tiff: Function, reader: MosaicReader, asset: Function
) -> None:
    path = make_tiff(np.array([[0, 1, 255]], np.uint8))
    for nodata in (-9999.0, 0.5, 300.0, float("nan")):
        assert np.isfinite(reader.read([asset(path, nodata=nodata)], own_grid(path), ["b"])).all()


def test_bilinear_weighs_valid_neighbours_only(make_tiff: Function, reader: MosaicReader, asset: Function) -> None:
    """At a hole and at the border, and across blocks; the pixel that holds the centre must be valid."""
    path = make_tiff(np.array([[10, 0], [30, 50]], np.uint8), nodata=0)
    x0, _, _, y1 = header(path).bounds
    fine = Lattice(32633, 5.0, 5.0, x0, y1)
    ours = reader.read([asset(path)], Grid(fine, -1, -1, 6, 6), ["b"], "bilinear")[0]
    nan = np.nan
    corner = (10 * 9 + 30 * 3 + 50 * 1) / 13
    wanted = [
        [nan] * 6,
        [nan, 10, 10, nan, nan, nan],
        [nan, 15, corner, nan, nan, nan],
        [nan, 25, (30 * 9 + 10 * 3 + 50 * 3) / 15, (50 * 9 + 30 * 3 + 10) / 13, 50, nan],
        [nan, 30, 35, 45, 50, nan],
        [nan] * 6,
    ]
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)

    ramp = np.add.outer(np.arange(600), 2 * np.arange(700)).astype(np.uint16)
    tiled = make_tiff(ramp, "ramp.tif", tiled=True, blockxsize=256, blockysize=256)
    shifted = Lattice(32633, 10.0, 10.0, x0 + 3, y1 - 4)
    ours = reader.read([asset(tiled)], Grid(shifted, 1, 1, 690, 590), ["b"], "bilinear")[0]
    np.testing.assert_allclose(ours, ramp[1:591, 1:691] + 0.6 + 0.4, rtol=1e-6)


@pytest.mark.parametrize(
    "layout",
    [
        {"blockysize": 1},
        {"blockysize": 7},
        {"blockysize": 333},
        {"tiled": True, "blockxsize": 16, "blockysize": 48},
        {"tiled": True, "blockxsize": 512, "blockysize": 512},
        {"interleave": "pixel"},
        {"interleave": "band", "tiled": True},
    ],
)
def test_every_layout_of_blocks(make_tiff: Function, reader: MosaicReader, asset: Function, layout: Any) -> None:
    values = np.random.default_rng(3).integers(0, 1000, (3, 333, 517)).astype(np.int16)
    path = make_tiff(values, **layout)
    ours = reader.read([asset(path, k, band=f"b{k}") for k in (1, 2, 3)], own_grid(path), ["b3", "b1"])
    np.testing.assert_array_equal(ours, values[[2, 0]])
    assert reader.blocks.decoded <= 2 * 6


def test_sparse_blocks_are_no_data(make_tiff: Function, reader: MosaicReader, asset: Function) -> None:
    values = np.zeros((512, 512), np.uint16)
    values[300:310, 300:310] = 8
    path = make_tiff(values, tiled=True, nodata=0, SPARSE_OK=True)
    ours = reader.read([asset(path)], own_grid(path), ["b"])[0]
    np.testing.assert_array_equal(ours, np.where(values == 0, np.nan, values))
    assert reader.blocks.nbytes < 256 * 256 * 3 + 1000  # empty blocks take no memory


def test_each_block_is_decoded_once_however_many_ask(pack: Path, asset: Function, tile_over: Function) -> None:
    path = str(pack / "sentinel2-coast/T18S_coast_B08.tif")
    head = header(path)
    grids = [tile_over(head, 13, dx, dy) for dx in (0.02, 0.5, 0.98) for dy in (0.02, 0.5, 0.98)]
    reader, start = MosaicReader(), threading.Barrier(8)

    def ask(k: int) -> list[NDArray[Any]]:
        start.wait()
        return [reader.read([asset(path)], grids[(k + n) % 9], ["b"]) for n in range(9)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    size = head.full
    assert reader.blocks.decoded == -(-size.width // size.block_width) * -(-size.height // size.block_height) == 9
    alone = MosaicReader()
    for k, answer in enumerate(answers):
        for n, values in enumerate(answer):
            np.testing.assert_array_equal(values, alone.read([asset(path)], grids[(k + n) % 9], ["b"]))
    reader.close()


def test_bands_of_a_pixel_interleaved_file_are_decoded_together(
    pack: Path, reader: MosaicReader, asset: Function, tile_over: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(pack / "basemap/blue_marble.tif")
    calls: list[int] = []
    get = reader.blocks.get
    monkeypatch.setattr(reader.blocks, "get", lambda keys, decode: calls.append(len(keys)) or get(keys, decode))
    assets = [asset(path, k, band=name) for k, name in enumerate("rgb", 1)]
    reader.read(assets, tile_over(header(path), 5), ["r", "g", "b"])
    assert calls
    assert set(calls) == {3}


def test_cache_is_bounded(pack: Path, asset: Function) -> None:
    reader = MosaicReader(cache_bytes=300_000)
    path = str(pack / "sentinel2-coast/T18S_coast_B08.tif")
    grid = Grid.covering(Lattice(32618, 10.0, 10.0), header(path).bounds)
    whole = MosaicReader().read([asset(path)], grid, ["b"])
    for _ in range(2):
        np.testing.assert_array_equal(reader.read([asset(path)], grid, ["b"]), whole)
        assert 0 < reader.blocks.nbytes <= 300_000
    assert reader.blocks.decoded > 9


def test_a_truncated_file_fails_where_it_is_cut_only(
    pack: Path, tmp_path: Path, reader: MosaicReader, asset: Function
) -> None:
    whole = (pack / "sentinel2-coast/T18S_coast_B08.tif").read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole[: len(whole) // 2])
    head = header(str(cut))
    x0, _, _, y1 = head.bounds
    lattice = Lattice(32618, 10.0, 10.0, x0, y1)
    good, errors = 0, []
    for _ in range(2):  # errors are not kept, nor do they spoil what is
        for row in range(3):
            for col in range(3):
                grid = Grid(lattice, col * 256, row * 256, 20, 20)
                try:
                    ours = reader.read([asset(cut, item="S2A", band="B08")], grid, ["B08"])
                except ReadError as error:
                    errors.append(error)
                else:
                    good += 1
                    intact = asset(pack / "sentinel2-coast/T18S_coast_B08.tif", band="B08")
                    np.testing.assert_array_equal(ours, reader.read([intact], grid, ["B08"]))
    assert good > 0
    assert len(errors) == 18 - good > 0
    for error in errors:
        assert error.where == {"item": "S2A", "band": "B08", "file": str(cut)}
        assert "cut.tif is damaged or cut off" in error.message


def test_an_error_names_the_item_of_each_who_waits(make_tiff: Function, asset: Function) -> None:
    """Two items may share a damaged file: each is told with its own name."""
    values = np.random.default_rng(0).integers(0, 60_000, (256, 256)).astype(np.uint16)
    path = make_tiff(values, tiled=True)
    os.truncate(path, os.path.getsize(path) - 5_000)
    reader = MosaicReader()

    def ask(k: int) -> str:
        with pytest.raises(ReadError) as caught:
            reader.read([asset(path, item=f"item {k}")], own_grid(path), ["b"])
        return str(caught.value.where["item"])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [f"item {k}" for k in range(8)]
    assert reader.blocks.decoded == 0


def test_a_missing_file_is_named(pack: Path, tmp_path: Path, reader: MosaicReader, asset: Function) -> None:
    gone = str(tmp_path / "gone.tif")
    with pytest.raises(ReadError, match=r"gone\.tif is missing") as caught:
        reader.read([asset(gone, item="lost", band="B04")], Grid.tile(12, 1, 1), ["B04"])
    assert caught.value.where == {"item": "lost", "band": "B04", "file": gone}
    with pytest.raises(ReadError, match="no band 7") as caught:
        reader.read([asset(pack / "basemap/blue_marble.tif", 7, item="world")], Grid.tile(0, 0, 0), ["b"])
    assert caught.value.where["item"] == "world"
    assert caught.value.hint == "Its bands run from 1 to 3."


def test_a_replaced_file_is_noticed(make_tiff: Function, reader: MosaicReader, asset: Function) -> None:
    path = make_tiff(np.full((20, 20), 1, np.uint8))
    assert (reader.read([asset(path)], own_grid(path), ["b"]) == 1).all()
    make_tiff(np.full((20, 20), 2, np.uint8))
    os.utime(path, ns=(1, 1))
    assert (reader.read([asset(path)], own_grid(path), ["b"]) == 2).all()


def test_nothing_is_compiled_after_warming(
    make_tiff: Function, pack: Path, reader: MosaicReader, asset: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = (warp.needed, warp.nearest, warp.bilinear)
    before = [len(kernel.signatures) for kernel in kernels]
    for dtype in ("uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"):
        path = make_tiff(np.ones((2, 300, 280), dtype), f"{dtype}.tif", nodata=0)
        grid = own_grid(path)
        for method in ("near", "bilinear"):
            for out in ("float32", "float64"):
                for scale in (1, 0.5):
                    facts = {"scale": scale, "offset": 0}
                    reader.read([asset(path, 2, **facts), asset(path, **facts)], grid.grown(3), ["b", "b"], method, out)
                with monkeypatch.context() as patch:
                    patch.setattr("earthloom.raster.mosaic.MAX_GRID_PX", 10_000)
                    reader.read([asset(path)], grid, ["b"], method, out)
    assert [len(kernel.signatures) for kernel in kernels] == before


def test_a_reader_survives_a_fork(pack: Path) -> None:
    """Threads and file positions are not shared with the child."""
    script = """
import os, sys
import numpy as np
from earthloom.base.asset import Asset
from earthloom.base.grid import Grid, Lattice
from earthloom.raster.files import header
from earthloom.raster.mosaic import MosaicReader
path = sys.argv[1]
grid = Grid.covering(Lattice(32618, 10.0, 10.0), header(path).bounds)
reader = MosaicReader(cache_bytes=0)
wanted = reader.read([Asset("i", "b", path)], grid, ["b"])
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(reader.read([Asset("i", "b", path)], grid, ["b"]), wanted) for _ in range(5))
        os._exit(0 if same else 3)
    children.append(child)
assert all(np.array_equal(reader.read([Asset("i", "b", path)], grid, ["b"]), wanted) for _ in range(5))
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(pack / "sentinel2-coast/T18S_coast_B08.tif")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
