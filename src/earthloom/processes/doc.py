"""Docstrings in numpydoc form, read into texts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Documentation:
    """The texts of a process."""

    summary: str
    description: str
    parameters: dict[str, str]
    returns: str


def read_docstring(function: Callable[..., Any]) -> Documentation:
    """Summary, description, parameters and result of a numpydoc docstring.

    Raises
    ------
    TypeError
        If there is no docstring.
    """
    text = inspect.getdoc(function)
    if not text:
        raise TypeError(f"{function.__name__} has no docstring")
    sections = _sections(text)
    head = sections[""].split("\n\n", 1)
    parameters: dict[str, str] = {}
    names: list[str] = []
    for line in sections.get("Parameters", "").splitlines():
        if line and not line.startswith(" "):
            names = [n.strip() for n in line.split(",")]
        elif line:
            for name in names:
                parameters[name] = (parameters.get(name, "") + " " + line.strip()).strip()
    return Documentation(
        summary=_flow(head[0]),
        description="\n\n".join(_flow(p) for p in head[1].split("\n\n")) if len(head) > 1 else "",
        parameters=parameters,
        returns=_flow(sections.get("Returns", "")),
    )


def _sections(text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {"": []}
    current = ""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        underline = lines[i + 1] if i + 1 < len(lines) else ""
        if line and set(underline) == {"-"} and len(underline) >= 3:
            current = line.strip()
            found[current] = []
        elif not (set(line) == {"-"} and current):
            found[current].append(line)
    return {name: "\n".join(body).strip("\n") for name, body in found.items()}


def _flow(text: str) -> str:
    return " ".join(text.split())
