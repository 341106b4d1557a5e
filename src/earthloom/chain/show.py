"""Chains and collections as text and as static HTML: no script, so that it shows in any notebook and export.

Each piece of HTML carries its own style sheet (about 5 kB): it stays readable when other outputs are cleared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from earthloom.base import times
from earthloom.base.colours import palette, ramp, to_text
from earthloom.base.errors import NotFound
from earthloom.chain.steps import Graph, Step, chain_steps

WEB = Path(__file__).parents[1] / "web"

_KM_PER_DEGREE = 111.2  # of a great circle


def chain_text(graph: Graph, key: str) -> str:
    """The steps of a chain, numbered, under a line with the first digits of its key."""
    lines = [f"{i:>3}  {step.name} {step.text}".rstrip() for i, step in enumerate(chain_steps(graph), 1)]
    return "\n".join([f"Chain {_short(key)}", *lines])


def chain_html(graph: Graph, key: str) -> str:
    """The steps of a chain as HTML."""
    steps = chain_steps(graph)
    items = "".join(f"<li><b>{escape(step.name)}</b>{escape(step.text)}{_more(step)}</li>" for step in steps)
    count = f"{len(steps)} step{'s' if len(steps) != 1 else ''}"
    kind = f'<code title="{escape(key)}">{_short(key)}</code>'
    return card("Chain", kind, count, f'<ol class="steps">{items}</ol>')


def collection_text(summary: Mapping[str, Any], filters: Sequence[str]) -> str:
    """What a collection holds.

    Parameters
    ----------
    summary
        The answer of `Session.search` for the collection's graph, and its `id`.
    filters
        The filters as short texts.
    """
    rows = [(name, value) for name, value in _facts(summary, filters) if value]
    title = f"{summary['id']}: {_items(summary['matched'])}"
    return "\n".join([title, *(f"  {name:<9}{value}" for name, value in rows)])


def collection_html(summary: Mapping[str, Any], filters: Sequence[str]) -> str:
    """What a collection holds, as HTML; parameters as for `collection_text`."""
    facts = {name: escape(value) for name, value in _facts(summary, filters) if value}
    if "Bands" in facts:
        facts["Bands"] = _bands(summary["bands"])
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if name != "Source")
    title = summary.get("title") or ""
    kind = escape(title) if title and title != summary["id"] else "Collection"
    count = f"<b>{summary['matched']}</b> {_items(summary['matched']).split(' ')[-1]}"
    return card(summary["id"], kind, count, f"<dl>{rows}</dl>{_timeline(summary['dates'])}", facts.get("Source", ""))


def _facts(summary: Mapping[str, Any], filters: Sequence[str]) -> list[tuple[str, str]]:
    """Rows of a collection: name and text; an empty text is left out."""
    dates = [date[:10] for date in summary["dates"]]
    days = len(set(dates))
    span = dates[0] if days == 1 else f"{dates[0]} to {dates[-1]}, {days} days" if dates else ""
    nearest = summary.get("nearest")
    box = summary.get("bbox")
    return [
        ("Dates", span),
        ("Nearest", f"{nearest[:10]} is the nearest date that has items" if nearest and not dates else ""),
        ("Extent", _extent(box) if box else ""),
        ("Bands", " ".join(str(band["name"]) for band in summary["bands"])),
        ("Filters", ", ".join(filters)),
        ("Source", summary.get("attribution") or ""),
    ]


def _extent(box: Sequence[float]) -> str:
    """A rectangle in degrees and kilometres; east may lie beyond the antimeridian."""
    west, south, east, north = box
    degrees = east - west if east >= west else east - west + 360
    wide = degrees * _KM_PER_DEGREE * math.cos(math.radians((south + north) / 2))
    high = (north - south) * _KM_PER_DEGREE
    size = f"{wide:.2g} x {high:.2g} km" if max(wide, high) < 10 else f"{wide:.0f} x {high:.0f} km"
    return f"lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}, {size}"


def _items(count: int) -> str:
    return f"{count} item{'s' if count != 1 else ''}"


def _bands(bands: Sequence[Mapping[str, Any]]) -> str:
    """The bands as labels, those of one pixel size together."""
    sizes: dict[Any, list[str]] = {}
    for band in bands:
        label = f'<span class="band" title="{escape(str(band.get("title") or ""))}">{escape(str(band["name"]))}</span>'
        sizes.setdefault(band.get("gsd") or band.get("raster:spatial_resolution"), []).append(label)
    groups = [
        "".join(labels) + (f'<span class="mute">{size:g} m</span> ' if size else "") for size, labels in sizes.items()
    ]
    return " ".join(groups)


def _timeline(dates: Sequence[str]) -> str:
    """A mark for each date on an axis from the first to the last, as SVG; nothing for a single day."""
    days = sorted({times.parse(date[:10]) for date in dates})
    if len(days) < 2:
        return ""
    span = (days[-1] - days[0]).total_seconds()
    marks = "".join(
        f'<rect x="{99.3 * (day - days[0]).total_seconds() / span:.2f}%" y="0" width="4" height="18" '
        f'fill="var(--el-accent, #0a6494)"><title>{day:%Y-%m-%d}</title></rect>'
        for day in days
    )
    return (
        f'<svg width="100%" height="36" role="img" aria-label="{len(days)} dates">{marks}'
        '<rect x="0" y="19" width="100%" height="1" fill="var(--el-edge, #888)"/>'
        f'<text x="0" y="34">{days[0]:%Y-%m-%d}</text>'
        f'<text x="100%" y="34" text-anchor="end">{days[-1]:%Y-%m-%d}</text></svg>'
    )


def _more(step: Step) -> str:
    """What HTML shows of a step beyond its text: colours, the text of a function."""
    if step.name == "color":
        return _ramp(step)
    if step.name == "execute":
        return f"<details><summary>source</summary><pre>{escape(step.node['arguments']['udf'])}</pre></details>"
    return ""


def _ramp(step: Step) -> str:
    """The colours of a `color` step as a bar; nothing if its palette is unknown here."""
    colours = step.node["arguments"].get("colors", "viridis")
    try:
        table = palette(colours, 9) if isinstance(colours, str) else ramp(colours, max(len(colours), 2))
    except NotFound:
        return ""
    stops = ", ".join(to_text(colour) for colour in table)
    return f'<span class="ramp" style="background: linear-gradient(to right, {stops})"></span>'


def card(title: str, kind: str, right: str, main: str, foot: str = "") -> str:
    """A frame with a heading; all but the title is HTML."""
    head = f'<b>{escape(title)}</b> <span class="kind">{kind}</span> <span class="right">{right}</span>'
    body = f'<div class="main">{main}</div>' if main else ""
    body += f'<div class="foot">{foot}</div>' if foot else ""
    style = f"<style>{_style()}</style>"
    return f'<div class="el">{style}<div class="el-repr"><header>{head}</header>{body}</div></div>'


@cache
def _style() -> str:
    return "".join((WEB / f"{name}.css").read_text("utf-8") for name in ("tokens", "repr"))


def _short(key: str) -> str:
    return f"{key[:4]} {key[4:8]}"
