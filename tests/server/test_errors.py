"""Errors at the doors, in process: every code has a status, surprises stay inside, the guard turns away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message

from earthloom.base.errors import EarthloomError, ReadError, Unavailable
from earthloom.server import errors
from earthloom.server.body import Document, Json
from earthloom.server.guard import MAX_BODY_BYTES, Guard


def run(answer: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine; in a thread of its own, for a browser's test leaves a running loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answer).result()


def _ask(app: ASGIApp, method: str, path: str, **given: object) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
            return await client.request(method, path, **given)  # type: ignore[arg-type]

    return run(ask())


@pytest.fixture
def app() -> ASGIApp:
    api = FastAPI()

    @api.post("/echo")
    def echo(document: Document) -> Response:
        return Json(document)

    @api.get("/count")
    def count(n: int) -> Response:
        return Json(n)

    @api.get("/surprise-inside")
    def surprise_inside() -> Response:
        raise ZeroDivisionError("secret detail")

    def surprise(request: Request) -> Response:
        raise ZeroDivisionError("secret detail")

    def late(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half"
            raise ZeroDivisionError("secret detail")

        return StreamingResponse(pieces())

    def broken_file(request: Request) -> Response:
        raise ReadError("Cut.", item="S2A", file="B08.tif")

    def busy(request: Request) -> Response:
        raise Unavailable("12 tiles wait.")

    async def slow(request: Request) -> Response:
        await asyncio.sleep(60)
        raise AssertionError

    errors.install(api)
    routes = [Route(f"/{f.__name__.replace('_', '-')}", f) for f in (surprise, late, broken_file, busy, slow)]
    routes.append(Route("/fine", lambda request: PlainTextResponse("fine")))
    return errors.ErrorsAsJson(Guard(Router(routes, default=api)))


def test_every_code_has_a_status() -> None:
    codes = {kind.code for kind in EarthloomError.__subclasses__()}
    assert codes == set(errors.STATUS)


def test_our_errors_name_item_and_file(app: ASGIApp) -> None:
    answer = _ask(app, "GET", "/broken-file")
    assert answer.status_code == 500
    assert answer.json()["code"] == "read-error"
    assert answer.json()["where"] == {"item": "S2A", "file": "B08.tif"}
    assert answer.headers["cache-control"] == "no-store"


def test_busy_says_when_to_come_back(app: ASGIApp) -> None:
    answer = _ask(app, "GET", "/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "4")


@pytest.mark.parametrize("path", ["/surprise", "/surprise-inside"])
def test_surprises_are_logged_with_traceback_and_told_without(
    app: ASGIApp, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "earthloom"):
        answer = _ask(app, "GET", path)
    assert answer.status_code == 500
    assert answer.json()["message"] == "The server failed unexpectedly."
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert f"GET {path} failed" in caplog.text


def test_an_answer_that_breaks_half_way_is_logged(app: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.sleep(60)  # the asker stays
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/late", "query_string": b"", "headers": [(b"host", b"[::1]")]}
    with caplog.at_level(logging.ERROR, "earthloom"):
        run(app(scope, receive, send))
    assert "secret detail" in caplog.text
    # No second start and no proper end: the server then cuts the connection, so that nobody takes half for whole.
    assert [(m["type"], m.get("body"), m.get("more_body")) for m in sent] == [
        ("http.response.start", None, None),
        ("http.response.body", b"half", True),
    ]


def test_a_stopping_server_says_so(app: ASGIApp) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def cancelled() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/slow",
            "query_string": b"",
            "headers": [(b"host", b"[::1]")],
        }
        task = asyncio.create_task(app(scope, receive, send))
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    run(cancelled())
    assert sent[0]["status"] == 503
    assert orjson.loads(sent[1]["body"])["message"] == "The server is stopping."


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "[::2]:80", ""])
def test_foreign_host_names_are_refused(app: ASGIApp, host: str) -> None:
    answer = _ask(app, "GET", "/fine", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["message"] == f'This server is not called "{host}".'


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8642", "127.0.0.1:1", "[::1]:8642", "[::1]"])
def test_loopback_names_are_taken(app: ASGIApp, host: str) -> None:
    assert _ask(app, "GET", "/fine", headers={"Host": host}).text == "fine"


def test_body_up_to_the_limit_arrives_whole(app: ASGIApp) -> None:
    document = {"a": "x" * (MAX_BODY_BYTES - 8)}
    body = orjson.dumps(document)
    assert len(body) == MAX_BODY_BYTES
    assert _ask(app, "POST", "/echo", content=body).json() == document


def test_larger_body_is_refused_whatever_its_header_says(app: ASGIApp) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    for content in (b"x" * (MAX_BODY_BYTES + 1), endless()):
        answer = _ask(app, "POST", "/echo", content=content)
        assert answer.status_code == 413
        assert answer.json()["code"] == "too-large"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b'{"a": }', "column 7"),
        (b'{"a": NaN}', "not JSON"),
        (b"[1]", "array"),
        (b"null", "null"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
    ],
)
def test_bodies_that_are_no_object(app: ASGIApp, body: bytes, reason: str) -> None:
    answer = _ask(app, "POST", "/echo", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid-argument"
    assert reason in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nowhere", 404, 'No route "/nowhere".'),
        ("DELETE", "/count", 405, "/count does not take DELETE."),
        ("GET", "/count", 400, 'The parameter "n" is missing.'),
        ("GET", "/count?n=some", 400, 'The parameter "n" cannot be "some"'),
    ],
)
def test_wrong_requests(app: ASGIApp, method: str, path: str, status: int, reason: str) -> None:
    answer = _ask(app, method, path)
    assert answer.status_code == status
    assert reason in answer.json()["message"]
