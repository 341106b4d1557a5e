"""The page's files and the shared layers, over a real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from earthloom.server.tokens import Tokens

Make = Callable[..., dict[str, Any]]
Start = Callable[..., AbstractContextManager[str]]

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def one(own_data: Path, start_server: Start, asker: type[Any]) -> Iterator[Any]:
    """Somebody who asks a server where nothing is shared yet."""
    with start_server(own_data) as url, asker(url) as client:
        yield client


def names(answer: httpx.Response) -> list[str]:
    assert answer.is_success, answer.text
    return [layer["name"] for layer in answer.json()["layers"]]


def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["message"])


def test_a_browser_gets_the_page_and_a_program_the_routes(server: str, asker: type[Any]) -> None:
    with asker(server) as client:
        page = client.get("/", headers=BROWSER)
        head = client.head("/", headers=BROWSER)
        routes = client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Earthloom</title>" in page.text
    assert (head.status_code, head.content) == (200, b"")
    assert "Accept" in page.headers["vary"]
    assert {"/shared", "/basemap"} <= {route["path"] for route in routes.json()["endpoints"]}


def test_all_that_the_page_loads_is_served_here_and_kept_by_the_browser(server: str, asker: type[Any]) -> None:
    with asker(server) as client:
        page = client.get("/", headers=BROWSER)
        todo = [urljoin(f"{server}/", link) for link in re.findall(r'(?:href|src)="([^"]+)"', page.text)]
        seen: dict[str, httpx.Response] = {}
        while todo:
            url = todo.pop()
            if url in seen:
                continue
            seen[url] = client.get(url)
            todo += [urljoin(url, name) for name in re.findall(r'^import .* from "([^"]+)";$', seen[url].text, re.M)]
        again = [client.get(url, headers={"If-None-Match": found.headers["etag"]}) for url, found in seen.items()]

    assert {httpx.URL(url).host for url in seen} == {httpx.URL(server).host}
    assert len(seen) > 15
    assert {found.status_code for found in seen.values()} == {200}
    assert {found.headers["cache-control"] for found in seen.values()} == {"no-cache"}
    assert {answer.status_code for answer in again} == {304}


def test_the_page_may_ask_nobody_else(server: str, asker: type[Any]) -> None:
    with asker(server) as client:
        policy = client.get("/", headers=BROWSER).headers["content-security-policy"]

    sources = {source for rule in policy.split("; ") for source in rule.split()[1:]}
    assert sources == {"'none'", "'self'", "blob:", "data:"}


@pytest.mark.parametrize("path", ["/static/none.js", "/static/", "/static/%2e%2e/server/app.py", "/static//etc/passwd"])
def test_other_files_are_not_served(server: str, asker: type[Any], path: str) -> None:
    with asker(server) as client:
        assert refused(client.get(path), 404).startswith("There is no file")


def test_layers_are_shared_changed_in_their_place_and_taken_back(one: Any, one_band: Make) -> None:
    red, green, blue = (one.keep(one_band("sentinel2-coast", band)) for band in ("B04", "B03", "B02"))

    assert names(one.get("/shared")) == []
    assert names(one.post("/shared", json={"key": red, "name": "Red"})) == ["Red"]
    assert names(one.post("/shared", json={"key": green, "name": " Green "})) == ["Green", "Red"]
    changed = one.post("/shared", json={"key": blue, "name": "Red"})
    assert names(changed) == ["Green", "Red"]
    assert [layer["key"] for layer in changed.json()["layers"]] == [green, blue]
    assert names(one.post("/shared", json={"key": green, "name": "Leaves"})) == ["Leaves", "Red"]
    layer = one.get("/shared").json()["layers"][0]
    assert layer["who"] == "local"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}Z", layer["at"])
    assert names(one.delete(f"/shared/{green}")) == ["Red"]
    assert "is shared" in refused(one.delete(f"/shared/{green}"), 404)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"name": "NDVI"}, 400, 'The body has no text "key".'),
        ({"key": "nothing", "name": 7}, 400, 'The body has no text "name".'),
        ({"key": "nothing", "name": "NDVI"}, 404, 'No chain "nothing" is kept here.'),
    ],
)
def test_what_cannot_be_shared_is_told(server: str, asker: type[Any], body: Any, status: int, said: str) -> None:
    with asker(server) as client:
        assert refused(client.post("/shared", json=body), status) == said


@pytest.mark.parametrize("name", ["  ", "x" * 201])
def test_a_name_is_neither_empty_nor_endless(one: Any, one_band: Make, name: str) -> None:
    key = one.keep(one_band("sentinel2-coast", "B04"))

    assert "needs a name" in refused(one.post("/shared", json={"key": key, "name": name}), 400)


def test_the_basemap_is_a_chain_with_a_title(server: str, asker: type[Any]) -> None:
    with asker(server) as client:
        about = client.get("/basemap").json()
        tile = client.get(f"/tiles/{about['key']}/0/0/0.png")

    assert about["title"] == "Blue Marble"
    assert tile.headers["content-type"] == "image/png"


def test_on_a_shared_server_the_page_is_open_and_what_it_shows_is_not(
    own_data: Path, start_server: Start, asker: type[Any], one_band: Make
) -> None:
    anna, ben = (Tokens(own_data).add(name) for name in ("anna", "ben"))
    with start_server(own_data, "--allowed-hosts", "maps.test") as url:
        with asker(url) as nobody:
            assert nobody.get("/", headers=BROWSER).status_code == 200
            assert nobody.get("/static/page.js").status_code == 200
            for path in ("/", "/shared", "/basemap"):
                refused(nobody.get(path), 401)
        with asker(url, anna) as hers, asker(url, ben) as his:
            key = hers.keep(one_band("sentinel2-coast", "B04"))
            assert names(hers.post("/shared", json={"key": key, "name": "Red"})) == ["Red"]
            assert his.get("/shared").json()["layers"][0]["who"] == "anna"
            assert refused(his.delete(f"/shared/{key}"), 400) == '"Red" was shared by anna.'
            assert "shared already" in refused(his.post("/shared", json={"key": key, "name": "Mine"}), 400)
    with start_server(own_data, "--allowed-hosts", "maps.test") as url, asker(url, ben) as his:
        assert names(his.get("/shared")) == ["Red"]  # it outlives the server
