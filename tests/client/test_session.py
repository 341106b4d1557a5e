"""The client's session against a real server: what chains and collections ask, and errors as the user sees them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
import pytest

from earthloom.base.cube import Cube
from earthloom.base.errors import InvalidArgument, NotFound, Unavailable
from earthloom.base.grid import Grid, Lattice
from earthloom.chain import session
from earthloom.chain.build import Chain
from earthloom.chain.collection import ImageCollection
from earthloom.chain.session import Session
from earthloom.cli.serve import address, listen
from earthloom.client.api import HttpSession, read_cube
from earthloom.client.connect import connect
from earthloom.server.npz import write_cube

FOREST = (22.152, 45.205)


@pytest.fixture
def connected(server: str) -> Iterator[HttpSession]:
    """A connection that is the one in use, and none afterwards."""
    opened = connect(server)
    yield opened
    session.use(None)
    opened.close()


def _red() -> Chain:
    return ImageCollection("sentinel2-series").filter_date("2020-08", "2020-09").mosaic()["B04"]


def test_a_session_is_one(connected: HttpSession) -> None:
    as_protocol: Session = connected  # mypy checks the methods, this line that chains find it
    assert session.current() is as_protocol


def test_put_legend_preview_and_point(connected: HttpSession) -> None:
    chain = _red().color(["red", "green"], vmin=0, vmax=0.2)
    key = connected.put(chain.graph)
    assert key == chain.key
    assert connected.legend(chain.graph)["range"] == [0, 0.2]
    assert connected.preview(chain.graph, size=64).startswith(b"\x89PNG")
    point = connected.point(key, *FOREST, 14)
    assert 0 < point["values"] < 1
    registered = connected.register(chain.graph)
    assert registered["tiles"] == f"{connected.url}/tiles/{key}/{{z}}/{{x}}/{{y}}.png"


def test_compute_gives_the_cube_that_the_server_made(connected: HttpSession) -> None:
    area = [FOREST[0], FOREST[1], FOREST[0] + 0.003, FOREST[1] + 0.002]
    chain = ImageCollection("sentinel2-series").filter_date("2020-08", "2020-09").cube(["B04", "B08"])
    cube = connected.compute(chain.graph, area)
    assert cube.dims == ("t", "bands", "y", "x")
    assert cube.labels["bands"] == ("B04", "B08")
    assert cube.grid.lattice == Lattice(3035, 10.0, 10.0)
    assert cube.values.dtype == np.float32
    assert np.isfinite(cube.values).any()
    one = connected.compute(_red().graph, area, resolution=20, crs=3857)
    assert (one.dims, one.grid.epsg, one.grid.lattice.res_x) == (("y", "x"), 3857, 20)


def test_what_there_is(connected: HttpSession) -> None:
    assert "sentinel2-series" in {c["id"] for c in connected.collections()}
    assert {b["name"] for b in connected.collection("sentinel2-series")["bands"]} >= {"B04", "SCL"}
    assert connected.place("Caras-Severin", "RO")["kind"] == "area"
    assert "slope" in {p["id"] for p in connected.processes()}
    found = connected.search(ImageCollection("sentinel2-series").filter_date("2020-05", "2020-05").graph, items=True)
    assert found["matched"] == len(found["items"]) > 0


def test_errors_are_the_servers(connected: HttpSession) -> None:
    with pytest.raises(NotFound, match='No band "B8"') as caught:
        connected.put(ImageCollection("sentinel2-series").mosaic()["B8"].graph)
    assert "B08" in caught.value.near
    with pytest.raises(NotFound) as caught:
        connected.collection("b c?d#e")
    assert '"b c?d#e"' in caught.value.message
    with pytest.raises(NotFound):
        connected.place("Qwxzyzzy")


def test_connect_takes_the_environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHLOOM_URL", server)
    opened = connect()
    assert opened.url == server
    assert session.current() is opened
    session.use(None)
    again = session.current()  # connects by itself
    assert isinstance(again, HttpSession)
    for one in (opened, again):
        one.close()
    session.use(None)


def test_a_browser_is_given_the_public_address(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = server.rpartition(":")[2]

    def told(**given: str) -> str:
        opened = connect(server, **given)
        opened.close()
        session.use(None)
        return opened.address("/tiles/k/{z}/{x}/{y}.png")

    tiles = "/tiles/k/{z}/{x}/{y}.png"
    assert told() == server + tiles
    assert told(public_url="https://tiles.example.org/el/") == f"https://tiles.example.org/el{tiles}"
    assert HttpSession(server, token="a+b", public_url="/p/{port}").address("/x") == f"/p/{port}/x?token=a%2Bb"
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    assert told() == f"/user/ann/proxy/{port}{tiles}"
    monkeypatch.setenv("EARTHLOOM_PUBLIC_URL", "/proxy/{port}")
    assert told() == f"/proxy/{port}{tiles}"


def test_connect_says_when_nobody_answers() -> None:
    with listen("127.0.0.1", 0) as bound, pytest.raises(Unavailable, match=address(bound)):
        connect(address(bound))


def test_values_travel_unchanged() -> None:
    grid = Grid(Lattice(32633, 10.0, 20.0, 0.1, -0.3), -5, 7, 3, 2)
    values = np.array([[[np.nan, 0.1, -0.0], [np.inf, 1e-40, 3]]] * 2, np.float32)
    sent = Cube(values, ("t", "y", "x"), grid, {"t": ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")})
    with write_cube(sent) as file:
        got = read_cube(file.read())
    assert (got.dims, got.grid, dict(got.labels)) == (sent.dims, sent.grid, dict(sent.labels))
    assert got.values.tobytes() == values.tobytes()


def test_a_pickle_in_an_answer_is_not_opened() -> None:
    file = io.BytesIO()
    np.savez(file, values=np.array([print], object), header=np.array(json.dumps({})))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_cube(file.getvalue())


def test_bad_arguments_stay_here(connected: HttpSession) -> None:
    with pytest.raises(InvalidArgument, match="JSON"):
        connected.compute(_red().graph, resolution=float("nan"))
