"""Hand-written conveniences of `Chain`: operators, `[]`, `isin`, colours.

Each writes standard processes where they exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from earthloom.base.errors import InvalidArgument
from earthloom.chain.canonical import plain
from earthloom.chain.graph import Callback, Node, Parameter
from earthloom.chain.udf import check_raw, udf_arguments

if TYPE_CHECKING:
    from earthloom.chain.build import Chain

Number = float | int


class Sugar:
    """What reads better by hand than generated; a base of `Chain`."""

    node: Node

    # `==` builds a comparison, so chains are told apart by identity.
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise InvalidArgument(
            "A chain is neither true nor false: it has no values yet.",
            hint="Combine conditions with & | ~, and choose pixels with where() or mask().",
        )

    def __add__(self, other: Chain | Number) -> Chain:
        return self._binary("add", other)

    def __radd__(self, other: Number) -> Chain:
        return self._binary("add", other, swap=True)

    def __sub__(self, other: Chain | Number) -> Chain:
        return self._binary("subtract", other)

    def __rsub__(self, other: Number) -> Chain:
        return self._binary("subtract", other, swap=True)

    def __mul__(self, other: Chain | Number) -> Chain:
        return self._binary("multiply", other)

    def __rmul__(self, other: Number) -> Chain:
        return self._binary("multiply", other, swap=True)

    def __truediv__(self, other: Chain | Number) -> Chain:
        return self._binary("divide", other)

    def __rtruediv__(self, other: Number) -> Chain:
        return self._binary("divide", other, swap=True)

    def __pow__(self, other: Chain | Number) -> Chain:
        return self._binary("power", other)

    def __neg__(self) -> Chain:
        return self._binary("multiply", -1)

    def __lt__(self, other: Chain | Number) -> Chain:
        return self._binary("lt", other)

    def __le__(self, other: Chain | Number) -> Chain:
        return self._binary("lte", other)

    def __gt__(self, other: Chain | Number) -> Chain:
        return self._binary("gt", other)

    def __ge__(self, other: Chain | Number) -> Chain:
        return self._binary("gte", other)

    def __eq__(self, other: Chain | Number) -> Chain:  # type: ignore[override]
        return self._binary("eq", other)

    def __ne__(self, other: Chain | Number) -> Chain:  # type: ignore[override]
        return self._binary("neq", other)

    def __and__(self, other: Chain) -> Chain:
        return self._binary("and", other)

    def __or__(self, other: Chain) -> Chain:
        return self._binary("or", other)

    def __invert__(self) -> Chain:
        return self._element("not", {})

    def __getitem__(self, band: str | Sequence[str]) -> Chain:
        """One band without the dimension `bands` (`c["B04"]`), or several with it (`c[["B04", "B08"]]`)."""
        if isinstance(band, str):
            return self._reducer("array_element", "bands", {"label": band})
        return self._node("filter_bands", {"bands": list(band)})

    def __iter__(self) -> Any:
        raise TypeError("a chain cannot be iterated: it has no values yet")

    def isin(self, values: Iterable[Number]) -> Chain:
        """Whether each value is among `values`: 1, 0, or no data."""
        inside = Node("array_contains", {"data": plain(list(values)), "value": Parameter("x")})
        return self._node("apply", {"process": Callback(inside)})

    def within(self, area: Sequence[Number] | Mapping[str, Any]) -> Chain:
        """Keep the pixels inside a box (west, south, east, north in degrees); the others become no data."""
        if isinstance(area, Mapping):
            box = {k: area[k] for k in ("west", "south", "east", "north") if k in area}
        else:
            box = dict(zip(("west", "south", "east", "north"), area, strict=False))
        if len(box) != 4:
            raise InvalidArgument("An area is a box of west, south, east, north in degrees.", argument="area")
        return self._node("filter_bbox", {"extent": box})

    def classes(self, classes: Mapping[Number, str | tuple[str, str]]) -> Chain:
        """Colour the values of a classification: `{value: colour}` or `{value: (label, colour)}`."""
        listed = []
        for value, spec in classes.items():
            label, color = (str(value), spec) if isinstance(spec, str) else spec
            listed.append({"value": value, "label": label, "color": color})
        return self._node("classes", {"classes": listed})

    def rgb(self, *bands: str, stretch: Sequence[Number] | Sequence[Sequence[Number]] | None = None) -> Chain:
        """Show three bands as red, green and blue.

        Parameters
        ----------
        bands
            Names of the three bands; none if the chain has just three.
        stretch
            (low, high) for all bands or three such pairs: the values that become black and full colour. Without it
            the range is chosen as `color` does.
        """
        if bands and len(bands) != 3:
            raise InvalidArgument(f"rgb takes three bands, not {len(bands)}.", argument="bands")
        chain = self[list(bands)] if bands else self
        arguments: dict[str, Any] = {}
        if stretch is not None:
            pairs: list[Any] = list(stretch)
            if len(pairs) == 2 and not isinstance(pairs[0], Sequence):
                pairs = [pairs] * 3
            if len(pairs) != 3 or any(len(p) != 2 for p in pairs):
                raise InvalidArgument("stretch is (low, high) or three such pairs.", argument="stretch")
            arguments = {"vmin": [p[0] for p in pairs], "vmax": [p[1] for p in pairs]}
        return chain._node("rgb", arguments)

    def execute(self, function: Callable[..., Any], /, *args: Any, raw: bool = False, **kwargs: Any) -> Chain:
        """Run a function of your own on each tile: isolated on the server, with numpy, scipy and what else is there.

        It travels as the text of its definition, with the constants and functions of yours that it uses.

        Parameters
        ----------
        function
            `def f(img, ...)`: gets an array with the dimensions of the chain, (t, bands, y, x) or fewer, NaN where
            there is no data, and returns an array (y, x) or (bands, y, x). A parameter named `context` gets a
            `TileContext`: coordinates, pixel size, dates, mask. openEO's own `apply_datacube(cube, context)` and kin
            work as well. What the function needs around the tile is declared by `tile_function`. It is not called where
            no pixel has data in all bands, unless it declares `mask="own"`.
        args, kwargs
            Its arguments after the array: numbers, text, lists, dictionaries, small arrays.
        raw
            Hand over the numbers as stored, in their own type; only directly after `mosaic()`, `cube()` or the choice
            of bands.

        Returns
        -------
        A chain of the function's result: its bands are named "0", "1" and so on; (y, x) has no bands.

        Raises
        ------
        InvalidArgument, NotFound
            If the function, an argument or something that it uses cannot travel; names it.
        TooLarge
            If text or arguments exceed 64 KiB.
        """
        if raw:
            check_raw(self.node)
        return self._node("run_udf", udf_arguments(function, args, kwargs, raw=raw))

    # How the kinds of processes become nodes (`processes/define.py`).

    def _node(self, process_id: str, arguments: Mapping[str, Any], data: str = "data") -> Chain:
        from earthloom.chain.build import Chain

        written = {k: v.node if isinstance(v, Chain) else v for k, v in arguments.items()}
        return Chain.of(process_id, {data: self.node, **written})

    def _element(self, process_id: str, arguments: Mapping[str, Any], value: str = "x") -> Chain:
        return self._node("apply", {"process": Callback(Node(process_id, {value: Parameter("x"), **plain(arguments)}))})

    def _reducer(self, process_id: str, dimension: str, arguments: Mapping[str, Any]) -> Chain:
        reducer = Callback(Node(process_id, {"data": Parameter("data"), **plain(arguments)}))
        return self._node("reduce_dimension", {"reducer": reducer, "dimension": dimension})

    def _binary(
        self, process_id: str, other: Any, arguments: Mapping[str, Any] | None = None, *, swap: bool = False
    ) -> Chain:
        from earthloom.chain.build import Chain
        from earthloom.processes.define import get_process

        left, right = (p.name for p in get_process(process_id).parameters[:2])
        if isinstance(other, Chain):
            both = {left: Parameter("x"), right: Parameter("y"), **plain(arguments or {})}
            resolver = Callback(Node(process_id, both))
            return Chain.of(
                "merge_cubes",
                {
                    "cube1": self.node,
                    "cube2": other.node,
                    "overlap_resolver": resolver,
                    "context": {"labels": "equal"},
                },
            )
        number = plain(other)
        sides = (number, Parameter("x")) if swap else (Parameter("x"), number)
        pair = dict(zip((left, right), sides, strict=True))
        return self._node("apply", {"process": Callback(Node(process_id, {**pair, **plain(arguments or {})}))})
