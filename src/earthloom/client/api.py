"""A server as chains and collections see it: the `Session` of the chain room, over HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray

from earthloom.base.cube import Cube
from earthloom.base.errors import Unavailable
from earthloom.base.grid import Grid, Lattice
from earthloom.chain.session import UdfInput
from earthloom.client.transport import Renew, Transport

Graph = dict[str, Any]


class HttpSession:
    """Calls of a server. All raise EarthloomError.

    Parameters
    ----------
    url
        Address of the server.
    inner
        How requests travel; None is the network.
    token
        Who asks, for a server that wants to know.
    renew
        Where the server is now, for one that is started again when it has ended; see `Transport`.
    public_url
        Address of the server as a browser sees it, which may go through a proxy; without one it is `url`. "{port}" in
        it stands for the server's port. One without a host name is a path of the page that shows the map.
    """

    def __init__(
        self,
        url: str,
        inner: httpx.BaseTransport | None = None,
        token: str | None = None,
        renew: Renew | None = None,
        public_url: str | None = None,
    ) -> None:
        self._transport = Transport(url, inner, token, renew)
        self._public_url = public_url

    def __repr__(self) -> str:
        return f"<Earthloom server at {self.url}>"

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        return self._transport.url

    def address(self, path: str) -> str:
        """The address of a route for who sends no header, such as a map: with the token, if there is one.

        Parameters
        ----------
        path
            With its slash; places for {z}, {x}, {y} are kept.
        """
        token = self._transport.token
        base = self.url
        if self._public_url:
            base = self._public_url.replace("{port}", str(urlsplit(self.url).port or "")).rstrip("/")
        return f"{base}{path}" + (f"?token={_segment(token)}" if token else "")

    def renew(self) -> None:
        """Start an embedded engine that has ended again; `address` gives its new address then."""
        self._transport.renew()

    def health(self) -> dict[str, Any]:
        """`title` and `version` of the server; Unavailable if something else answers there."""
        answer = self._transport.get("/health")
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or document.get("title") != "Earthloom":
            raise Unavailable(f"What answers at {self.url} is not Earthloom.", url=self.url)
        return document

    def register(self, graph: Graph) -> dict[str, Any]:
        """Check a chain and keep it: its `key`, and the addresses `tiles`, `tilejson`, `legend`; `warnings`."""
        return self._json(self._transport.post("/chains", {"process_graph": graph}))

    def put(self, graph: Graph) -> str:
        """Check a chain and keep it; its key."""
        return str(self.register(graph)["key"])

    def share(self, key: str, name: str) -> str:
        """Show a chain that is kept on the server's page, under a name; the address of the page, without a token."""
        self._transport.post("/shared", {"key": key, "name": name})
        return f"{self.url}/"

    def graph(self, key: str) -> Graph:
        """The process graph of a key."""
        return dict(self._json(self._transport.get(f"/chains/{_segment(key)}"))["process_graph"])

    def collections(self) -> list[dict[str, Any]]:
        """All collections, as STAC documents."""
        return list(self._json(self._transport.get("/collections"))["collections"])

    def collection(self, id: str) -> dict[str, Any]:
        """A collection as STAC document, with `bands` as ingested."""
        return self._json(self._transport.get(f"/collections/{_segment(id)}"))

    def search(self, graph: Graph, *, items: bool = False) -> dict[str, Any]:
        """What a collection's graph selects; see `Session.search` in the chain room."""
        return self._json(self._transport.post("/search", {"process_graph": graph, "items": items}))

    def place(self, name: str, country: str | None = None) -> dict[str, Any]:
        """A place by name: `name`, `country`, `kind` (place or area), `geometry` (GeoJSON), `bbox`."""
        return self._json(self._transport.get("/places", name=name, country=country))

    def processes(self) -> list[dict[str, Any]]:
        """All processes, described as openEO does."""
        return list(self._json(self._transport.get("/processes"))["processes"])

    def preview(self, graph: Graph, size: int = 512) -> bytes:
        """A PNG of the chain over its selection, at most `size` pixels wide and high."""
        return self._transport.get(f"/preview/{self.put(graph)}.png", size=size).content

    def legend(self, graph: Graph | str) -> dict[str, Any]:
        """What the colours mean: kind ramp, classes or rgb; of a chain, or of the key of one that is kept."""
        name = graph if isinstance(graph, str) else self.put(graph)
        return self._json(self._transport.get(f"/legend/{_segment(name)}"))

    def point(self, key: str, lon: float, lat: float, z: int) -> dict[str, Any]:
        """The values before colour in the pixel that a tile of zoom `z` shows at a place.

        Returns
        -------
        `values` with the dimensions `dims` (none: a number) and their `labels`; None is no data.
        """
        return self._json(self._transport.get(f"/point/{_segment(key)}", lon=lon, lat=lat, z=z))

    def compute(
        self, graph: Graph, area: Any = None, resolution: float | None = None, crs: int | str | None = None
    ) -> Cube:
        """The values of a chain, before colour."""
        wanted = {"area": area, "resolution": resolution, "crs": crs}
        return read_cube(self._transport.post("/compute", {"process_graph": graph} | wanted).content)

    def picture(self, key: str, z: int, x: int, y: int) -> bytes:
        """A tile as the map shows it, PNG, of a chain that is kept."""
        return self._transport.get(f"/tiles/{_segment(key)}/{z}/{x}/{y}.png").content

    def tile(self, key: str, z: int, x: int, y: int) -> NDArray[Any]:
        """The values of a tile before colour, (..., y, x), of a chain that is kept."""
        body = self._transport.get(f"/tiles/{_segment(key)}/{z}/{x}/{y}.npy").content
        values: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
        return values

    def udf_input(self, graph: Graph, lon: float, lat: float, zoom: int) -> UdfInput:
        """What the last `run_udf` of a chain is handed for the 2 x 2 tiles around a place; it is not run."""
        wanted = {"process_graph": graph, "lon": lon, "lat": lat, "zoom": zoom, "tiles": 2}
        return read_input(self._transport.post("/udf/input", wanted).content)

    def logs(self, graph: Graph) -> list[dict[str, Any]]:
        """What the functions of a chain printed for the user who asks; see `Session.logs` in the chain room."""
        return list(self._json(self._transport.post("/logs", {"process_graph": graph}))["lines"])

    def close(self) -> None:
        """Let the connections go."""
        self._transport.close()

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        document = answer.json()
        assert isinstance(document, dict)
        return document


def read_cube(npz: bytes) -> Cube:
    """The cube in an answer of `POST /compute`; nothing in it is unpickled."""
    with np.load(io.BytesIO(npz), allow_pickle=False) as archive:
        values, header = archive["values"], json.loads(str(archive["header"]))
    labels = {dim: tuple(names) for dim, names in header["labels"].items()}
    return Cube(values, tuple(header["dims"]), _grid(header["grid"]), labels)


def read_input(npz: bytes) -> UdfInput:
    """The array in an answer of `POST /udf/input`; nothing in it is unpickled."""
    with np.load(io.BytesIO(npz), allow_pickle=False) as archive:
        values, mask, header = archive["values"], archive["mask"], json.loads(str(archive["header"]))
    return UdfInput(values, mask, tuple(header["dims"]), header["context"], _grid(header["grid"]))


def _grid(document: Mapping[str, Any]) -> Grid:
    lattice = Lattice(**{name: document[name] for name in ("epsg", "res_x", "res_y", "x0", "y0")})
    return Grid(lattice, **{name: document[name] for name in ("col", "row", "width", "height")})


def _segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
