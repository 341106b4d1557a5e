"""`m.share` over a real server: what its page lists afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import ipyleaflet
import pytest

import earthloom as el
from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.chain import session

RED = el.ImageCollection("sentinel2-series").filter_date("2020-05", "2020-09").mosaic()["B04"]


@pytest.fixture(autouse=True)
def _session(server: str) -> Iterator[None]:
    connected = el.connect(server)
    yield
    session.use(None)
    connected.close()


def listed(server: str) -> dict[str, str]:
    """Names and keys on the page."""
    layers = httpx.get(f"{server}/shared", trust_env=False).json()["layers"]
    return {layer["name"]: layer["key"] for layer in layers}


def test_a_chain_a_layer_and_the_name_of_one_are_shared(server: str) -> None:
    m = el.Map()
    double, half = RED * 2, RED / 2
    layer = m.add(double, name="double")
    m.add(half, name="half")

    assert m.share(RED, "red") == f"{server}/"
    m.share(layer)
    m.share("half", name="The half")

    assert {"red": RED.key, "double": double.key, "The half": half.key}.items() <= listed(server).items()


def test_another_chain_under_the_name_takes_the_place(server: str) -> None:
    m = el.Map()
    m.share(RED + 1, "changing")
    m.share(RED + 2, "changing")

    assert listed(server)["changing"] == (RED + 2).key


def test_what_is_no_layer_of_a_chain_is_refused() -> None:
    m = el.Map()

    with pytest.raises(InvalidArgument, match="A Marker cannot be shared"):
        m.share(ipyleaflet.Marker(location=(0, 0)))
    with pytest.raises(NotFound, match="rde"):
        m.share("rde")
