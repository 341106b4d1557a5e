"""A legend as a picture, for reports and other programs' maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

WIDTH, BAR, ROW, EDGE = 260, 14, 20, 10
INK = "#24292f"
CHANNELS = ("#c62828", "#2e7d32", "#1565c0")


def legend_svg(document: Mapping[str, Any]) -> str:
    """The SVG of a legend that `earthloom.engine.legend.legend` made."""
    if document["kind"] == "ramp":
        return _ramp(document)
    if document["kind"] == "classes":
        rows = [(entry["colour"], str(entry["label"])) for entry in document["classes"]]
        return _rows(str(document["quantity"]), rows)
    named = zip(("red", "green", "blue"), CHANNELS, document["channels"], strict=True)
    rows = [
        (colour, f"{name}: {channel['band']}, {_number(channel['range'][0])} to {_number(channel['range'][1])}")
        for name, colour, channel in named
    ]
    return _rows(_title(document), rows)


def _ramp(document: Mapping[str, Any]) -> str:
    low, high = document["range"]
    span = high - low or 1.0
    stops = "".join(
        f'<stop offset="{(value - low) / span:.4f}" {_colour("stop", colour)}/>' for value, colour in document["stops"]
    )
    place = f'x="{EDGE}" y="{ROW + EDGE}" width="{WIDTH - 2 * EDGE}" height="{BAR}"'
    bar = f'<rect {place} fill="url(#ramp)" stroke="{INK}" stroke-opacity=".3"/>'
    y = ROW + EDGE + BAR + 16
    ends = _text(EDGE, y, _number(low)) + _text(WIDTH // 2, y, _number((low + high) / 2), "middle")
    ends += _text(WIDTH - EDGE, y, _number(high), "end")
    gradient = f'<defs><linearGradient id="ramp">{stops}</linearGradient></defs>'
    return _svg(y + EDGE, gradient + _text(EDGE, EDGE + 12, _title(document)) + bar + ends)


def _rows(title: str, rows: list[tuple[str, str]]) -> str:
    parts = [_text(EDGE, EDGE + 12, title)]
    for i, (colour, label) in enumerate(rows, 1):
        y = EDGE + i * ROW
        box = f'<rect x="{EDGE}" y="{y + 3}" width="14" height="14" {_colour("fill", colour)}'
        parts += [f'{box} stroke="{INK}" stroke-opacity=".3"/>', _text(EDGE + 22, y + 14, label)]
    return _svg((len(rows) + 1) * ROW + 2 * EDGE, "".join(parts))


def _svg(height: int, inside: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12">{inside}</svg>'
    )


def _text(x: int, y: int, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" fill="{INK}" text-anchor="{anchor}">{escape(text)}</text>'


def _title(document: Mapping[str, Any]) -> str:
    quantity, unit = str(document["quantity"]), str(document["unit"])
    return f"{quantity} [{unit}]" if unit else quantity


def _colour(what: str, colour: str) -> str:
    """`#rrggbb` or `#rrggbbaa` as attributes: not every program knows the form with alpha."""
    name, opacity = ("stop-color", "stop-opacity") if what == "stop" else ("fill", "fill-opacity")
    alpha = int(colour[7:9] or "ff", 16) / 255
    return f"{name}={quoteattr(colour[:7])} {opacity}={quoteattr(f'{alpha:.3g}')}"


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
