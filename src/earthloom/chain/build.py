"""`Chain`: what a user holds of a process graph. Immutable and lazy; every verb gives a new chain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from earthloom.base.errors import InvalidArgument
from earthloom.chain import show
from earthloom.chain.canonical import plain
from earthloom.chain.graph import Callback, Graph, Node, references, to_json
from earthloom.chain.key import key
from earthloom.chain.logs import Logs
from earthloom.chain.middle import middle, point_of
from earthloom.chain.parse import check, parse
from earthloom.chain.session import current
from earthloom.chain.steps import chain_steps
from earthloom.chain.trial import Trial, try_out
from earthloom.chain.verbs import Verbs

if TYPE_CHECKING:
    import xarray


class Chain(Verbs):
    """A processing chain: a process graph that ends in one node.

    Chains come from `ImageCollection.mosaic()` and `ImageCollection.cube()`, or from openEO JSON by `from_graph`.
    Operators and verbs give new chains; nothing is read before a map, a preview or `compute` asks for it.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    @classmethod
    def of(cls, process_id: str, arguments: Mapping[str, Any]) -> Chain:
        """A chain that ends in a process; its arguments are checked at once."""
        written = {k: _json(v) for k, v in arguments.items()}
        node = Node(process_id, written)
        check(node)
        for reference in references(written):
            if isinstance(reference, Callback):
                check(reference.result)
        return cls(node)

    @classmethod
    def from_graph(cls, document: Mapping[str, Any]) -> Chain:
        """A chain from openEO JSON: a process graph, or a document that holds one."""
        return cls(parse(document))

    @cached_property
    def graph(self) -> Graph:
        """The chain as an openEO process graph (flat JSON)."""
        return to_json(self.node)

    @cached_property
    def key(self) -> str:
        """32 hex digits that name the chain's meaning: the same meaning typed twice has one key."""
        return key(self.node)

    def preview(self, size: int = 512) -> Preview:
        """A picture of the chain over all that it selects, at most `size` pixels wide and high."""
        return Preview(current().preview(self.graph, size))

    def compute(
        self, area: Any = None, resolution: float | None = None, crs: int | str | None = None
    ) -> xarray.DataArray:
        """The values of the chain as a DataArray, before colour.

        Parameters
        ----------
        area
            west, south, east, north in degrees, or a GeoJSON geometry; None takes all that the chain selects.
        resolution
            Pixel size in units of `crs`; None takes the finest of the bands used.
        crs
            EPSG code; None takes that of the first item.

        Returns
        -------
        Dimensions among (t, bands, y, x); NaN is no data.

        Raises
        ------
        TooLarge
            Over 100 million values.
        """
        return current().compute(self.graph, area, resolution, crs).to_xarray()

    def logs(self) -> Logs:
        """What your functions in the chain printed while tiles were made, and their warnings and errors."""
        return Logs(current().logs(self.graph))

    def test_execute(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        place: Any = None,
        zoom: int | None = None,
        raw: bool = False,
        **kwargs: Any,
    ) -> Trial:
        """Try a function of your own in this Python, on the array that the server would hand over, and on the server.

        Its errors are shown as those of any other function, and the debugger works. The same is then computed by the
        server and compared. A warning tells if the result depends on where the tiles end.

        Parameters
        ----------
        function, args, kwargs, raw
            As for `execute`.
        place
            (lon, lat), a GeoJSON point, or the name of a place. Without it the middle of what the chain selects.
        zoom
            Zoom of the 2 x 2 map tiles around the place; without it the one nearest to the finest band.

        Returns
        -------
        `input`, `context`, `result`, `server`, `equal`, and both pictures in a notebook.

        Raises
        ------
        InvalidArgument
            As `execute`; and if there is no data at the place.
        """
        chain = self.execute(function, *args, raw=raw, **kwargs)
        for name in ("place", "zoom"):
            if name in inspect.signature(function).parameters:
                raise InvalidArgument(
                    f'{function.__name__} has a parameter named "{name}", which test_execute takes for itself.',
                    hint="Give the parameter another name.",
                    argument=name,
                )
        session = current()
        settings = chain.node.arguments["context"]
        call = chain_steps(chain.graph)[-1].text.partition(", of step")[0]
        point = None if place is None else point_of(session, place)
        if point is None or zoom is None:
            centre, near = middle(session, self.node)
            point, zoom = point or centre, near if zoom is None else zoom
        return try_out(session, chain.graph, function, settings, call, point, zoom)

    def legend(self) -> dict[str, Any]:
        """What the colours mean: kind ramp, classes or rgb."""
        return current().legend(self.graph)

    def __repr__(self) -> str:
        return show.chain_text(self.graph, self.key)

    def _repr_html_(self) -> str:
        return show.chain_html(self.graph, self.key)


@dataclass(frozen=True, slots=True)
class Preview:
    """A PNG that a notebook shows."""

    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str) -> None:
        """Write the picture to a file."""
        with open(path, "wb") as file:
            file.write(self.png)


def _json(value: Any) -> Any:
    """An argument as JSON; what refers to nodes is JSON already."""
    return value if any(True for _ in references(value)) else plain(value)
