"""Headers, open files, values for statistics; and files that are refused, each with its reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.shutil import copy

from earthloom.base.errors import ReadError
from earthloom.raster.files import Files, header, read_overview
from earthloom.raster.header import Level

Function = Callable[..., Any]  # fixtures of conftest.py


def test_header_of_a_scene(pack: Path) -> None:
    path = str(pack / "landsat8-itaipu/LC08_L1TP_224077_20200518_BGR.tif")
    head = header(path)
    assert (head.epsg, head.shape, head.interleaved, head.masked) == (32621, (370, 370), True, False)
    assert head.transform == (30.0, 0.0, 742185.0, 0.0, -30.0, -2797065.0)
    assert head.bounds == (742185.0, -2808165.0, 753285.0, -2797065.0)
    assert (head.overviews, Files().level(head, 1)) == ((2,), Level(185, 185, 185, 185))
    assert (head.full.block_width, head.full.block_height) == (256, 256)
    band = head.band(2)
    assert (band.index, band.dtype, band.nodata, band.scale, band.offset) == (2, "uint16", 0.0, 2e-5, -0.1)
    assert (band.description, band.colours) == ("OLI3", None)
    assert head.key == (path, os.path.getsize(path), os.stat(path).st_mtime_ns)


def test_header_with_colours_and_mask(pack: Path, make_tiff: Function) -> None:
    classes = header(str(pack / "sentinel2-series/S2_L2A_retezat_20200730_SCL.tif")).band(1)
    assert classes.colours is not None
    assert classes.colours[1] == (255, 0, 4, 255)
    masked = header(make_tiff(np.ones((4, 4), np.uint8), mask=np.full((4, 4), 255, np.uint8)))
    assert masked.masked


def test_small_blocks_are_read_several_at_a_time(make_tiff: Function) -> None:
    level = header(make_tiff(np.ones((1000, 700), np.uint8), blockysize=3)).full
    assert (level.block_width, level.block_height) == (700, 258)
    level = header(make_tiff(np.ones((1000, 700), np.uint8), tiled=True, blockxsize=64, blockysize=512)).full
    assert (level.block_width, level.block_height) == (256, 512)
    level = header(make_tiff(np.ones((90, 60), np.uint8), tiled=True)).full
    assert (level.block_width, level.block_height) == (60, 90)


def refused(path: Path | str) -> ReadError:
    with pytest.raises(ReadError) as caught:
        header(str(path))
    assert caught.value.where["file"] == str(path)
    return caught.value


def test_what_is_no_readable_file(tmp_path: Path, pack: Path) -> None:
    assert "x.tif is missing" in refused(tmp_path / "x.tif").message
    assert "x.tif is missing" in refused(pack / "README.md" / "x.tif").message
    assert "only files on this machine" in refused("https://example.org/x.tif").message
    assert "cannot be read" in refused("/tmp/a\0b.tif").message
    assert "no GeoTIFF" in refused(pack / "README.md").message
    assert "no GeoTIFF" in refused(tmp_path).message
    (tmp_path / "empty.tif").touch()
    assert "no GeoTIFF" in refused(tmp_path / "empty.tif").message
    head = (pack / "basemap/blue_marble.tif").read_bytes()[:120]
    (tmp_path / "start.tif").write_bytes(head)
    assert "no GeoTIFF, or its beginning is damaged" in refused(tmp_path / "start.tif").message


def test_other_formats_are_not_followed(tmp_path: Path, pack: Path) -> None:
    """A VRT could name any file of the machine."""
    copy(pack / "basemap/blue_marble.tif", tmp_path / "x.vrt", driver="VRT")
    assert "no GeoTIFF" in refused(tmp_path / "x.vrt").message


def test_files_that_do_not_say_where_they_lie(make_tiff: Function, tmp_path: Path) -> None:
    values = np.ones((4, 4), np.uint8)
    assert "no coordinate reference system" in refused(make_tiff(values, crs=None)).message
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    assert refused(make_tiff(values, crs=local)).hint.startswith("Warp it")
    assert "rotated or sheared" in refused(make_tiff(values, transform=Affine(10, 2, 5e5, 2, -10, 5e6))).message
    plain = tmp_path / "plain.tif"
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8"}
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(plain, "w", crs="EPSG:4326", **profile) as dataset:
        dataset.write(values, 1)
    assert "no geotransform" in refused(plain).message
    points = [GroundControlPoint(r, c, c, -r) for r, c in ((0, 0), (0, 4), (4, 0), (4, 4))]
    with rasterio.open(plain, "w", crs="EPSG:4326", gcps=points, **profile) as dataset:
        dataset.write(values, 1)
    assert "ground control points" in refused(plain).message


def test_complex_numbers_are_refused(make_tiff: Function) -> None:
    assert "complex64" in refused(make_tiff(np.ones((4, 4), np.complex64))).message


def test_open_files_are_bounded_and_lent_to_one_thread_at_a_time(make_tiff: Function) -> None:
    files = Files(max_idle=3)
    heads = [files.header(make_tiff(np.full((8, 8), k, np.uint8), f"{k}.tif")) for k in range(8)]

    def read(n: int) -> bool:
        head = heads[n % 8]
        with files.dataset(head.key, 0) as one, files.dataset(head.key, 0) as other:
            assert one is not other
            return bool((one.read(1) == n % 8).all())

    fds = len(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read, range(200)))
    assert len(os.listdir("/proc/self/fd")) <= fds + 3
    with files.dataset(heads[0].key, 0) as again:
        pass
    with files.dataset(heads[0].key, 0) as lent:
        assert lent is again
    files.close()
    assert len(os.listdir("/proc/self/fd")) <= fds


def test_a_file_changed_between_header_and_reading_is_told(make_tiff: Function) -> None:
    files = Files()
    path = make_tiff(np.zeros((8, 8), np.uint8))
    head = files.header(path)
    assert files.header(path) is head
    files.close()
    os.utime(path, ns=(1, 1))
    with pytest.raises(ReadError, match="was replaced"), files.dataset(head.key, 0):
        pass
    assert files.header(path) is not head


def test_overview_for_statistics(make_tiff: Function, pack: Path) -> None:
    world = str(pack / "basemap/blue_marble.tif")
    assert read_overview(world, 1).shape == (450, 900)
    assert read_overview(world, 1, max_px=10**8).shape == (1800, 3600)
    small = read_overview(world, 1, max_px=500)
    assert small.size <= 500
    assert small.dtype == np.float64

    values = np.array([[0, 5, 6], [7, 8, 0]], np.int16)
    read = read_overview(make_tiff(values, nodata=0), 1)
    np.testing.assert_array_equal(np.ma.getmaskarray(read), values == 0)
    np.testing.assert_array_equal(read.compressed(), [5, 6, 7, 8])
    floats = read_overview(make_tiff(np.array([[np.nan, 2.5]], np.float32)), 1)
    np.testing.assert_array_equal(floats.compressed(), [2.5])
    mask = np.array([[255, 0]], np.uint8)
    np.testing.assert_array_equal(read_overview(make_tiff(np.array([[3, 4]]), mask=mask), 1).compressed(), [3])
    with pytest.raises(ReadError, match="no band 2"):
        read_overview(make_tiff(values), 2)


def test_overview_of_a_truncated_file(pack: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tif"
    cut.write_bytes((pack / "sentinel2-coast/T18S_coast_B08.tif").read_bytes()[:200_000])
    with pytest.raises(ReadError, match="damaged or cut off"):
        read_overview(str(cut), 1)
