"""`ImageProcess`: a processing chain as the original has it. Every step changes the chain and gives it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, cast

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.chain.build import Chain
from earthloom.chain.collection import ImageCollection
from earthloom.chain.session import current
from earthloom.client.api import HttpSession
from earthloom.jeolab.calls import number, told
from earthloom.jeolab.combinations import Combination
from earthloom.jeolab.pictures import default_bands, stretch
from earthloom.jeolab.source import function_in

OPAQUE = 255
MATH: dict[str, Callable[[Any, Any], Chain]] = {
    "+": Chain.__add__,
    "-": Chain.__sub__,
    "*": Chain.__mul__,
    "/": Chain.__truediv__,
}


MODES = ("elevation", "hillshade", "slope", "aspect")
INTERPOLATIONS = {"NEAREST": "near", "BILINEAR": "bilinear"}


class Key(str):
    """The key of a chain that is kept on the server, with what the map needs beside it."""

    chain: Chain
    opacity: float | None  # 0 to 1; None if none was said

    @classmethod
    def of(cls, chain: Chain, opacity: float | None) -> Key:
        """Keep a chain; its key."""
        key = cls(current().put(chain.graph))
        key.chain, key.opacity = chain, opacity
        return key


def band_names(collection: ImageCollection) -> tuple[str, ...]:
    """Names of a collection's bands, in the order of the server."""
    return tuple(str(band["name"]) for band in current().collection(collection.id)["bands"])


class ImageProcess:
    """A chain over the mosaic of a collection, in digital numbers with the offset taken off.

    Chains come from `process()` and `processMulti([...])` of a collection.

    Parameters
    ----------
    collection
        The images.
    bands
        Names of the bands; without any, all.
    """

    def __init__(self, collection: ImageCollection, bands: Sequence[str] = ()) -> None:
        self._collection = collection
        self._known = band_names(collection)
        self._opacity: float | None = None
        self._method = INTERPOLATIONS["NEAREST"]
        self._start(bands)

    def _start(self, bands: Sequence[str]) -> None:
        for band in bands:
            if band not in self._known:
                raise NotFound.name("band", str(band), self._known, within=self._collection.id, band=str(band))
        self._all = self._numbers()
        self._values = self._all[list(bands)] if bands else self._all
        self._names = tuple(bands) or self._known
        self._flat = False  # one band, without a dimension of bands
        self._own = True  # the collection's numbers: nothing was computed yet
        self._heights: Chain | None = None  # what the mode of a DEM was computed from, if that was the last step
        self._scale: tuple[float, ...] = ()
        self._stretch: tuple[float, ...] = ()  # by statistics, where no scale is said
        self._colors: tuple[str, ...] = ()

    def _numbers(self) -> Chain:
        """The collection's digital numbers, all bands."""
        images = self._collection.mosaic()
        if self._method != "near":
            images = images.resample_spatial(method=self._method)
        return Chain.of("digital_numbers", {"data": images.node})

    @told
    def copyTo(self) -> ImageProcess:
        """A copy, which later steps of this chain do not reach."""
        return copy(self)

    # Bands

    @told
    def band(self, band: str | int) -> ImageProcess:
        """Choose one band, by its name or by its place.

        Places count from 0 in the list of `processMulti`, or in the result of `execute`. A band that the chain does
        not have any more starts it again from its collection.
        """
        name = self._name("band", band)
        if name not in self._names:
            self._again("band", [name])
        self._stretch = ()
        if not self._flat:
            self._become(self._bands_of()[name], (name,), flat=True, own=self._own)
        return self

    @told
    def bands(self, *bands: str | float | Combination) -> ImageProcess:
        """Choose three bands for red, green and blue: names, places, or a combination such as `S2_LandWater`.

        A number after three bands is a stretch, `bands("B04", "B03", "B02", 2)`: from the mean of the collection's
        statistics minus so many standard deviations to the mean plus as many. Without any band, `bands()`, they are
        the collection's red, green and blue; its first band, if it has none. Bands that the chain does not have any
        more start it again from its collection.
        """
        listed, deviations = self._listed(bands)
        names = [self._name("bands", band) for band in listed]
        if self._flat or not set(names) <= set(self._names):
            self._again("bands", names)
        else:
            self._become(self._bands_of()[names], names, own=self._own)
        self._stretch = () if deviations is None else stretch(self._collection.id, names, deviations)
        return self

    def _listed(self, given: Sequence[Any]) -> tuple[Sequence[Any], float | None]:
        """The bands that a call of `bands` means, and the number of standard deviations if it says one."""
        if not given:
            return default_bands(self._collection.id), None
        if isinstance(given[0], Combination):
            bands, after = given[0].bands, given[1:]
        else:
            bands, after = tuple(given[:3]), given[3:]
        if len(bands) != 3 or len(after) > 1:
            raise InvalidArgument(
                f"bands takes three bands or a combination, and a stretch if you like, not {len(given)} arguments.",
                hint='Write bands("B04", "B03", "B02"), bands("B04", "B03", "B02", 2), bands(0, 1, 2), '
                "bands(S2_LandWater) or bands().",
                argument="bands",
            )
        if not after:
            return bands, None
        accepts = "a number of standard deviations greater than 0"
        if number(after[0], "bands", "the stretch", accepts) <= 0:
            raise InvalidArgument(f"bands: the stretch is {accepts}, not {after[0]}.", argument="bands")
        return bands, float(after[0])

    def _bands_of(self) -> Chain:
        """Where bands are chosen from: a choice of chosen bands is one choice."""
        return self._all if self._own else self._values

    def _name(self, call: str, band: Any) -> str:
        """The name of a band that may be given by its place."""
        if isinstance(band, str):
            return band
        place, count = number(band, call, "band", "a name or a place"), len(self._names)
        if place not in range(count):
            there = f"{count} bands, 0 to {count - 1}" if count > 1 else "one band, 0"
            raise InvalidArgument(f"{call}: there is no band {band}; the chain has {there}.", argument="band")
        return self._names[int(place)]

    def _again(self, call: str, names: Sequence[str]) -> ImageProcess:
        """Start again from the collection."""
        self._start(names)
        text = f"{call}: the chain starts again from {self._collection.id} with {' '.join(names)};"
        print(text, "its steps so far are dropped.")
        return self

    def _become(
        self, values: Chain, names: Sequence[str] = (), *, flat: bool = False, own: bool = False
    ) -> ImageProcess:
        """Take a step; without `names` the bands stay what they are."""
        self._values, self._own, self._heights = values, own, None
        if names:
            self._names, self._flat = tuple(names), flat
        return self

    @told
    def parameter(self, key: str, value: str) -> ImageProcess:
        """Set how the chain reads or shows its images; both are text.

        `parameter("mode", "hillshade")` shows the heights of a DEM as `elevation`, `hillshade`, `slope` or `aspect`;
        `parameter("interpolate", "Bilinear")`, before any step that computes, reads between the pixels.
        """
        if key == "mode":
            if value not in MODES:
                raise NotFound.name("mode", str(value), MODES)
            if len(self._names) != 1:
                raise InvalidArgument(f"A mode shows heights, one band, and the chain has {len(self._names)}.")
            heights = self._values if self._heights is None else self._heights
            self._become(heights if value == "elevation" else getattr(heights, value)())
            self._heights = heights
            return self
        if key != "interpolate":
            raise NotFound.name("parameter", str(key), ("mode", "interpolate"))
        method = INTERPOLATIONS.get(str(value).upper())
        if method is None:
            raise NotFound.name("interpolation", str(value), INTERPOLATIONS)
        if not self._own:
            raise InvalidArgument("The chain computes already.", hint="Set interpolate right after process().")
        self._method = method
        self._all = self._numbers()
        chosen = self._all[list(self._names)] if self._names != self._known else self._all
        self._values = self._all[self._names[0]] if self._flat else chosen
        return self

    # Values

    @told
    def math(self, op: str, other: ImageProcess | float) -> ImageProcess:
        """Add, subtract, multiply or divide by a number or by another chain, pixel by pixel."""
        if op not in MATH:
            raise InvalidArgument(f'math: "{op}" is none of {" ".join(MATH)}.', argument="op")
        if not isinstance(other, ImageProcess):
            value = number(other, "math", "other", "a number or another chain")
            return self._become(MATH[op](self._values, value))
        larger = other if self._flat else self
        return self._become(MATH[op](self._values, other._values), larger._names, flat=larger._flat)

    @told
    def maskLT(self, value: float) -> ImageProcess:
        """Make values less than `value` transparent."""
        return self._hide("maskLT", value, Chain.__lt__)

    @told
    def maskLE(self, value: float) -> ImageProcess:
        """Make values of `value` and less transparent."""
        return self._hide("maskLE", value, Chain.__le__)

    @told
    def maskGT(self, value: float) -> ImageProcess:
        """Make values greater than `value` transparent."""
        return self._hide("maskGT", value, Chain.__gt__)

    @told
    def maskGE(self, value: float) -> ImageProcess:
        """Make values of `value` and more transparent."""
        return self._hide("maskGE", value, Chain.__ge__)

    @told
    def maskEQ(self, value: float) -> ImageProcess:
        """Make values equal to `value` transparent."""
        return self._hide("maskEQ", value, Chain.__eq__)

    @told
    def maskNE(self, value: float) -> ImageProcess:
        """Make values other than `value` transparent."""
        return self._hide("maskNE", value, Chain.__ne__)

    def _hide(self, call: str, value: Any, compare: Callable[[Chain, float], Chain]) -> ImageProcess:
        return self._become(self._values.mask(compare(self._values, number(value, call, "value"))))

    @told
    def mask(self, other: ImageProcess) -> ImageProcess:
        """Keep the pixels where another chain is opaque."""
        if not isinstance(other, ImageProcess):
            raise InvalidArgument("mask takes another chain, as coll.process().", argument="other")
        opaque = other._opaque().is_valid()
        return self._become(self._values.where(opaque if other._flat else opaque.min("bands")))

    @told
    def execute(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> ImageProcess:
        """Run a function of your own on the bands.

        Right after bands were chosen it gets the digital numbers as they are (uint16 for Sentinel-2), after other
        steps floats with NaN. The array is (bands, rows, columns), of one chosen band (rows, columns).

        Parameters
        ----------
        function
            `f(img, ...)` that returns the result or changes `img`, or a function that assigns the global `img` and
            reads the globals `band0`, `band1` and so on. Or the text of one; its last function counts.
        args, kwargs
            Its arguments, without the array.
        """
        values = self._values.execute(function_in(function), *args, raw=self._own, **kwargs)
        names = cast(HttpSession, current()).register(values.graph)["bands"]
        return self._become(values, names or ("0",), flat=names is None)

    @told
    def testExecute(
        self,
        function: Callable[..., Any] | str,
        /,
        *args: Any,
        place: Any = None,
        zoom: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run a function in the notebook on the very array that the server would hand to it; then there too."""
        settings = {"place": place, "zoom": zoom, "raw": self._own}
        return self._values.test_execute(function_in(function), *args, **settings, **kwargs)

    # Colours

    @told
    def scale(self, *limits: float) -> ImageProcess:
        """The values of the first and of the last colour: minimum and maximum.

        Six numbers are minimum and maximum of red, green and blue. Values beyond take the colour at the end.
        """
        if len(limits) not in (2, 6):
            raise InvalidArgument(
                f"scale takes two numbers (min, max) or six (those of red, green and blue), not {len(limits)}.",
                argument="limits",
            )
        self._scale = tuple(number(limit, "scale", "limit") for limit in limits)
        return self

    @told
    def colorCustom(self, colors: Sequence[str]) -> ImageProcess:
        """Colours of one band, spread evenly over the scale: CSS names, `#rrggbb`, `#rrggbbaa`.

        One colour alone is that of every value but 0, which is transparent.
        """
        if isinstance(colors, str) or not colors:
            raise InvalidArgument('colorCustom takes a list of colours, as ["red", "green"].', argument="colors")
        self._colors = tuple(colors)
        return self

    @told
    def opacity(self, value: float) -> ImageProcess:
        """Opacity of the layer, from 0 (nothing to see) to 255."""
        if not 0 <= number(value, "opacity", "value") <= OPAQUE:
            raise InvalidArgument(f"opacity takes 0 to {OPAQUE}, not {value}.", argument="value")
        self._opacity = value / OPAQUE
        return self

    def _opaque(self) -> Chain:
        """The values, without those that a single colour leaves transparent."""
        return self._values.where(self._values != 0) if len(self._colors) == 1 else self._values

    @property
    def chain(self) -> Chain:
        """The chain as `earthloom` has it, with its colours; an immutable copy."""
        count = len(self._names)
        if count not in (1, 3):
            raise InvalidArgument(
                f"A picture shows one band or three, and the chain has {count}: {', '.join(self._names[:13])}.",
                hint='Choose one with band("B04") or band(0), or three with bands("B04", "B03", "B02").',
            )
        if count == 3 and self._colors:
            raise InvalidArgument("colorCustom colours one band, and the chain has three.", hint="Choose one by band.")
        if count == 1 and len(self._scale) == 6:
            raise InvalidArgument("scale with six numbers takes three bands, and the chain has one.", hint="Give two.")
        scale = self._scale or self._stretch
        if not scale and not self._colors:
            return self._values
        pairs = list(zip(scale[::2], scale[1::2], strict=True))
        if count == 3:
            return self._values.rgb(stretch=pairs * (3 // len(pairs)))
        low, high = pairs[0] if pairs else (None, None)
        return self._opaque().color(list(self._colors) or "gray", vmin=low, vmax=high)

    @told
    def toLayer(self) -> Key:
        """Keep the chain on the server; its key."""
        return Key.of(self.chain, self._opacity)

    @told
    def toJson(self) -> str:
        """The chain as the JSON of an openEO process graph."""
        return json.dumps(self.chain.graph, indent=1)

    @told
    def printProcess(self) -> None:
        """Print the steps of the chain."""
        print(self)

    def __repr__(self) -> str:
        return repr(self._told_chain())

    def _repr_html_(self) -> str:
        return self._told_chain()._repr_html_()

    def _told_chain(self) -> Chain:
        """The chain, or its values while they cannot be shown yet."""
        return self.chain if len(self._names) in (1, 3) else self._values
