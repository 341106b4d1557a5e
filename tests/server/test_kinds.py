"""The forms in which a chain is answered: large tiles, GeoTIFF, statistics, legends as pictures, thumbnails, gzip."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from rasterio.io import MemoryFile

Graph = dict[str, Any]
Z, X, Y = 16, 36799, 23522  # over the series
SVG = "{http://www.w3.org/2000/svg}"
HALF_WORLD = np.pi * 6378137


@pytest.fixture(scope="module")
def http(server: str, asker: Any) -> Iterator[Any]:
    with asker(server) as client:
        yield client


@pytest.fixture
def key(http: Any, one_band: Callable[..., Graph]) -> str:
    kept: str = http.keep(
        one_band("sentinel2-series", "B04", "2020-08-01", "2020-09-01", colors="viridis", vmin=0, vmax=0.3)
    )
    return kept


def _four(get: Callable[[int, int], Any]) -> Any:
    rows = [np.concatenate([get(2 * X + i, 2 * Y + j) for i in range(2)], axis=1) for j in range(2)]
    return np.concatenate(rows)


def test_a_large_tile_holds_the_four_of_the_next_zoom(http: Any, key: str, function: Callable[..., Graph]) -> None:
    def picture(path: str) -> Any:
        return np.asarray(Image.open(io.BytesIO(http.get(path).content)).convert("RGBA"))

    large = picture(f"/tiles/{key}/{Z}/{X}/{Y}@2x.png")
    assert large.shape == (512, 512, 4)
    assert len(np.unique(large)) > 50
    np.testing.assert_array_equal(large, _four(lambda x, y: picture(f"/tiles/{key}/{Z + 1}/{x}/{y}.png")))
    own = http.keep(function("def f(img):\n    return img[1] - img[0]\n"))
    values = http.values(http.get(f"/tiles/{own}/{Z}/{X}/{Y}@2x.npy"))
    np.testing.assert_array_equal(values, _four(lambda x, y: http.tile(own, Z + 1, x, y)))


def test_a_large_tile_that_is_known_is_not_sent_again(http: Any, key: str) -> None:
    path = f"/tiles/{key}/{Z}/{X}/{Y}@2x.png"
    answer = http.get(path, headers={"If-None-Match": http.get(path).headers["etag"]})
    assert answer.status_code == 304


@pytest.mark.parametrize("row", ["@2x.png", "1@3x.png", "1@2x@2x.png", "1@2x.gif"])
def test_other_forms_are_refused(http: Any, key: str, row: str) -> None:
    answer = http.get(f"/tiles/{key}/{Z}/{X}/{row}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid-argument"


@pytest.mark.parametrize("size", [256, 512])
def test_a_geotiff_holds_the_values_and_their_place(http: Any, key: str, size: int) -> None:
    row = f"{Y}@2x" if size == 512 else str(Y)
    answer = http.get(f"/tiles/{key}/{Z}/{X}/{row}.tif")
    assert answer.headers["content-type"].startswith("image/tiff")
    with MemoryFile(answer.content) as memory, memory.open() as file:
        assert (file.crs.to_epsg(), file.width, file.height, file.count) == (3857, size, size, 1)
        assert np.isnan(file.nodata)
        side = 2 * HALF_WORLD / 2**Z
        box = X * side - HALF_WORLD, HALF_WORLD - (Y + 1) * side, (X + 1) * side - HALF_WORLD, HALF_WORLD - Y * side
        np.testing.assert_allclose(file.bounds, box, atol=1e-6)
        np.testing.assert_array_equal(file.read(1), http.values(http.get(f"/tiles/{key}/{Z}/{X}/{row}.npy")))


def test_the_bands_of_a_geotiff_are_called_as_those_of_the_chain(http: Any, series: Callable[..., Graph]) -> None:
    key = http.keep(series("sentinel2-series", ["B04", "B08"], "2020-08-01", "2020-09-01"))
    values = http.tile(key, Z, X, Y)
    with MemoryFile(http.get(f"/tiles/{key}/{Z}/{X}/{Y}.tif").content) as memory, memory.open() as file:
        np.testing.assert_array_equal(file.read(), values.reshape(-1, 256, 256))
        assert [name.partition(" ")[2] for name in file.descriptions] == ["B04", "B08"] * values.shape[0]
        assert file.descriptions[0].startswith("2020-08-")


def test_statistics_are_those_of_the_values_in_a_box(http: Any, key: str) -> None:
    box = (22.15, 45.2, 22.16, 45.21)
    answer = http.get(f"/statistics/{key}", params={"bbox": ",".join(map(str, box)), "size": 64})
    assert answer.status_code == 200, answer.text
    grid, (plane,) = answer.json()["grid"], answer.json()["planes"]
    assert plane["count"] + plane["missing"] == grid["width"] * grid["height"] <= 64 * 64
    body = http.get(f"/chains/{key}").json() | {"area": box, "resolution": grid["res_x"], "crs": 3857}
    with np.load(io.BytesIO(http.post("/compute", json=body).content), allow_pickle=False) as archive:
        values = archive["values"]
    valid = values[np.isfinite(values)].astype(np.float64)
    assert plane["count"] == valid.size > 1000
    found = [plane["min"], plane["max"], plane["mean"], plane["std"], plane["percentiles"]["50"]]
    np.testing.assert_allclose(found, [valid.min(), valid.max(), valid.mean(), valid.std(), np.median(valid)])


def test_statistics_are_told_by_date_and_band(http: Any, series: Callable[..., Graph]) -> None:
    key = http.keep(series("sentinel2-series", ["B04", "B08"], "2020-08-01", "2020-09-01"))
    planes = http.get(f"/statistics/{key}?size=32").json()["planes"]
    assert {plane["bands"] for plane in planes} == {"B04", "B08"}
    assert all(plane["t"].startswith("2020-08-") for plane in planes)
    assert len(planes) == http.tile(key, Z, X, Y).shape[0] * 2


def test_statistics_without_data_are_null(http: Any, key: str) -> None:
    (plane,) = http.get(f"/statistics/{key}?bbox=0,0,1,1&size=16").json()["planes"]
    assert (plane["count"], plane["mean"], plane["percentiles"]) == (0, None, None)


@pytest.mark.parametrize("bbox", ["1,2,3", "a,b,c,d", "2,0,1,1", ""])
def test_a_box_that_is_none_is_refused(http: Any, key: str, bbox: str) -> None:
    answer = http.get(f"/statistics/{key}", params={"bbox": bbox})
    assert (answer.status_code, answer.json()["where"]["argument"]) == (400, "area")


def test_a_legend_as_a_picture(http: Any, key: str) -> None:
    answer = http.get(f"/legend/{key}.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    root = ElementTree.fromstring(answer.text)
    assert [text.text for text in root.iter(f"{SVG}text")] == ["B04", "0", "0.15", "0.3"]
    stops = [(float(s.get("offset") or ""), s.get("stop-color")) for s in root.iter(f"{SVG}stop")]
    told = http.get(f"/legend/{key}").json()["stops"]
    np.testing.assert_allclose([place for place, _ in stops], [value / 0.3 for value, _ in told], atol=1e-4)
    assert [colour for _, colour in stops] == [colour[:7] for _, colour in told]


def test_labels_of_classes_are_text_in_a_legend(http: Any, one_band: Callable[..., Graph]) -> None:
    graph = one_band("sentinel2-series", "SCL", "2020-08-01", "2020-09-01")
    del graph["band"]["result"]
    label = "<script>alert('x')</script> & more"
    classes = [{"value": 4, "label": label, "color": "#00ff0080"}, {"value": 5, "label": "soil", "color": "#aa7700"}]
    arguments = {"data": {"from_node": "band"}, "classes": classes}
    graph["classes"] = {"process_id": "classes", "arguments": arguments, "result": True}
    root = ElementTree.fromstring(http.get(f"/legend/{http.keep(graph)}.svg").text)
    assert [text.text for text in root.iter(f"{SVG}text")] == ["SCL", label, "soil"]
    assert [(r.get("fill"), r.get("fill-opacity")) for r in root.iter(f"{SVG}rect")] == [
        ("#00ff00", "0.502"),
        ("#aa7700", "1"),
    ]


@pytest.mark.parametrize("kind", ["ramp", "rgb", "classes"])
@pytest.mark.parametrize("x", [X, X + 1, X + 9], ids=["full", "edge", "empty"])
def test_webp_shows_what_png_shows(
    http: Any, kind: str, x: int, one_band: Callable[..., Graph], series: Callable[..., Graph]
) -> None:
    if kind == "rgb":
        key = http.keep(series("sentinel2-series", ["B04", "B03", "B02"], "2020-08-01", "2020-09-01"))
    else:
        key = http.keep(one_band("sentinel2-series", "B04" if kind == "ramp" else "SCL", "2020-08-01", "2020-09-01"))
    png, webp = (http.get(f"/tiles/{key}/{Z}/{x}/{Y}.{form}") for form in ("png", "webp"))
    assert webp.headers["content-type"] == "image/webp"
    seen, expected = (Image.open(io.BytesIO(answer.content)) for answer in (webp, png))
    assert seen.format == "WEBP"
    np.testing.assert_array_equal(np.asarray(seen.convert("RGBA")), np.asarray(expected.convert("RGBA")))


@pytest.mark.parametrize("path", ["/processes", "/collections"])
def test_long_json_is_sent_packed_to_who_takes_it(http: Any, path: str) -> None:
    plain = http.get(path, headers={"Accept-Encoding": "identity"})
    packed = http.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert packed.json() == plain.json()


@pytest.mark.parametrize("path", ["/health", "/preview/{}.png", "/tiles/{}/16/36799/23522.png"])
def test_what_is_short_or_packed_already_is_sent_as_it_is(http: Any, key: str, path: str) -> None:
    assert "content-encoding" not in http.get(path.format(key), headers={"Accept-Encoding": "gzip"}).headers
