"""A function given as text: read, with an answer to what the original's slides print, and made a real function."""

from __future__ import annotations

import ast
import itertools
import linecache
from collections.abc import Callable
from typing import Any

from earthloom.base.errors import FunctionFailed
from earthloom.base.tilefunction import namespace

_count = itertools.count(1)


def function_in(given: Callable[..., Any] | str) -> Callable[..., Any]:
    """The function itself, or the last one that a text defines.

    Raises
    ------
    FunctionFailed
        If the text is not Python, which also shows the repair of `return img[...] = 0`; or if it defines no function.
    """
    if not isinstance(given, str):
        return given
    try:
        module = ast.parse(given)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise FunctionFailed(
            f"The function is not Python: {error.msg}.",
            hint=_repair(line),
            reason="syntax",
            line=error.lineno,
            traceback=f"line {error.lineno}\n    {line}",
        ) from None
    names = [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
    if not names:
        raise FunctionFailed("The text defines no function.", hint="Write def f(img, ...).", reason="syntax")
    # Under this name tracebacks and `inspect.getsource` find the lines.
    file = f"<function {next(_count)}>"
    linecache.cache[file] = (len(given), None, given.splitlines(keepends=True), file)
    names_in_it = namespace()
    exec(compile(given, file, "exec"), names_in_it)
    found: Callable[..., Any] = names_in_it[names[-1]]
    return found


def _repair(line: str) -> str:
    """What to write instead of `return a[...] = b`; empty for other lines."""
    keyword, _, rest = line.partition(" ")
    if keyword != "return":
        return ""
    try:
        statement = ast.parse(rest.strip()).body
    except SyntaxError:
        return ""
    if len(statement) != 1 or not isinstance(statement[0], ast.Assign | ast.AugAssign):
        return ""
    target = statement[0].targets[0] if isinstance(statement[0], ast.Assign) else statement[0].target
    while isinstance(target, ast.Subscript | ast.Attribute):
        target = target.value
    return f'An assignment gives no value. Write two lines: "{rest.strip()}" and "return {ast.unparse(target)}".'
