"""What went wrong in a user's function, in words and with the user's own lines: nothing of the server's files."""

from __future__ import annotations

import re
import traceback
from types import TracebackType
from typing import Any

from earthloom.base.tilecontext import FunctionProblem
from earthloom.sandbox.inside.frames import MAX_ERROR
from earthloom.sandbox.inside.imports import Allowed

MAX_MESSAGE = 2000
MAX_FRAMES = 20

Problem = dict[str, Any]  # reason, message, hint, function (that of the line), line, traceback


def of(error: BaseException, file: str, lines: list[str], allowed: Allowed, *, whole: bool = False) -> Problem:
    """An exception of the user's code.

    Parameters
    ----------
    error
        Anything raised, also by the function's own exit.
    file
        The name under which the source was compiled.
    lines
        The lines of the source.
    allowed
        What may be imported.
    whole
        Whether the user wrote the source as a whole. Lines are then counted in it; else in the function itself, for
        what stands before it was put there by the client.
    """
    if isinstance(error, FunctionProblem):
        return {"reason": "result", "message": error.message[:MAX_MESSAGE], "hint": error.hint[:MAX_MESSAGE]}
    if isinstance(error, SyntaxError) and error.filename == file:
        return syntax(error, lines)
    text, hint = allowed.explain(error) if isinstance(error, ImportError) else (_text(error), _hint(error))
    message = f"{type(error).__name__}: {text}".rstrip(": ")[:MAX_MESSAGE]
    frames = _own_frames(error.__traceback__, file, lines, whole)
    trace = "\n".join([*(text for _, _, text in frames[-MAX_FRAMES:]), message])
    name, line = frames[-1][:2] if frames else ("", None)
    return {
        "reason": _reason(error),
        "message": message,
        "hint": hint,
        "function": name,
        "line": line,
        "traceback": trace[-MAX_ERROR:],
    }


def syntax(error: SyntaxError, lines: list[str]) -> Problem:
    """A source that is not Python: its line, its column, and the repair where it is known."""
    number, column = error.lineno or 0, error.offset or 0
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    hint = ""
    assigned = re.match(r"\s*return\s+(\w+)(\[.*?\])\s*=(?!=)\s*(.+)", line)
    if assigned:
        name, index, value = assigned.groups()
        hint = (
            f"An assignment gives no value to return. Write two lines: {name}{index} = {value.strip()}; return {name}."
        )
    mark = f"\n    {' ' * (column - 1)}^" if column else ""
    return {
        "reason": "syntax",
        "message": f"The source is not Python: {error.msg} in line {number}, column {column}: {line.strip()}"[
            :MAX_MESSAGE
        ],
        "hint": hint,
        "line": number,
        "traceback": f"  line {number}\n    {line}{mark}\nSyntaxError: {error.msg}"[:MAX_ERROR],
    }


def _own_frames(trace: TracebackType | None, file: str, lines: list[str], whole: bool) -> list[tuple[str, int, str]]:
    """For each frame of the user's: the function, the line in it, and both as text with the line itself."""
    found: list[tuple[str, int, str]] = []
    first, name = 1, ""
    for frame, number in traceback.walk_tb(trace):
        code = frame.f_code
        if code.co_filename != file:
            continue
        text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        # A comprehension belongs to the function around it.
        if not name or not code.co_name.startswith("<"):
            first, name = code.co_firstlineno, code.co_name
        if whole or name == "<module>":
            found.append((code.co_name.strip("<>"), number, f"  line {number}, in {code.co_name}\n    {text}"))
        else:
            line = number - first + 1
            found.append((name.strip("<>"), line, f"  line {line} of {name}\n    {text}"))
    return found


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # the user's own __str__ may raise anything
        return "(its text cannot be shown)"


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "memory"
    return "import" if isinstance(error, ImportError) else "exception"


def _hint(error: BaseException) -> str:
    if isinstance(error, OSError):
        return "A function reaches no files, no network and no other programs; it gets its input as an array."
    if isinstance(error, RuntimeError) and "start new thread" in _text(error):
        return "A function runs on one thread."
    if isinstance(error, MemoryError):
        return "Work in parts, or in a smaller type such as float32."
    return ""
