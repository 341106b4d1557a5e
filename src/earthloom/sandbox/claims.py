"""What a worker says in words: cut, made harmless to show, and of the expected types, whatever was sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earthloom.base.errors import FunctionFailed
from earthloom.sandbox.inside import frames

Document = Mapping[str, Any]

REASONS = ("exception", "memory", "killed", "result", "import", "syntax")
STREAMS = ("stdout", "stderr", "warning")
MAX_MESSAGE = 2000
MAX_LINES = 1000  # of one call
MAX_NAME = 100
# All control characters but tab and line end, and those that turn the direction of text.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line that was printed."""

    stream: str
    text: str


def clean(text: Any, most: int) -> str:
    """A text as it may be shown: at most `most` characters, control characters as escapes."""
    if not isinstance(text, str):
        return ""
    return _HARMFUL.sub(lambda m: f"\\x{ord(m.group()):02x}", text[:most].replace("\r\n", "\n"))


def lines(document: Document) -> tuple[Line, ...]:
    """The lines printed in a call."""
    found: list[Line] = []
    left = frames.MAX_LOG + 1000
    parts = document.get("log")
    for part in parts if isinstance(parts, list) else ():
        if not (isinstance(part, list) and len(part) == 2 and part[0] in STREAMS) or left <= 0:
            break
        text = clean(part[1], left)
        left -= len(text)
        whole = [text] if part[0] == "warning" else text.splitlines()
        found += [Line(part[0], line) for line in whole]
        if len(found) >= MAX_LINES:
            break
    return tuple(found[:MAX_LINES])


def problem(document: Document) -> FunctionFailed:
    """The error of a function that gave no result."""
    told = document.get("error")
    told = told if isinstance(told, dict) else {}
    reason, line = told.get("reason"), told.get("line")
    return FunctionFailed(
        clean(told.get("message"), MAX_MESSAGE) or "The function failed without saying why.",
        hint=clean(told.get("hint"), MAX_MESSAGE),
        reason=reason if reason in REASONS else "exception",
        function=clean(told.get("function"), MAX_NAME) or None,
        line=line if isinstance(line, int) and 0 < line < 1 << 20 else None,
        traceback=clean(told.get("traceback"), frames.MAX_ERROR) or None,
    )
