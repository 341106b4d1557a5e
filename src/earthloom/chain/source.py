"""The text of a function as its author wrote it: dedented, without the line that declares it as a tile function."""

from __future__ import annotations
import __future__

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from earthloom.base.errors import InvalidArgument
from earthloom.chain.declare import tile_function

FUTURE_ANNOTATIONS = __future__.annotations.compiler_flag
NUMBA_DECORATORS = ("jit", "njit", "vectorize")

Definition = ast.FunctionDef | ast.Assign


@dataclass(frozen=True, slots=True)
class Source:
    """A function's text.

    Parameters
    ----------
    name
        The name that it defines.
    text
        The definition, with decorators of numba, ending in a line feed.
    tree
        The same, parsed.
    outer
        Expressions of the definition itself: defaults with their values, decorators with `UNKNOWN`.
    """

    name: str
    text: str
    tree: Definition
    outer: tuple[tuple[ast.expr, Any], ...]


class _Unknown:
    """Stands for a value that must be looked up; None is a value."""


UNKNOWN = _Unknown()


def source_of(function: FunctionType) -> Source:
    """The text of a function.

    Parameters
    ----------
    function
        A plain function, or a lambda that is alone on its line: `f = lambda img: img * 2`.

    Raises
    ------
    InvalidArgument
        If there is no text, if it is not that of the function, or if another decorator stands over it.
    """
    name = function.__code__.co_name
    lines = _lines(function)
    shift = 0
    if lines[0][:1].isspace():  # defined inside something
        lines, shift = ["if True:\n", *lines], 1
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        raise _no_definition(name) from None
    body = tree.body[0].body if shift and isinstance(tree.body[0], ast.If) else tree.body
    definition = _definition(body, name)
    dropped = set(range(1, shift + 1))
    for decorator in getattr(definition, "decorator_list", []):
        if _is_tile_function(decorator, function):
            dropped |= set(range(decorator.lineno, (decorator.end_lineno or decorator.lineno) + 1))
        else:
            _check_decorator(decorator, function)
    text = _tidy(lines, definition, dropped, shift)
    tidy = ast.parse(text).body[0]
    assert isinstance(tidy, Definition)
    _check_same(function, text)
    defined = tidy.name if isinstance(tidy, ast.FunctionDef) else _target(tidy)
    return Source(defined, text, tidy, tuple(_outer(tidy, function)))


def _lines(function: FunctionType) -> list[str]:
    try:
        return inspect.getsourcelines(function)[0]
    except (OSError, SyntaxError, IndexError):
        raise InvalidArgument(
            f"The text of {function.__name__} cannot be found: it was made by exec, in a cell with %%time or the like, "
            "or its file is gone.",
            hint="Define it in a cell or a file of its own; its text travels to the server.",
        ) from None


def _no_definition(name: str) -> InvalidArgument:
    if name == "<lambda>":
        return InvalidArgument(
            "A lambda must stand alone on its line, or its text cannot be told from what is around it.",
            hint="Write def f(img): return ..., or f = lambda img: ... on a line of its own.",
        )
    return InvalidArgument(
        f"The text found for {name} is not what runs here: its file has changed since it was imported, or a tool such "
        "as a test runner changed its code.",
        hint="Import it again, or run its cell again.",
    )


def _definition(body: list[ast.stmt], name: str) -> Definition:
    found = body[0] if len(body) == 1 else None
    if isinstance(found, ast.FunctionDef) and found.name == name:
        return found
    if name == "<lambda>" and isinstance(found, ast.Assign) and _target(found):
        lambdas = [n for n in ast.walk(found) if isinstance(n, ast.Lambda)]
        if lambdas == [found.value]:
            return found
    raise _no_definition(name)


def _target(statement: ast.Assign) -> str:
    """The one name that an assignment gives; empty if it is more."""
    target = statement.targets[0] if len(statement.targets) == 1 else None
    return target.id if isinstance(target, ast.Name) else ""


def dotted(node: ast.expr) -> list[str]:
    """The parts of `a.b.c`; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _value(decorator: ast.expr, function: FunctionType) -> Any:
    """The object that decorates, or `UNKNOWN`."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    first, *rest = dotted(called) or [""]
    value = function.__globals__.get(first, UNKNOWN)
    for part in rest:
        value = getattr(value, part, UNKNOWN)
    return value


def _is_tile_function(decorator: ast.expr, function: FunctionType) -> bool:
    value = _value(decorator, function)
    if value is UNKNOWN:  # imported inside the function around this one
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        return dotted(called)[-1:] == ["tile_function"]
    return value is tile_function


def _check_decorator(decorator: ast.expr, function: FunctionType) -> None:
    value = _value(decorator, function)
    home = getattr(value, "__module__", None) or ""
    if home.partition(".")[0] == "numba" and getattr(value, "__name__", "") in NUMBA_DECORATORS:
        return
    name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    raise InvalidArgument(
        f"{function.__name__} has the decorator {name}, which cannot travel with it.",
        hint=f"tile_function and numba's {', '.join(NUMBA_DECORATORS)} can.",
    )


def _tidy(lines: list[str], definition: Definition, dropped: set[int], shift: int) -> str:
    """The lines of a definition without its indentation, dropped lines and trailing blanks.

    Lines inside a text of several lines stay as they are, for they are its value; docstrings are none.
    """
    documentation = {
        id(n.value) for n in ast.walk(definition) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
    }
    inside: set[int] = set()  # lines that begin inside a text
    for node in ast.walk(definition):
        text = isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        )
        if text and id(node) not in documentation:
            assert isinstance(node, ast.expr)
            inside |= set(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    first = lines[shift]
    indent = first[: len(first) - len(first.lstrip())]
    kept = []
    for number, line in enumerate(lines, 1):
        if number in dropped:
            continue
        line = line.rstrip("\r\n")
        if number not in inside:
            line = line[len(indent) :] if line.startswith(indent) else line.lstrip()
        kept.append(line if number + 1 in inside else line.rstrip())
    return "\n".join(kept).rstrip("\n") + "\n"


def _check_same(function: FunctionType, text: str) -> None:
    """Whether the text is that of the function: a file may have changed since it was imported."""
    flags = function.__code__.co_flags & FUTURE_ANNOTATIONS
    module = compile(text, "<function>", "exec", flags=flags, dont_inherit=True)
    name = function.__code__.co_name
    found = [c for c in module.co_consts if isinstance(c, CodeType) and c.co_name == name]
    if [_traits(c) for c in found] != [_traits(function.__code__)]:
        raise _no_definition(name)


def _traits(code: CodeType) -> tuple[Any, ...]:
    """What two compilations of one text have in common, wherever it stands: names and numbers."""
    names = {*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars}
    # From Python 3.13 on the number of its line is one of those of a class.
    placed = "__firstlineno__" in names
    numbers = [] if placed else [repr(c) for c in code.co_consts if isinstance(c, int | float | complex)]
    return names, numbers, [_traits(c) for c in code.co_consts if isinstance(c, CodeType)]


def _outer(definition: Definition, function: FunctionType) -> Iterator[tuple[ast.expr, Any]]:
    arguments = definition.args if isinstance(definition, ast.FunctionDef) else getattr(definition.value, "args", None)
    assert isinstance(arguments, ast.arguments)
    yield from zip(arguments.defaults, function.__defaults__ or (), strict=False)
    by_name = function.__kwdefaults__ or {}
    for argument, node in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if node is not None:
            yield node, by_name.get(argument.arg, UNKNOWN)
    for decorator in getattr(definition, "decorator_list", []):
        yield decorator, UNKNOWN
