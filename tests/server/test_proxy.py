"""The server behind real proxies, with the very files that the how-tos hand out."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from earthloom.client.api import HttpSession

Make = Callable[..., dict[str, Any]]
Start = Callable[..., AbstractContextManager[str]]

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
NAME = "tiles.example.org"
PREFIX = "/earthloom"
WAIT_S = 20

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Front:
    """A proxy that runs: its address with the prefix, the certificate to believe, and the folder of its logs."""

    url: str
    certificate: Path
    logs: Path

    def client(self, **options: Any) -> httpx.Client:
        """Somebody beyond the proxy, who knows it by its public name."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(base_url=self.url, verify=trust, trust_env=False, timeout=60, **options)

    def log(self) -> str:
        """All that the proxy has written down."""
        return "\n".join(file.read_text() for file in self.logs.glob("*.log"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], str]) -> Path:
    """A certificate of this machine's loopback signed by itself; its key lies beside it (`.key`)."""
    file = tmp_path_factory.mktemp("tls") / "tls.pem"
    command = [need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-out", str(file), "-keyout", str(file.with_suffix(".key"))]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return file


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, demo_data: Path) -> tuple[Path, str]:
    """A data folder, and the token of "anna" in it."""
    data = Path(shutil.copytree(demo_data, tmp_path_factory.mktemp("proxied") / "data"))
    command = [sys.executable, "-m", "earthloom", "token", "add", "anna", "--data", str(data)]
    token = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    return data, token


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    need: Callable[[str], str],
    certificate: Path,
    shared: tuple[Path, str],
    start_server: Start,
) -> Iterator[Front]:
    """One engine behind each proxy."""
    folder = tmp_path_factory.mktemp("front")
    program = need(request.param)
    with start_server(shared[0], "--allowed-hosts", "localhost") as engine:
        run = _nginx if request.param == "nginx" else _caddy
        replaced = {"127.0.0.1:8642": urlsplit(engine).netloc}
        with run(program, folder, certificate, "one-host.conf", replaced) as url:
            yield Front(url, certificate, folder)


def test_a_chain_is_posted_and_seen_through_the_proxy(front: Front, shared: tuple[Path, str], one_band: Make) -> None:
    token = shared[1]
    with front.client() as web, front.client(headers={"Authorization": f"Bearer {token}"}) as anna:
        assert web.get("/collections").status_code == 401
        graph = one_band("sentinel2-series", "B04", colors=["red", "green"], vmin=0, vmax=1)
        kept = anna.post("/chains", json=graph, headers={"Origin": "https://hub.example.org"})
        assert kept.status_code == 201, kept.text
        key = kept.json()["key"]
        public = f"{front.url}/tiles/{key}"
        assert kept.json()["tilejson"] == f"{public}/tilejson.json"
        assert kept.headers["location"] == f"{front.url}/chains/{key}"
        assert anna.get(kept.headers["location"]).json()["key"] == key

        # A web map, which has the address and nothing else.
        described = web.get(f"{public}/tilejson.json", params={"token": token}).json()
        assert described["tiles"] == [f"{public}/{{z}}/{{x}}/{{y}}.png?token={token}"]
        tile = web.get(described["tiles"][0].format(z=0, x=0, y=0))
        assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
        assert (tile.headers["cache-control"], "evaluate" in tile.headers["server-timing"]) == ("no-cache", True)
        again = web.get(str(tile.url), headers={"If-None-Match": tile.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tile.headers["etag"])

        # A route that there is not is named as the asker wrote it.
        assert PREFIX + "/nowhere" in anna.get("/nowhere").json()["message"]
        assert anna.get("/openapi.json").json()["servers"] == [{"url": PREFIX}]
    _until(lambda: "/tiles/" in front.log())
    assert token not in front.log()


def test_what_a_stranger_says_of_the_way_is_overwritten(front: Front, shared: tuple[Path, str]) -> None:
    evil = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/evil"}
    with front.client(headers={"Authorization": f"Bearer {shared[1]}", **evil}) as anna:
        assert PREFIX + "/nowhere" in anna.get("/nowhere").json()["message"]
        graph = {"load": {"process_id": "load_collection", "arguments": {"id": "sentinel2-series"}, "result": True}}
        graph["load"]["arguments"] |= {"spatial_extent": None, "temporal_extent": None}  # type: ignore[operator]
        kept = anna.post("/chains", json=graph)
        assert kept.headers["location"].startswith(f"{front.url}/chains/"), kept.text


def test_the_client_takes_an_address_with_a_prefix(front: Front, shared: tuple[Path, str]) -> None:
    # The network as it is, but for whose certificates it believes.
    trusting = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(front.certificate)))
    connected = HttpSession(front.url + "/", trusting, shared[1])
    try:
        assert connected.health()["title"] == "Earthloom"
        assert "sentinel2-series" in {collection["id"] for collection in connected.collections()}
        assert connected.address("/tiles/k/{z}") == f"{front.url}/tiles/k/{{z}}?token={shared[1]}"
    finally:
        connected.close()


def test_no_prefix_opens_a_collection(own_data: Path, start_server: Start) -> None:
    command = [sys.executable, "-m", "earthloom", "collection", "restrict", "sentinel2-series", "--data", str(own_data)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with start_server(own_data) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as local:
        (seen, *_) = [collection["id"] for collection in local.get("/collections").json()["collections"]]
        for prefix in ("", f"/collections/{seen}"):
            prefixed = {"X-Forwarded-Prefix": prefix}
            assert local.get(f"/collections/{seen}", headers=prefixed).status_code == 200
            assert local.get("/collections/sentinel2-series", headers=prefixed).status_code == 404


def test_two_engines_give_the_same_bytes_and_one_that_dies_costs_no_tile(
    tmp_path: Path,
    need: Callable[[str], str],
    certificate: Path,
    shared: tuple[Path, str],
    one_band: Make,
) -> None:
    data, token = shared
    sign_in = {"Authorization": f"Bearer {token}"}
    with contextlib.ExitStack() as stack:
        # As on two hosts: a copy of the data folder for each, and one store.
        store = stack.enter_context(_redis(need("redis-server"), tmp_path))
        folders = [data, Path(shutil.copytree(data, tmp_path / "copy"))]
        engines = [stack.enter_context(_engine(folder, "--store", store)) for folder in folders]
        replaced = {f"10.0.0.1{n + 1}:8642": urlsplit(url).netloc for n, (_, url) in enumerate(engines)}
        url = stack.enter_context(_nginx(need("nginx"), tmp_path, certificate, "two-hosts.conf", replaced))
        front = Front(url, certificate, tmp_path)
        graph = one_band("sentinel2-series", "B04", colors=["red", "green"], vmin=0, vmax=1)
        anna = stack.enter_context(front.client(headers=sign_in))
        key = anna.post("/chains", json=graph).json()["key"]
        tiles = [f"/tiles/{key}/17/{x}/{y}.png" for x in range(73597, 73605) for y in range(47040, 47048)]

        direct = [stack.enter_context(httpx.Client(base_url=e, headers=sign_in, trust_env=False)) for _, e in engines]
        first, second = ([client.get(path) for path in tiles] for client in direct)
        assert {answer.status_code for answer in first + second} == {200}
        assert [a.content for a in first] == [a.content for a in second]
        assert [a.headers["etag"] for a in first] == [a.headers["etag"] for a in second]
        assert len({answer.content for answer in first}) > 4  # there is something on them

        wanted = [anna.get(path).content for path in tiles]
        before = _asked(front, key)
        assert {anna.get(path).status_code for path in tiles} == {200}
        # Each tile is asked of one engine, and each engine has its share.
        assert _asked(front, key) == before
        shares = [sum(asked == {netloc} for asked in before.values()) for netloc in replaced.values()]
        assert sum(shares) == len(tiles)
        assert min(shares) > len(tiles) / 5

        # One dies without a word while all are asked for.
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda n: anna.get(tiles[n % len(tiles)]), range(4 * len(tiles)))
            got = [next(answers) for _ in range(len(tiles))]
            os.killpg(engines[0][0].pid, signal.SIGKILL)
            got += answers
        assert [(n, answer.status_code) for n, answer in enumerate(got) if answer.status_code != 200] == []
        assert [n for n, answer in enumerate(got) if answer.content != wanted[n % len(tiles)]] == []
        # What is new goes on as well.
        assert anna.post("/chains", json=graph).json()["key"] == key
    assert token not in front.log()


def _asked(front: Front, key: str) -> dict[str, set[str]]:
    """Tile -> the engines that nginx has asked for it."""
    asked: dict[str, set[str]] = {}
    for tile, engines in re.findall(rf"/tiles/{key}/(\S+) 200 \d+ [\d.]+ (127\S+)", front.log()):
        asked.setdefault(tile, set()).add(engines)
    return asked


@contextlib.contextmanager
def _redis(program: str, folder: Path) -> Iterator[str]:
    """A Redis that writes nothing down; its address."""
    port = _free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _running(command, folder, port):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def _engine(data: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An engine that may be killed."""
    command = [sys.executable, "-m", "earthloom", "serve", "--port", "0", "--data", str(data)]
    command += ["--allowed-hosts", "localhost", "--parent", str(os.getpid()), *options]
    with (data / "engines.log").open("ab") as log:
        engine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    assert engine.stdout is not None
    with engine.stdout:
        try:
            url = engine.stdout.readline().strip()
            assert url.startswith("http://"), (data / "engines.log").read_text()
            yield engine, url
        finally:
            engine.terminate()
            engine.wait(WAIT_S)


@contextlib.contextmanager
def _nginx(program: str, folder: Path, certificate: Path, name: str, engines: dict[str, str]) -> Iterator[str]:
    """Nginx with one of the files of the how-tos, in a folder of its own; the public address."""
    port = _free_port()
    text = _replaced(
        (HOW_TO / "nginx" / name).read_text(),
        engines
        | {
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            NAME + ";": "localhost;",
            f"/etc/ssl/certs/{NAME}.pem": str(certificate),
            f"/etc/ssl/private/{NAME}.key": str(certificate.with_suffix(".key")),
            "/var/log/nginx/": f"{folder}/",
        },
    )
    (folder / "site.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not enter our folder
    main = f"{user} daemon off; pid {folder}/pid; events {{}} http {{ {temporary} include {folder}/site.conf; }}"
    (folder / "main.conf").write_text(main)
    command = [program, "-p", str(folder), "-c", str(folder / "main.conf"), "-e", str(folder / "start.txt")]
    with _running(command, folder, port):
        yield f"https://localhost:{port}{PREFIX}"


@contextlib.contextmanager
def _caddy(program: str, folder: Path, certificate: Path, _: str, engines: dict[str, str]) -> Iterator[str]:
    """The same with Caddy, and with our certificate rather than one that it gets itself."""
    port = _free_port()
    site = f"https://localhost:{port} {{\n\ttls {certificate} {certificate.with_suffix('.key')}"
    replaced = engines | {NAME + " {": site, "/var/log/caddy/": f"{folder}/"}
    text = _replaced((HOW_TO / "caddy" / "Caddyfile").read_text(), replaced)
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    command = [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with _running(command, folder, port):
        yield f"https://localhost:{port}{PREFIX}"


def _replaced(text: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """A program that listens on a port, until the block ends."""
    environment = os.environ | {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with (folder / "start.txt").open("ab") as said:
        proxy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment)
    try:
        _until(lambda: proxy.poll() is not None or _open(port))
        assert proxy.poll() is None, (folder / "start.txt").read_text()
        yield
    finally:
        proxy.terminate()
        proxy.wait(WAIT_S)


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
