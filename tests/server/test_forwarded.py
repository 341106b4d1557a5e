"""What a proxy says of the way of a request: who is believed, and what cannot be."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from earthloom.server.addresses import address
from earthloom.server.errors import ErrorsAsJson
from earthloom.server.guard import Guard

PROXY = "10.0.0.1"


def _here(request: Request) -> Response:
    request.scope["query_token"] = None
    return PlainTextResponse(address(request, "/chains/k"))


@pytest.fixture
def app() -> ASGIApp:
    """A server of two routes, that believes one network."""
    routes = Router([Route("/here", _here), Route("/earthloom/here", lambda _: PlainTextResponse("another route"))])
    return ErrorsAsJson(
        Guard(routes, hosts=("inner", "tiles.example.org"), proxies=(ipaddress.ip_network("10.0.0.0/24"),))
    )


def _ask(app: ASGIApp, sender: str = PROXY, path: str = "/here", **said: str) -> httpx.Response:
    headers = {f"X-Forwarded-{name}": value for name, value in said.items()}

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(sender, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://inner:8642") as client:
            return await client.get(path, headers=headers)

    return _run(run)


def _run(ask: Callable[[], Coroutine[Any, Any, httpx.Response]]) -> httpx.Response:
    with ThreadPoolExecutor(1) as thread:  # a browser's test leaves a running loop in this one
        return thread.submit(anyio.run, ask).result()


@pytest.mark.parametrize(
    ("said", "public"),
    [
        ({}, "http://inner:8642"),
        ({"Proto": "https"}, "https://inner:8642"),
        ({"Host": "Tiles.example.org:444"}, "http://tiles.example.org:444"),
        ({"Prefix": "/earthloom"}, "http://inner:8642/earthloom"),
        ({"Prefix": "/here/"}, "http://inner:8642/here"),
        ({"Prefix": "/"}, "http://inner:8642"),
        ({"Prefix": "/user/anna%40b.org/proxy/9"}, "http://inner:8642/user/anna%40b.org/proxy/9"),
        ({"Proto": "https,http", "Host": "tiles.example.org, inner"}, "https://tiles.example.org"),
    ],
)
def test_addresses_are_the_public_ones(app: ASGIApp, said: dict[str, str], public: str) -> None:
    assert _ask(app, **said).text.lower() == f"{public}/chains/k"


@pytest.mark.parametrize("sender", ["10.0.1.1", "::1", "testclient"])
def test_others_than_the_proxies_are_not_believed(app: ASGIApp, sender: str) -> None:
    said = {"Proto": "https", "Host": "evil.example", "Prefix": "/earthloom"}
    assert _ask(app, sender, **said).text == "http://inner:8642/chains/k"


def test_a_proxy_asks_by_its_own_address_in_the_other_family_too(app: ASGIApp) -> None:
    assert _ask(app, f"::ffff:{PROXY}", Proto="https").text == "https://inner:8642/chains/k"


def test_the_public_name_is_checked_beside_the_inner_one(app: ASGIApp) -> None:
    answer = _ask(app, Host="evil.example")
    assert (answer.status_code, answer.json()["message"]) == (400, 'This server is not called "evil.example".')

    async def foreign() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(PROXY, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://evil.example") as client:
            return await client.get("/here", headers={"X-Forwarded-Host": "inner"})

    assert _run(foreign).status_code == 400


@pytest.mark.parametrize("prefix", ["earthloom", "//evil.example", "/a//b", "/../a", "/a/.", "/a?b", "/a b", "/a\\b"])
def test_a_prefix_that_is_none_is_told(app: ASGIApp, prefix: str) -> None:
    answer = _ask(app, Prefix=prefix)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-argument")
    assert "X-Forwarded-Prefix" in answer.json()["message"]


def test_a_scheme_that_is_none_is_told(app: ASGIApp) -> None:
    assert _ask(app, Proto="javascript").status_code == 400
