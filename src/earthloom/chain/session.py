"""What a chain may ask of a server, and the session that answers now."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from earthloom.base.cube import Cube
from earthloom.base.grid import Grid

Graph = dict[str, Any]  # an openEO process graph: node id -> node

_current: Session | None = None


@dataclass(frozen=True, slots=True, eq=False)
class UdfInput:
    """The array that a user's function is handed.

    Parameters
    ----------
    values
        (..., y, x), with the margin that the function declares.
    mask
        Where there is data, of the same shape.
    dims
        Names of the axes.
    context
        What the function is told of it, as JSON (`base/tilecontext.py`).
    grid
        The pixels without the margin: whole tiles of a web map.
    """

    values: NDArray[Any]
    mask: NDArray[np.bool_]
    dims: tuple[str, ...]
    context: Mapping[str, Any]
    grid: Grid


class Session(Protocol):
    """A server, as chains and collections see it. All calls raise EarthloomError."""

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        ...

    def address(self, path: str) -> str:
        """The address of a route for a map, which sends no header: with the token of who asks, if there is one."""
        ...

    def renew(self) -> None:
        """Find a server again that may have moved: an embedded engine that ended is started again."""
        ...

    def register(self, graph: Graph) -> dict[str, Any]:
        """Check a chain and keep it: its `key`, and `warnings`, sentences that a user should read."""
        ...

    def put(self, graph: Graph) -> str:
        """Check a chain and keep it; its key."""
        ...

    def share(self, key: str, name: str) -> str:
        """Show a chain that is kept on the server's page, under a name; the address of the page, without a token."""
        ...

    def collection(self, id: str) -> dict[str, Any]:
        """A collection as STAC document, with `bands` as ingested."""
        ...

    def search(self, graph: Graph, *, items: bool = False) -> dict[str, Any]:
        """What a collection's graph selects.

        Returns
        -------
        `matched` (number of items), `dates` (date-times, ascending), `bbox` (west, south, east, north or None),
        `bands` (band objects of the collection), `title`, `attribution`; with `items` also `items`, the STAC items
        in the selection's order. If nothing is left, `nearest` holds the nearest date that has items, or None.
        """
        ...

    def place(self, name: str, country: str | None = None) -> dict[str, Any]:
        """A place by name: `name`, `country`, `kind` (place or area), `geometry` (GeoJSON), `bbox`."""
        ...

    def preview(self, graph: Graph, size: int = 512) -> bytes:
        """A PNG of the chain over its selection, at most `size` pixels wide and high."""
        ...

    def compute(
        self, graph: Graph, area: Any = None, resolution: float | None = None, crs: int | str | None = None
    ) -> Cube:
        """The values of a chain, before colour."""
        ...

    def legend(self, graph: Graph | str) -> dict[str, Any]:
        """What the colours mean: kind ramp, classes or rgb; of a chain, or of the key of one that is kept."""
        ...

    def picture(self, key: str, z: int, x: int, y: int) -> bytes:
        """A tile as the map shows it, PNG, of a chain that is kept."""
        ...

    def tile(self, key: str, z: int, x: int, y: int) -> NDArray[Any]:
        """The values of a tile before colour, (..., y, x), of a chain that is kept."""
        ...

    def udf_input(self, graph: Graph, lon: float, lat: float, zoom: int) -> UdfInput:
        """What the last `run_udf` of a chain is handed for the 2 x 2 tiles around a place; it is not run."""
        ...

    def logs(self, graph: Graph) -> list[dict[str, Any]]:
        """What the functions of a chain printed for the user who asks.

        Returns
        -------
        Lines in the order of time: `time` (ISO, UTC), `place` (zoom/column/row), `stream` (stdout, stderr, warning,
        error), `text`.
        """
        ...


def current() -> Session:
    """The session in use; the first call connects (`$EARTHLOOM_URL`, else an embedded engine)."""
    global _current
    if _current is None:
        # By its module string: the chain room must not import the client room above it.
        _current = importlib.import_module("earthloom.client.connect").connect()
    assert _current is not None
    return _current


def use(session: Session | None) -> None:
    """Make `session` the one in use; None forgets it."""
    global _current
    _current = session
