"""Who may ask a real server, by which way, and where the token goes: nowhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from earthloom.base.errors import InvalidArgument, Unauthorized
from earthloom.chain import session
from earthloom.client import embedded
from earthloom.client.api import HttpSession
from earthloom.client.connect import connect
from earthloom.client.transport import Transport

Make = Callable[..., dict[str, Any]]
Start = Callable[..., AbstractContextManager[str]]


def _token(command: str, *names: str, data: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "earthloom", "token", command, *names, "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _client(url: str, token: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else None
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60)


def _refused(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"
    return answer.text


@dataclass(frozen=True)
class Shared:
    url: str
    token: str
    data: Path

    @property
    def log(self) -> str:
        return (self.data / "server.log").read_text()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, demo_data: Path, start_server: Start) -> Iterator[Shared]:
    """A server that listens on all addresses, and the token of "anna"."""
    data = Path(shutil.copytree(demo_data, tmp_path_factory.mktemp("shared") / "data"))
    token = _token("add", "anna", data=data).strip()
    with start_server(data, "--host", "0.0.0.0") as url:
        yield Shared(url.replace("0.0.0.0", "127.0.0.1"), token, data)


def test_on_loopback_a_token_is_taken_and_none_is_needed(tmp_path: Path, start_server: Start) -> None:
    (tmp_path / "data").mkdir()
    data = tmp_path / "data"
    with start_server(data) as url:
        with _client(url) as local:
            assert local.get("/collections").status_code == 200
        token = _token("add", "anna", data=data).strip()
        assert _token("list", data=data).splitlines()[1].startswith("anna ")
        with _client(url, token) as anna, _client(url, token[:-1]) as other, _client(url) as local:
            assert anna.get("/collections").status_code == 200
            assert local.get("/collections").status_code == 200
            assert local.get("/collections", params={"token": token}).status_code == 200
            assert "Nobody has this token" in _refused(other.get("/collections"))
            _refused(local.get("/collections", params={"token": "x"}))
            _token("remove", "anna", data=data)
            _refused(anna.get("/collections"))
            assert local.get("/collections").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/metrics", "/collections", "/processes", "/udf_runtimes", "/openapi.json", "/nowhere"]
    + [f"/{start}/x{end}" for start, end in (("legend", ""), ("logs", ""), ("chains", ""), ("preview", ".png"))]
    + ["/tiles/x/1/1/1.png", "/tiles/x/tilejson.json", "/point/x?lon=1&lat=1&z=1"],
)
def test_a_shared_server_tells_strangers_nothing(shared: Shared, path: str) -> None:
    with _client(shared.url) as stranger:
        text = _refused(stranger.get(path))
        assert "earthloom token add" in text
        _refused(stranger.get(path, headers={"Authorization": "Basic YTpi"}))
        _refused(stranger.get(path, headers={"Authorization": "Bearer"}))
        _refused(stranger.post(path, json={}))


def test_a_token_in_the_address_goes_on_to_the_addresses_of_the_answer(shared: Shared, one_band: Make) -> None:
    graph = one_band("sentinel2-series", "B04", colors=["red", "green"], vmin=0, vmax=1)
    with _client(shared.url, shared.token) as anna, _client(shared.url) as web:
        answer = anna.post("/chains", json=graph)
        assert answer.status_code == 201
        # Who sends a header has no need of it in addresses, which are kept and shown.
        assert shared.token not in answer.text + str(answer.headers)
        key = answer.json()["key"]
        document = web.get(f"/tiles/{key}/tilejson.json", params={"token": shared.token}).json()
        assert document["tiles"] == [f"{shared.url}/tiles/{key}/{{z}}/{{x}}/{{y}}.png?token={shared.token}"]
        tile = web.get(document["tiles"][0].format(z=0, x=0, y=0))
        assert tile.status_code == 200
        by_header = anna.get(f"/tiles/{key}/0/0/0.png")
        assert (tile.content, tile.headers["etag"]) == (by_header.content, by_header.headers["etag"])
        again = web.get(document["tiles"][0].format(z=0, x=0, y=0), headers={"If-None-Match": tile.headers["etag"]})
        assert again.status_code == 304
        place = {"lon": 22.152, "lat": 45.205, "z": 12, "token": shared.token}
        assert web.get(f"/point/{key}", params=place).json()["z"] == 12


def test_errors_and_the_log_do_not_show_a_token(shared: Shared) -> None:
    with _client(shared.url) as web:
        for path in ("/nowhere", "/chains/x", "/tiles/x/1/1/1.png", "/tiles/x/y/1/1.png", "/point/x"):
            answer = web.get(path, params={"token": shared.token})
            assert answer.status_code in (400, 404)
            assert shared.token not in answer.text + str(answer.headers)
    assert "answers at" in shared.log
    assert shared.token not in shared.log


def test_a_shared_server_is_called_as_its_operator_wants(shared: Shared, start_server: Start) -> None:
    with _client(shared.url, shared.token) as anna:
        for name in ("tiles.example.org", "10.0.0.7:8642", "[2001:db8::1]:80"):
            assert anna.get("/collections", headers={"Host": name}).status_code == 200
        for name in ("evil/example", "a b", "x@y", "a:b:c"):
            assert anna.get("/collections", headers={"Host": name}).status_code == 400
    with start_server(shared.data, "--allowed-hosts", "tiles.example.org") as url, _client(url, shared.token) as anna:
        for name in ("tiles.example.org", "Tiles.example.org:443", "127.0.0.1"):
            assert anna.get("/collections", headers={"Host": name}).status_code == 200
        answer = anna.get("/collections", headers={"Host": "evil.example"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-argument")
        with _client(url) as stranger:  # what comes through a proxy comes from loopback
            _refused(stranger.get("/collections"))


def test_pages_of_other_hosts_may_ask_a_shared_server_with_a_token(shared: Shared) -> None:
    origin = {"Origin": "https://hub.example.org"}
    with _client(shared.url) as page:
        asked = origin | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        assert page.options("/collections", headers=asked).status_code == 200
        answer = page.get("/collections", headers=origin | {"Authorization": f"Bearer {shared.token}"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
        _refused(page.get("/collections", headers=origin))
        _refused(page.post("/chains", headers=origin, json={}))


def test_the_client_signs_in(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EARTHLOOM_URL", "EARTHLOOM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unauthorized, match="only with a token"):
        connect(shared.url)
    with pytest.raises(Unauthorized, match="Nobody has this token"):
        connect(shared.url, token="wrong")
    monkeypatch.setenv("EARTHLOOM_TOKEN", shared.token)
    monkeypatch.setenv("EARTHLOOM_URL", "http://127.0.0.1:1")
    with pytest.raises(Unauthorized, match="only with a token"):  # it is that other server's
        connect(shared.url)
    monkeypatch.setenv("EARTHLOOM_URL", shared.url)
    connected = connect()
    try:
        assert connected.address("/tiles/k/{z}") == f"{shared.url}/tiles/k/{{z}}?token={shared.token}"
        assert shared.token not in repr(connected)
        assert "sentinel2-series" in {c["id"] for c in connected.collections()}
    finally:
        session.use(None)
        connected.close()


@pytest.mark.parametrize("token", ["a b", "a\nb", "tökén", "\x00"])
def test_what_cannot_be_a_token_is_not_sent_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Transport("http://127.0.0.1:1", token=token)
    assert token not in str(caught.value)


def test_the_engine_of_a_notebook_answers_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARTHLOOM_URL", raising=False)
    monkeypatch.setenv("EARTHLOOM_DATA", str(tmp_path))
    monkeypatch.setenv("EARTHLOOM_HOST", "0.0.0.0")  # meant for servers
    connected = connect()
    try:
        assert connected.url.startswith("http://127.0.0.1:")
        assert connected.collections() == []
        assert "?token=" in connected.address("/health")
        with _client(connected.url) as stranger:
            _refused(stranger.get("/health"))
            _refused(stranger.post("/chains", json={}))
        guessed = HttpSession(connected.url, token="guessed")
        with pytest.raises(Unauthorized):
            guessed.health()
        guessed.close()
    finally:
        embedded.stop()
        session.use(None)
        connected.close()
