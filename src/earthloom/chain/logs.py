"""What a user's functions printed, as a list that reads well in a notebook."""

from __future__ import annotations

from html import escape
from typing import Any

from earthloom.chain import show

LONGEST = 200  # lines that are shown; the list holds all


class Logs(list[dict[str, Any]]):
    """Lines of the log: `time` (ISO, UTC), `place` (zoom/column/row), `stream`, `text`; in the order of time."""

    def __repr__(self) -> str:
        return "\n".join(
            [self._title(), *(f"  {_time(line)}  {_place(line):<16}  {_text(line)}" for line in self._shown())]
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<dt title="{escape(str(line["time"]))}">{escape(f"{_time(line)} {_place(line)}")}</dt>'
            f"<dd><code>{escape(_text(line))}</code></dd>"
            for line in self._shown()
        )
        return show.card("Logs", "", self._title(), f"<dl>{rows}</dl>" if rows else "")

    def _shown(self) -> list[dict[str, Any]]:
        return self[-LONGEST:]

    def _title(self) -> str:
        if not self:
            return "Nothing was printed."
        left = len(self) - LONGEST
        return f"{len(self)} line{'s' if len(self) != 1 else ''}" + (f", the last {LONGEST} shown" if left > 0 else "")


def _time(line: dict[str, Any]) -> str:
    """The time of day, UTC."""
    return str(line["time"])[11:19]


def _place(line: dict[str, Any]) -> str:
    return str(line.get("place") or "")


def _text(line: dict[str, Any]) -> str:
    kind = str(line["stream"])
    return ("" if kind == "stdout" else f"{kind}: ") + str(line["text"])
