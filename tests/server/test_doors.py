"""Every route of a real server over the demo data, asked by plain HTTP."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from earthloom.server.guard import MAX_BODY_BYTES

Make = Callable[..., dict[str, Any]]
FOREST = (22.152, 45.205)  # lon, lat, inside the series
Z = 14


@pytest.fixture(scope="module")
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as client:
        yield client


def _tile_of(lon: float, lat: float, z: int) -> tuple[int, int, int, int]:
    """Column and row of the tile that holds a point, and of the point's pixel in it (the usual formula)."""
    size = 256 * 2**z
    px = (lon + 180) / 360 * size
    py = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * size
    return int(px) // 256, int(py) // 256, int(px) % 256, int(py) % 256


X, Y, PX, PY = _tile_of(*FOREST, Z)


def _key(http: httpx.Client, graph: dict[str, Any]) -> str:
    answer = http.post("/chains", json={"process_graph": graph})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def _refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert set(document) == {"code", "message", "hint", "near", "where"}
    assert document["code"] == code
    assert document["message"]
    return dict(document)


# chains


def test_three_spellings_of_a_body_are_one_chain(http: httpx.Client, one_band: Make) -> None:
    graph = one_band("sentinel2-series", "B04", colors=["red", "green"])
    bodies = ({"process_graph": graph}, {"process": {"process_graph": graph}}, graph)
    answers = [http.post("/chains", json=body) for body in bodies]
    [key] = {answer.json()["key"] for answer in answers}
    assert answers[0].headers["location"] == f"{http.base_url}/chains/{key}"
    document = answers[0].json()
    assert set(document) == {"key", "tiles", "tilejson", "legend", "warnings", "dims", "bands"}
    assert (document["dims"], document["bands"]) == (["y", "x"], None)
    assert document["tiles"] == f"{http.base_url}/tiles/{key}/{{z}}/{{x}}/{{y}}.png"
    for link in ("tilejson", "legend"):
        assert http.get(document[link]).status_code == 200
    kept = http.get(f"/chains/{key}").json()
    assert kept["key"] == key
    assert _key(http, kept["process_graph"]) == key


def test_a_chain_with_dates_and_no_reducer_says_what_its_picture_shows(http: httpx.Client, series: Make) -> None:
    answer = http.post("/chains", json=series("sentinel2-series", ["B04"])).json()
    assert any("newest" in warning for warning in answer["warnings"])


@pytest.mark.parametrize(
    ("collection", "band", "named", "near"),
    [
        ("sentinel2-serie", "B04", "sentinel2-serie", "sentinel2-series"),
        ("sentinel2-series", "B8", "B8", "B08"),
    ],
)
def test_unknown_names_give_near_ones(
    http: httpx.Client, one_band: Make, collection: str, band: str, named: str, near: str
) -> None:
    document = _refused(http.post("/chains", json=one_band(collection, band)), 404, "not-found")
    assert f'"{named}"' in document["message"]
    assert near in document["near"]


def test_unknown_process_and_argument_name_the_node(http: httpx.Client, one_band: Make) -> None:
    graph = one_band("sentinel2-series", "B04", colors=["red", "green"])
    graph["color"]["process_id"] = "colour"
    document = _refused(http.post("/chains", json=graph), 404, "not-found")
    assert document["where"]["node"] == "color"
    assert "color" in document["near"]
    graph["color"]["process_id"] = "color"
    graph["color"]["arguments"]["vmix"] = 1
    document = _refused(http.post("/chains", json=graph), 404, "not-found")
    assert document["where"]["node"] == "color"
    assert {"vmin", "vmax"} & set(document["near"])


def test_graphs_that_are_none(http: httpx.Client) -> None:
    loop = {n: {"process_id": "mosaic", "arguments": {"data": {"from_node": m}}} for n, m in (("a", "b"), ("b", "a"))}
    loop["a"]["result"] = True  # type: ignore[assignment]
    chain: dict[str, Any] = {"n0": {"process_id": "mosaic", "arguments": {"data": {"from_node": "n1"}}, "result": True}}
    for i in range(1, 5000):
        chain[f"n{i}"] = {"process_id": "mosaic", "arguments": {"data": {"from_node": f"n{i + 1}"}}}
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    nested = {"a": {"process_id": "mosaic", "arguments": {"data": deep}, "result": True}}
    for graph in ({}, {"process_graph": None}, {"a": 1}, loop, chain, nested):
        answer = http.post("/chains", content=json.dumps(graph))
        assert answer.status_code in (400, 404, 413), answer.text
        assert answer.json()["code"] in ("invalid-graph", "invalid-argument", "not-found", "too-large")


def test_a_body_over_the_limit(http: httpx.Client) -> None:
    _refused(http.post("/chains", content=b"[" + b" " * MAX_BODY_BYTES + b"]"), 413, "too-large")


# tiles


def test_a_tile_is_a_picture_with_its_headers(http: httpx.Client, one_band: Make) -> None:
    key = _key(http, one_band("sentinel2-series", "B04", colors=["red", "yellow", "green"]))
    answer = http.get(f"/tiles/{key}/{Z}/{X}/{Y}.png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "no-cache"
    steps = [part.partition(";dur=") for part in answer.headers["server-timing"].split(", ")]
    assert [name for name, _, _ in steps] == ["plan", "evaluate", "paint", "encode"]
    assert all(float(ms) >= 0 for _, _, ms in steps)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (256, 256)
        alpha = np.array(image.convert("RGBA"))[..., 3]
    assert alpha[PY, PX] == 255
    assert (alpha == 0).any()


def test_a_tile_that_is_known_is_not_sent_again(http: httpx.Client, one_band: Make) -> None:
    key = _key(http, one_band("sentinel2-series", "B04"))
    path = f"/tiles/{key}/{Z}/{X}/{Y}.png"
    tag = http.get(path).headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = http.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    other = _key(http, one_band("sentinel2-series", "B08"))
    assert http.get(path.replace(key, other), headers={"If-None-Match": tag}).status_code == 200


def test_values_of_a_tile_and_of_a_point_are_the_same(http: httpx.Client, one_band: Make) -> None:
    key = _key(http, one_band("sentinel2-series", "B04", colors=["red", "green"]))
    answer = http.get(f"/tiles/{key}/{Z}/{X}/{Y}.npy")
    assert answer.headers["content-type"] == "application/x-npy"
    values = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert (values.shape, values.dtype) == ((256, 256), np.float32)
    point = http.get(f"/point/{key}", params={"lon": FOREST[0], "lat": FOREST[1], "z": Z}).json()
    assert (point["dims"], point["labels"]) == ([], {})
    assert np.float32(point["values"]) == values[PY, PX]
    assert 0 < point["values"] < 1
    nothing = http.get(f"/point/{key}", params={"lon": 0, "lat": 0, "z": Z}).json()
    assert nothing["values"] is None


def test_a_point_keeps_dates_and_bands(http: httpx.Client, series: Make) -> None:
    key = _key(http, series("sentinel2-series", ["B04", "B08"], "2020-05-01", "2020-06-01"))
    point = http.get(f"/point/{key}", params={"lon": FOREST[0], "lat": FOREST[1], "z": Z}).json()
    assert point["dims"] == ["t", "bands"]
    assert point["labels"]["bands"] == ["B04", "B08"]
    assert len(point["labels"]["t"]) > 1
    assert np.array(point["values"], float).shape == (len(point["labels"]["t"]), 2)


def test_a_tile_beside_the_data_is_empty(http: httpx.Client, one_band: Make) -> None:
    key = _key(http, one_band("sentinel2-series", "B04"))
    with Image.open(io.BytesIO(http.get(f"/tiles/{key}/{Z}/0/0.png").content)) as image:
        assert not np.array(image.convert("RGBA"))[..., 3].any()


@pytest.mark.parametrize(
    ("address", "argument"),
    [
        ("25/0/0.png", "z"),
        ("-1/0/0.png", "z"),
        (f"{'9' * 5000}/0/0.png", "z"),
        ("999999999/0/0.png", "z"),
        ("2/4/0.png", "x"),
        ("2/0/4.png", "y"),
        ("2/-1/0.png", "x"),
        ("2/one/0.png", "x"),
        ("2/1.5/0.png", "x"),
        ("2/0/0.gif", "y"),
        ("2/0/0", "y"),
        ("2/0/.png", "y"),
        ("2/%D9%A1/0.png", "x"),
    ],
)
def test_tiles_that_are_none(http: httpx.Client, one_band: Make, address: str, argument: str) -> None:
    key = _key(http, one_band("sentinel2-series", "B04"))
    document = _refused(http.get(f"/tiles/{key}/{address}"), 400, "invalid-argument")
    assert document["where"] == {"argument": argument}


@pytest.mark.parametrize(
    "path",
    [
        "/chains/{}",
        "/tiles/{}/2/1/1.png",
        "/tiles/{}/2/1/1.npy",
        "/tiles/{}/tilejson.json",
        "/legend/{}",
        "/point/{}?lon=1&lat=1&z=1",
        "/preview/{}.png",
    ],
)
def test_a_key_that_nobody_posted(http: httpx.Client, path: str) -> None:
    document = _refused(http.get(path.format("0" * 32)), 404, "not-found")
    assert "0" * 32 in document["message"]


def test_tilejson(http: httpx.Client, one_band: Make) -> None:
    key = _key(http, one_band("sentinel2-series", "B04"))
    document = http.get(f"/tiles/{key}/tilejson.json").json()
    assert document["tilejson"] == "3.0.0"
    assert document["tiles"] == [f"{http.base_url}/tiles/{key}/{{z}}/{{x}}/{{y}}.png"]
    west, south, east, north = document["bounds"]
    assert west < FOREST[0] < east
    assert south < FOREST[1] < north
    assert (document["minzoom"], document["maxzoom"]) == (0, 24)
    assert "Copernicus" in document["attribution"]


def test_equal_tiles_asked_at_once_are_equal(http: httpx.Client, series: Make, server: str) -> None:
    key = _key(http, series("sentinel2-series", ["B04"]))
    with ThreadPoolExecutor(16) as threads:
        path = f"{server}/tiles/{key}/{Z}/{X}/{Y}.png"
        answers = list(threads.map(lambda _: httpx.get(path, trust_env=False, timeout=60), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


# values and pictures


def test_legend_holds_the_resolved_range(http: httpx.Client, one_band: Make) -> None:
    graph = one_band("sentinel2-series", "B04", colors=["red", "green"], vmin=0, vmax=0.5)
    document = http.get(f"/legend/{_key(http, graph)}").json()
    assert (document["kind"], document["range"]) == ("ramp", [0, 0.5])


def test_preview_fits_its_size(http: httpx.Client, one_band: Make) -> None:
    key = _key(http, one_band("sentinel2-series", "B04"))
    with Image.open(io.BytesIO(http.get(f"/preview/{key}.png", params={"size": 100}).content)) as image:
        assert max(image.size) in (99, 100, 101)
        assert np.array(image.convert("RGBA"))[..., 3].any()
    _refused(http.get(f"/preview/{key}.png", params={"size": 100_000}), 400, "invalid-argument")


def test_compute_gives_an_archive_without_pickles(http: httpx.Client, one_band: Make) -> None:
    graph = one_band("sentinel2-series", "B04", "2020-08-01", "2020-09-01")
    area = [FOREST[0], FOREST[1], FOREST[0] + 0.002, FOREST[1] + 0.002]
    answer = http.post("/compute", json={"process_graph": graph, "area": area})
    assert answer.headers["content-type"] == "application/x-npz"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as archive:
        assert set(archive) == {"values", "header"}
        values, header = archive["values"], json.loads(str(archive["header"]))
    assert (header["dims"], header["labels"]) == (["y", "x"], {})
    grid = header["grid"]
    assert (grid["epsg"], grid["res_x"], grid["res_y"], grid["x0"], grid["y0"]) == (3035, 10, 10, 0, 0)
    assert values.shape == (grid["height"], grid["width"])
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"area": [22.1, 45.2, 22.0, 45.3]}, 400, "invalid-argument"),
        ({"area": "here"}, 400, "invalid-argument"),
        ({"area": {"type": "Polygon"}}, 400, "invalid-argument"),
        ({"area": [22.1, 45.2, 22.2]}, 400, "invalid-argument"),
        ({"crs": 4}, 400, "invalid-argument"),
        ({"crs": "rubbish"}, 400, "invalid-argument"),
        ({"resolution": -1}, 400, "invalid-argument"),
        ({"resolution": "fine"}, 400, "invalid-argument"),
        ({"resolution": 0.001}, 413, "too-large"),
        ({"area": [-180, -80, 180, 80], "crs": 4326, "resolution": 0.001}, 413, "too-large"),
    ],
)
def test_compute_refuses(http: httpx.Client, one_band: Make, more: dict[str, Any], status: int, code: str) -> None:
    graph = one_band("sentinel2-series", "B04", "2020-08-01", "2020-09-01")
    _refused(http.post("/compute", json={"process_graph": graph, **more}), status, code)


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("lat=1&z=1", "lon"),
        ("lon=1&lat=1", "z"),
        ("lon=181&lat=1&z=1", "lon"),
        ("lon=1&lat=91&z=1", "lat"),
        ("lon=1&lat=1&z=25", "z"),
        ("lon=east&lat=1&z=1", "lon"),
        ("lon=nan&lat=1&z=1", "lon"),
    ],
)
def test_points_that_are_none(http: httpx.Client, one_band: Make, query: str, argument: str) -> None:
    key = _key(http, one_band("sentinel2-series", "B04"))
    document = _refused(http.get(f"/point/{key}?{query}"), 400, "invalid-argument")
    assert document["where"] == {"argument": argument}


def test_an_empty_selection(http: httpx.Client, one_band: Make) -> None:
    key = _key(http, one_band("sentinel2-series", "B04", "1999-01-01", "1999-02-01"))
    _refused(http.get(f"/preview/{key}.png"), 404, "empty-selection")
    with Image.open(io.BytesIO(http.get(f"/tiles/{key}/{Z}/{X}/{Y}.png").content)) as image:
        assert not np.array(image.convert("RGBA"))[..., 3].any()


# what there is


def test_collections(http: httpx.Client, pack: Path) -> None:
    listed = {document["id"] for document in http.get("/collections").json()["collections"]}
    assert listed == {path.parent.name for path in pack.glob("*/collection.json")}
    document = http.get("/collections/sentinel2-series").json()
    assert {band["name"] for band in document["bands"]} >= {"B02", "B03", "B04", "B08", "B8A", "B11", "SCL"}
    document = _refused(http.get("/collections/sentinel2-serie"), 404, "not-found")
    assert "sentinel2-series" in document["near"]


def test_search(http: httpx.Client, selection: Make) -> None:
    graph = selection("sentinel2-series", "2020-05-01", "2020-06-01")
    found = http.post("/search", json={"process_graph": graph, "items": True}).json()
    assert found["matched"] == len(found["items"]) == len(found["dates"]) > 0
    assert found["dates"] == sorted(found["dates"])
    assert all("2020-05" in date for date in found["dates"])
    assert "items" not in http.post("/search", json={"process_graph": graph}).json()
    nothing = http.post("/search", json={"process_graph": selection("sentinel2-series", "2021-06-01", "2021-07-01")})
    assert (nothing.json()["matched"], nothing.json()["bbox"]) == (0, None)
    assert nothing.json()["nearest"].startswith("2020-12-22")
    _refused(http.post("/search", json={}), 400, "invalid-argument")


def test_places(http: httpx.Client) -> None:
    place = http.get("/places", params={"name": "Caras-Severin", "country": "RO"}).json()
    assert (place["kind"], place["country"]) == ("area", "RO")
    west, south, east, north = place["bbox"]
    assert west < FOREST[0] < east
    assert south < 45.1 < north
    document = _refused(http.get("/places", params={"name": "Caras-Severinn", "country": "RO"}), 404, "not-found")
    assert any("Severin" in name for name in document["near"])
    _refused(http.get("/places"), 400, "invalid-argument")


def test_processes_health_and_description(http: httpx.Client) -> None:
    specs = {spec["id"]: spec for spec in http.get("/processes").json()["processes"]}
    assert {"load_collection", "mosaic", "reduce_dimension", "color", "slope"} <= set(specs)
    assert [p["name"] for p in specs["load_collection"]["parameters"]][:3] == [
        "id",
        "spatial_extent",
        "temporal_extent",
    ]
    health = http.get("/health").json()
    assert (health["status"], health["title"]) == ("ok", "Earthloom")
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/chains", "/chains/{key}", "/point/{key}", "/compute", "/search", "/collections/{id}"} <= set(paths)


# who may ask


def test_pages_of_this_machine_may_read_answers_and_no_others(http: httpx.Client) -> None:
    for origin in ("http://localhost:8888", "http://127.0.0.1:8889", "http://[::1]:80"):
        assert http.get("/health", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
        failed = http.get("/tiles/x/1/1/1.png", headers={"Origin": origin})
        assert failed.headers["access-control-allow-origin"] == origin
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "content-type"
        assert http.options("/chains", headers=asked).status_code == 200
    for origin in ("https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil:80", "null"):
        assert "access-control-allow-origin" not in http.get("/health", headers={"Origin": origin}).headers
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert http.options("/chains", headers=asked).status_code == 400
        # A browser asks nobody before it posts a form or plain text.
        document = _refused(http.post("/chains", headers={"Origin": origin}, content=b"{}"), 400, "invalid-argument")
        assert origin in document["message"]


def test_a_foreign_host_name_is_refused(http: httpx.Client) -> None:
    _refused(http.get("/health", headers={"Host": "evil.example"}), 400, "invalid-argument")


# lasting, and broken files


def test_a_restart_keeps_chains(own_data: Path, start_server: Callable[..., Any], one_band: Make) -> None:
    graph = one_band("sentinel2-series", "B04", colors=["red", "green"])
    with start_server(own_data) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        key = _key(http, graph)
        before = http.get(f"/tiles/{key}/{Z}/{X}/{Y}.png")
    with start_server(own_data) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        after = http.get(f"/tiles/{key}/{Z}/{X}/{Y}.png")
        assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
        assert _key(http, http.get(f"/chains/{key}").json()["process_graph"]) == key


def test_a_broken_file_is_named_and_others_go_on(
    tmp_path: Path, pack: Path, start_server: Callable[..., Any], one_band: Make
) -> None:
    shutil.copytree(pack / "sentinel2-coast", tmp_path / "coast")
    data = tmp_path / "data"
    command = [
        sys.executable,
        "-m",
        "earthloom",
        "ingest",
        str(tmp_path / "coast/collection.json"),
        "--data",
        str(data),
    ]
    subprocess.run(command, check=True, capture_output=True)
    broken = tmp_path / "coast" / "T18S_coast_B08.tif"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 3])
    gone = tmp_path / "coast" / "T18S_coast_B03.tif"
    gone.unlink()
    with start_server(data) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        west, south, east, north = http.post(
            "/search", json={"process_graph": {"a": _everything("sentinel2-coast")}}
        ).json()["bbox"]
        x, y, _, _ = _tile_of((west + east) / 2, (south + north) / 2, 15)
        for band, file in (("B08", broken), ("B03", gone)):
            key = _key(http, one_band("sentinel2-coast", band, colors=["red", "green"], vmin=0, vmax=1))
            document = _refused(http.get(f"/tiles/{key}/15/{x}/{y}.png"), 500, "read-error")
            assert document["where"]["item"] == "S2A_T18S_coast_L1C"
            assert document["where"]["band"] == band
            assert document["where"]["file"] == str(file)
            assert document["where"]["node"] in ("load", "mosaic")
            assert file.name in document["message"]
            assert "Traceback" not in json.dumps(document)
        fine = _key(http, one_band("sentinel2-coast", "B04", colors=["red", "green"], vmin=0, vmax=1))
        assert http.get(f"/tiles/{fine}/15/{x}/{y}.png").status_code == 200


def _everything(collection: str) -> dict[str, Any]:
    arguments = {"id": collection, "spatial_extent": None, "temporal_extent": None}
    return {"process_id": "load_collection", "arguments": arguments, "result": True}
