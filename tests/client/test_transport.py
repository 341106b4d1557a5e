"""The client's transport against real sockets: errors come back as ours, silence names the address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from earthloom.base.errors import EarthloomError, InvalidArgument, NotFound, ReadError, Unavailable
from earthloom.cli.serve import address, listen
from earthloom.client.transport import Transport


class _Canned(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, tuple[int, bytes]]] = {}

    def do_GET(self) -> None:
        status, body = self.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def canned() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Canned) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _raised(url: str, status: int, body: bytes) -> EarthloomError:
    _Canned.answers = {"/x": (status, body)}
    transport = Transport(url)
    try:
        with pytest.raises(EarthloomError) as caught:
            transport.get("/x")
    finally:
        transport.close()
    return caught.value


def test_errors_keep_kind_and_fields(canned: str) -> None:
    sent = NotFound("No band.", hint="Look.", near=["B08"], band="B8")
    got = _raised(canned, 404, json.dumps(sent.to_dict()).encode())
    assert type(got) is NotFound
    assert got.to_dict() == sent.to_dict()
    assert type(_raised(canned, 500, json.dumps(ReadError("cut").to_dict()).encode())) is ReadError


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[1]", b'{"detail": "x"}', b""])
def test_foreign_errors_name_address_and_status(canned: str, body: bytes) -> None:
    got = _raised(canned, 502, body)
    assert isinstance(got, Unavailable)
    assert canned in got.message
    assert "502" in got.message


def test_nobody_there() -> None:
    with listen("127.0.0.1", 0) as bound:  # bound but not listening: connections are refused
        transport = Transport(address(bound))
        with pytest.raises(Unavailable, match=address(bound)) as caught:
            transport.get("/health")
        transport.close()
    assert "earthloom serve" in caught.value.hint


def test_proxies_are_not_used_for_loopback(canned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    _Canned.answers = {"/x": (200, b"{}")}
    transport = Transport(canned)
    assert transport.get("/x").status_code == 200
    transport.close()


@pytest.mark.parametrize("url", ["", "http://", "ftp://host", "file:///etc"])
def test_not_an_address(url: str) -> None:
    with pytest.raises(InvalidArgument, match="not the address"):
        Transport(url)


def test_address_is_tidied() -> None:
    for given in ("127.0.0.1:80", "http://127.0.0.1:80/", " 127.0.0.1:80 "):
        transport = Transport(given)
        assert transport.url == "http://127.0.0.1:80"
        transport.close()


def test_nan_is_not_sent() -> None:
    transport = Transport("127.0.0.1:80")
    with pytest.raises(InvalidArgument, match="JSON"):
        transport.post("/chains", {"a": float("nan")})
    transport.close()
