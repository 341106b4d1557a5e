"""The colours of a plan with every number resolved: given ranges as they are, left-out ones from statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from earthloom.base.errors import InvalidArgument, InvalidGraph
from earthloom.chain.steps import quantity
from earthloom.engine.evaluate import evaluate
from earthloom.engine.plan import Plan
from earthloom.engine.selection import Selection
from earthloom.engine.style import RgbStyle, Style, class_style, ramp_style
from earthloom.engine.views import preview_grid

if TYPE_CHECKING:
    from earthloom.engine.engine import Engine

SAMPLE_PX = 256
PERCENTILES = (2, 98)
Range = tuple[float, float]


def style_for(engine: Engine, plan: Plan, selection: Selection, tenant: str = "local") -> Style:
    """How a plan's values become colours; from the cache while the catalogue stays as it is.

    A range that the chain leaves out is the mean +- 2 standard deviations of the band, as ingested, where the values
    are still the band's own; else the 2nd and 98th percentile over the selection on a grid of 256 pixels. Without
    any colours one band is grey and three are red, green and blue. Of a chain with functions each tenant has an own
    style, for what a function gives is a claim of the tenant who runs it.

    Raises
    ------
    InvalidGraph
        If the chain has more bands than a picture can show.
    """
    name = f"{plan.key}/{selection.revision}/{tenant if plan.functions else ''}"
    style = engine.styles.get(name)
    if style is None:
        style = _style(engine, plan, selection, tenant)
        engine.styles.put(name, style)
    return style


def _style(engine: Engine, plan: Plan, selection: Selection, tenant: str) -> Style:
    shown = plan.steps[plan.shown]
    kind, arguments = plan.paint or ("", {})
    bands = shown.names or ()
    count = len(bands) if "bands" in shown.dims else 1
    if not kind:
        kind = "color" if count == 1 else "rgb"
        arguments = {"colors": "gray"} if count == 1 else {}
    if kind == "classes":
        listed = [(c["value"], str(c.get("label", c["value"])), c["color"]) for c in arguments["classes"]]
        return class_style(listed, quantity=_quantity(engine, plan)[0] if plan.functions else ", ".join(bands))
    if kind == "color":
        if count != 1:
            raise InvalidGraph(
                f"color takes one band, and the chain has {count}: {', '.join(bands)}.",
                hint='Choose one with ["B04"], or show three with rgb.',
            )
        vmin, vmax = arguments.get("vmin"), arguments.get("vmax")
        if vmin is None or vmax is None:
            low, high = _automatic(engine, plan, selection, tenant)[0]
            vmin, vmax = (low if vmin is None else vmin), (high if vmax is None else vmax)
            vmin, vmax = min(vmin, vmax), max(vmin, vmax)
        what, unit = _quantity(engine, plan)
        return ramp_style(arguments["colors"], vmin, vmax, quantity=what, unit=unit)
    if count != 3:
        raise InvalidGraph(
            f"A picture shows one band or three, and the chain has {count or 'several'}.",
            hint='Choose one with ["B04"], or three with rgb("B04", "B03", "B02").',
        )
    lows, highs = arguments.get("vmin"), arguments.get("vmax")
    for name, given in (("vmin", lows), ("vmax", highs)):
        if given is not None and len(given) != 3:
            raise InvalidArgument(f"{name} of rgb holds {len(given)} numbers instead of three.", argument=name)
    automatic = _automatic(engine, plan, selection, tenant) if lows is None or highs is None else []
    lows = lows if lows is not None else [low for low, _ in automatic]
    highs = highs if highs is not None else [high for _, high in automatic]
    ranges = tuple((float(low), float(high)) for low, high in zip(lows, highs, strict=True))
    return RgbStyle(bands=bands, ranges=ranges)  # type: ignore[arg-type]


def _quantity(engine: Engine, plan: Plan) -> tuple[str, str]:
    """What the values are, and their unit."""
    shown = plan.steps[plan.shown]
    if shown.raw and shown.names:
        digital = _numbers(plan) == "digital"
        unit = "" if digital else str(_band_doc(engine, plan, shown.names[0]).get("unit", ""))
        return shown.names[0], unit
    what, unit = quantity(engine.graph(plan.key))
    if what.isdigit() and plan.functions:  # a band of the result of a function
        what = f"{[*plan.functions.values()][-1].function.name} {what}".strip()
    return what, unit


def _numbers(plan: Plan) -> str:
    return plan.sources[plan.source_below(plan.shown)].numbers


def _automatic(engine: Engine, plan: Plan, selection: Selection, tenant: str) -> list[Range]:
    shown = plan.steps[plan.shown]
    if shown.raw and shown.names:
        found = [_from_statistics(_band_doc(engine, plan, b), _numbers(plan) == "digital") for b in shown.names]
        if all(found):
            return [r for r in found if r]
    if selection.empty:
        return [(0.0, 1.0)] * max(1, len(shown.names or ()))
    grid = preview_grid(engine, plan, selection, SAMPLE_PX)
    cube = evaluate(plan, grid, selection, engine, shown=True, tenant=tenant)
    planes = cube.values if "bands" in cube.dims else cube.values[None]
    return [_percentiles(p) for p in planes]


def _percentiles(plane: Any) -> Range:
    valid = plane[np.isfinite(plane)]
    if not valid.size:
        return 0.0, 1.0
    low, high = np.percentile(valid.astype(np.float64), PERCENTILES)
    return float(low), float(high)


def _from_statistics(doc: Mapping[str, Any], digital: bool) -> Range | None:
    """The range of a band by its statistics, which are those of physical values."""
    statistics = doc.get("statistics") or {}
    mean, sd = statistics.get("mean"), statistics.get("stddev")
    if mean is None or sd is None:
        return None
    low, high = mean - 2 * sd, mean + 2 * sd
    if (least := statistics.get("minimum")) is not None:
        low = max(low, least)
    if (most := statistics.get("maximum")) is not None:
        high = min(high, most)
    if digital and (scale := doc.get("raster:scale")):
        low, high = sorted((low / scale, high / scale))
    return (low, high) if low < high else None


def _band_doc(engine: Engine, plan: Plan, band: str) -> Mapping[str, Any]:
    docs: Sequence[Mapping[str, Any]] = [d for s in plan.sources.values() for d in engine.band_docs(s.query.collection)]
    return next((d for d in docs if d["name"] == band), {})
