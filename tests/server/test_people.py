"""People at a real server: who sees which collection, by every way; how much one may ask; what the log tells."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.server import settings
from earthloom.server.limits import Bucket
from earthloom.server.rights import Rights
from earthloom.server.settings import PeopleOptions, load_people
from earthloom.server.tokens import Tokens

Make = Callable[..., dict[str, Any]]
Start = Callable[..., AbstractContextManager[str]]
SERIES = "sentinel2-series"
PLACE = {"lon": 22.152, "lat": 45.205, "z": 12}

pytestmark = pytest.mark.slow


def _run(*words: str, data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "earthloom", *words, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _said(*words: str, data: Path) -> str:
    done = _run(*words, data=data)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@dataclass(frozen=True)
class Shared:
    """A shared server, and who asks it: anna is of the group forest, ben of none."""

    data: Path
    anna: httpx.Client
    ben: httpx.Client

    @property
    def log(self) -> list[str]:
        return (self.data / "server.log").read_text().splitlines()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, demo_data: Path, start_server: Start, asker: type[httpx.Client]
) -> Iterator[Shared]:
    data = Path(shutil.copytree(demo_data, tmp_path_factory.mktemp("people") / "data"))
    anna = _said("token", "add", "anna", "--group", "forest", data=data).strip()
    ben = _said("token", "add", "ben", "--days", "30", data=data).strip()
    with (
        start_server(data, "--allowed-hosts", "tiles.example.org") as url,
        asker(url, anna) as first,
        asker(url, ben) as second,
    ):
        yield Shared(data, first, second)


@pytest.fixture
def restricted(shared: Shared) -> Iterator[Shared]:
    """The series is for the group forest."""
    assert _said("collection", "restrict", SERIES, "--to", "group:forest", data=shared.data) == ""
    yield shared
    _said("collection", "open", SERIES, data=shared.data)


def _key(client: httpx.Client, graph: dict[str, Any]) -> str:
    answer = client.post("/chains", json=graph)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def _error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_chain_over_a_restricted_collection_is_not_there_by_any_way(restricted: Shared, one_band: Make) -> None:
    anna, ben = restricted.anna, restricted.ben
    key = _key(anna, one_band(SERIES, "B04", colors=["red", "green"]))
    routes = {
        "/tiles/{key}/{z}/{x}/{y}": ["0/0/0.png", "0/0/0@2x.png", "0/0/0.npy", "0/0/0.tif"],
        "/tiles/{key}/tilejson.json": [""],
        "/point/{key}": ["?lon=22.152&lat=45.205&z=12"],
        "/statistics/{key}": ["?bbox=22.1,45.2,22.2,45.3"],
        "/preview/{key}.png": [""],
        "/legend/{key}": [""],
        "/legend/{key}.svg": [""],
        "/chains/{key}": [""],
        "/logs/{key}": [""],
    }
    known = anna.get("/openapi.json").json()["paths"]
    assert {path for path, methods in known.items() if "{key}" in path and "get" in methods} <= set(routes)
    paths = [
        path.replace("{z}/{x}/{y}", "").replace("{key}", key) + end for path, ends in routes.items() for end in ends
    ]
    nobodys = "0" * len(key)
    for path in paths:
        # All that is kept of the chain is in the server's memory now, and its tag is known.
        mine = anna.get(path)
        assert mine.status_code == 200, mine.text
        tag = {"If-None-Match": mine.headers.get("etag", "*")}
        for answer in (ben.get(path), ben.get(path, headers=tag), ben.get(path.replace(key, key.upper()))):
            assert _error(answer) == (404, "not-found")
        # Word for word the answer for a chain that nobody has.
        assert ben.get(path).text == ben.get(path.replace(key, nobodys)).text.replace(nobodys, key)
    assert anna.get(paths[0]).status_code == 200


def test_a_chain_that_the_store_has_forgotten_stays_hidden(shared: Shared, one_band: Make) -> None:
    key = _key(shared.anna, one_band(SERIES, "B04", colors=["blue", "green"]))
    tile = f"/tiles/{key}/0/0/0.png"
    assert shared.anna.get(tile).status_code == 200
    with closing(sqlite3.connect(shared.data / "chains.sqlite", timeout=10)) as store, store:
        assert store.execute("delete from chain where key = ?", (key,)).rowcount == 1
    _said("collection", "restrict", SERIES, "--to", "anna", data=shared.data)
    # The server has it in memory, and draws it for those who may see it.
    assert [client.get(tile).status_code for client in (shared.anna, shared.ben)] == [200, 404]
    _said("collection", "open", SERIES, data=shared.data)


def test_graphs_that_load_a_restricted_collection_find_none(
    restricted: Shared, one_band: Make, selection: Make, function: Make
) -> None:
    anna, ben = restricted.anna, restricted.ben
    graph = one_band(SERIES, "B04")
    aside = one_band("elevation", "elevation") | {"aside": graph["load"]}
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/chains", graph),
        ("/chains", {"process": {"process_graph": graph}}),
        ("/chains", aside),
        ("/compute", {"process_graph": graph, "resolution": 1000}),
        ("/search", {"process_graph": selection(SERIES), "items": True}),
        ("/search", {"process_graph": {"process_graph": selection(SERIES)}}),
        ("/logs", {"process_graph": function("def f(img):\n    return img\n")}),
        ("/udf/input", {"process_graph": function("def f(img):\n    return img\n"), **PLACE, "zoom": 12}),
    ]
    for path, body in bodies:
        refused = ben.post(path, json=body)
        assert _error(refused) == (404, "not-found"), path
        assert refused.json()["message"] == f'No collection "{SERIES}".'
        assert SERIES not in str(refused.json()["near"]) + refused.json()["hint"]
    assert anna.post("/search", json={"process_graph": selection(SERIES)}).json()["matched"] > 0
    other = _key(ben, one_band("elevation", "elevation"))
    assert ben.get(f"/tiles/{other}/0/0/0.npy").status_code == 200


def test_a_restricted_collection_is_neither_listed_nor_near(restricted: Shared, selection: Make) -> None:
    anna, ben = restricted.anna, restricted.ben

    def listed(client: httpx.Client) -> set[str]:
        return {c["id"] for c in client.get("/collections").json()["collections"]}

    assert listed(anna) - listed(ben) == {SERIES}
    assert anna.get(f"/collections/{SERIES}").status_code == 200
    one = f"/collections/{SERIES}"
    assert anna.get(f"{one}/thumbnail.png").status_code == 200
    for path in (one, f"{one}x", f"{one}/thumbnail.png", one.replace("-", "%2D")):
        answer = ben.get(path)
        assert _error(answer) == (404, "not-found")
        assert SERIES not in answer.json()["near"]
    near = ben.post("/search", json={"process_graph": selection(SERIES + "x")}).json()
    assert SERIES not in near["near"]
    assert SERIES in anna.get(f"/collections/{SERIES}x").json()["near"]


def test_the_page_lists_only_what_one_may_see(restricted: Shared, one_band: Make) -> None:
    anna, ben = restricted.anna, restricted.ben
    key = _key(anna, one_band(SERIES, "B08"))
    body = {"key": key, "name": "Forest"}
    assert _error(ben.post("/shared", json=body)) == (404, "not-found")
    assert anna.post("/shared", json=body).json()["layers"][0]["key"] == key
    assert key not in ben.get("/shared").text
    assert key in anna.get("/shared").text
    assert _error(ben.delete(f"/shared/{key}")) == (404, "not-found")
    assert ben.get("/basemap").status_code == 200
    _said("collection", "restrict", "basemap", "--to", "anna", data=restricted.data)
    assert anna.get("/basemap").status_code == 200
    assert _error(ben.get("/basemap")) == (404, "not-found")
    _said("collection", "open", "basemap", data=restricted.data)


def test_a_change_of_rights_counts_at_once(shared: Shared, one_band: Make) -> None:
    anna, ben, data = shared.anna, shared.ben, shared.data
    tile = f"/tiles/{_key(ben, one_band(SERIES, 'B04'))}/0/0/0.png"
    seen = [(200, 200)]

    def after(*words: str) -> None:
        _said(*words, data=data)
        seen.append((anna.get(tile).status_code, ben.get(tile).status_code))

    after("collection", "restrict", SERIES)
    after("collection", "restrict", SERIES, "--to", "ben", "--to", "group:forest")
    after("token", "groups", "anna")
    after("collection", "open", SERIES)
    after("token", "groups", "anna", "forest")
    assert seen[1:] == [(404, 404), (200, 200), (404, 200), (200, 200), (200, 200)]


def test_a_broken_list_of_rights_shows_nothing(restricted: Shared) -> None:
    file = restricted.data / "access.json"
    kept = file.read_text()
    file.write_text(kept[:-3])
    try:
        for client in (restricted.anna, restricted.ben):
            answer = client.get(f"/collections/{SERIES}")
            assert _error(answer) == (500, "error")
            assert "access.json" in answer.text
            assert str(restricted.data) not in answer.text
    finally:
        file.write_text(kept)
    assert restricted.anna.get(f"/collections/{SERIES}").status_code == 200


def test_rights_are_given_to_those_who_are_there(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.add("anna", groups=["forest"])
    rights = Rights(tokens)
    for one, near in (("ana", ("anna",)), ("group:forrest", ("forest",))):
        with pytest.raises(NotFound) as caught:
            rights.restrict("x", ["anna", one])
        assert caught.value.near == near
    with pytest.raises(InvalidArgument):
        rights.restrict("x", ["group:"])
    assert rights.all() == {}
    rights.restrict("x", ["anna", "local"])
    rights.restrict("y", ["group:forest"])
    assert [rights.hidden(name) for name in ("anna", "local", "ben")] == [set(), {"y"}, {"x", "y"}]
    with pytest.raises(NotFound):
        rights.open("z")


def test_the_commands_tell_who_sees_what(shared: Shared) -> None:
    done = _run("collection", "restrict", "sentinel2-serie", "--to", "anna", data=shared.data)
    assert (done.returncode, done.stdout) == (0, "")
    assert "No collection" in done.stderr
    assert SERIES in done.stderr
    lines = _said("collection", "list", data=shared.data).splitlines()
    assert f"{SERIES}: all" in lines
    assert "sentinel2-serie: anna (not ingested yet)" in lines
    _said("collection", "open", "sentinel2-serie", data=shared.data)
    shared.ben.get("/health")
    title, *names = _said("token", "list", data=shared.data).splitlines()
    assert title.split() == ["name", "groups", "made", "ends", "last", "used"]
    assert re.fullmatch(r"anna +forest +\d{4}-\d\d-\d\d +never +\d{4}-\d\d-\d\d \d\dh *", names[0])
    assert re.fullmatch(r"ben +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d \d\d:\d\d +\d{4}-\d\d-\d\d \d\dh *", names[1])


def test_the_log_tells_who_asked_for_which_tile(shared: Shared, one_band: Make) -> None:
    key = _key(shared.anna, one_band("elevation", "elevation"))
    shared.ben.get(f"/tiles/{key}/0/0/0.png", params={"token": shared.ben.headers["authorization"][7:]})
    shared.ben.get("/collections/a%0Ab")
    httpx.get(shared.ben.base_url.join("/health"), trust_env=False, timeout=10)
    lines = [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", line) for line in shared.log]
    for line in (
        rf"anna POST /chains -> {key} 201 [\d.]+ ms",
        rf"ben GET /tiles/{key}/0/0/0\.png 200 [\d.]+ ms",
        r"ben GET /collections/a%0Ab 404 [\d.]+ ms",
        r"- GET /health 401 [\d.]+ ms",
    ):
        assert any(re.fullmatch(line, one) for one in lines), line
    assert shared.ben.headers["authorization"][7:] not in "\n".join(shared.log)


def test_a_name_that_asks_too_often_is_told_when_to_come_back(
    own_data: Path, start_server: Start, asker: type[httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens(own_data)
    anna, ben = tokens.add("anna"), tokens.add("ben")
    monkeypatch.setenv("EARTHLOOM_LIMIT_REQUESTS", "0.5")
    monkeypatch.setenv("EARTHLOOM_LIMIT_BURST", "3")
    with start_server(own_data) as url, asker(url, anna) as first, asker(url, ben) as second:
        answers = [first.get("/collections") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert _error(answers[3]) == (429, "too-many-requests")
        assert answers[3].headers["retry-after"] in ("1", "2")
        assert second.get("/collections").status_code == 200
    # On loopback, nobody asked for a log of requests.
    assert "GET /collections" not in (own_data / "server.log").read_text()


def test_a_name_that_costs_too_much_waits_and_comes_back(
    own_data: Path, start_server: Start, asker: type[httpx.Client], one_band: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = Tokens(own_data).add("anna")
    monkeypatch.setenv("EARTHLOOM_LIMIT_MS", "60")  # 1 ms each second
    monkeypatch.setenv("EARTHLOOM_LOG_REQUESTS", "true")
    with start_server(own_data) as url, asker(url, anna) as first, asker(url) as local:
        key = _key(local, one_band("elevation", "elevation"))
        for row in range(200):
            answer = first.get(f"/tiles/{key}/8/{row % 16}/{row // 16}.npy")
            if answer.status_code != 200:
                break
        assert _error(answer) == (429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) == answer.json()["where"]["retry_after"]
        assert "60 ms a minute" in answer.json()["message"]
    assert f"anna GET /tiles/{key}/8/0/0.npy 200" in (own_data / "server.log").read_text()


@pytest.mark.parametrize(("name", "value"), [("LIMIT_REQUESTS", "0"), ("LIMIT_BURST", "0"), ("LIMIT_MS", "-1")])
def test_settings_that_make_no_sense(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"EARTHLOOM_{name}", value)
    with pytest.raises(InvalidArgument, match=f'The setting {name.lower()} cannot be "{value}"'):
        load_people(shared=True)


def test_every_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PeopleOptions.model_fields:
        monkeypatch.delenv(f"EARTHLOOM_{name.upper()}", raising=False)
    assert (load_people(shared=True).log_requests, load_people(shared=False).log_requests) == (True, False)
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "people.md").read_text()
    for name in PeopleOptions.model_fields:
        assert f"| {name} | `EARTHLOOM_{name.upper()}` |" in (settings.__doc__ or "")
        assert f"| `EARTHLOOM_{name.upper()}` |" in page


def test_a_bucket_fills_and_can_be_overdrawn() -> None:
    now = 0.0
    bucket = Bucket(10, 2, lambda: now)
    bucket.take(10)
    assert bucket.wait_s(1) == 0.5
    now = 0.5
    assert bucket.wait_s(1) == 0
    bucket.take(21)
    assert bucket.wait_s(1) == 10.5
    now = 1000.0
    assert bucket.wait_s(11) == 0  # never more than it can hold
    bucket.take(10)
    assert bucket.wait_s(1) == 0.5
