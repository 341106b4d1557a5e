"""A user's function as the text of a module that stands alone: its imports, constants and helpers, then the function.

The same function gives the same text in every session: what it needs is found in its code and written in a fixed order,
and what would not be the same elsewhere is refused by its name.
"""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import inspect
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.chain.libraries import check_import, import_module, import_object, installed, submodules
from earthloom.chain.literal import literal
from earthloom.chain.source import UNKNOWN, Source, dotted, source_of

_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
FILLED = re.compile(r"img|band\d+")  # global names that functions with `global img` are given


def module_text(function: Callable[..., Any]) -> tuple[str, str]:
    """The text of a module that defines a function with all that it needs, and the function's name in it.

    Parameters
    ----------
    function
        A plain function, or one that numba compiles.

    Raises
    ------
    InvalidArgument, NotFound
        If it is no such function, or needs what cannot travel; names it.
    """
    plain = plain_function(function)
    module = _Module(fills_img="img" in _stored(plain.__code__))
    name = module.define(plain)
    return module.text(), name


def plain_function(function: Any) -> FunctionType:
    """The function of Python's own behind a user's function.

    Raises
    ------
    InvalidArgument
        If it is a class, a method, a partial, a library's function, a generator or anything else.
    """
    plain = inspect.unwrap(getattr(function, "py_func", function)) if callable(function) else function
    name = getattr(plain, "__name__", None) or type(function).__name__
    why = _why_not(function, plain)
    if why:
        raise InvalidArgument(f"{name} is {why}.", hint="Write a function of your own: def f(img, ...): return ...")
    if plain is not function:
        compiled = _by_numba(function)
        # Refuses the decorator by its name, if it stands over the function.
        decorated = getattr(source_of(plain).tree, "decorator_list", [])
        if not (compiled and decorated):
            raise InvalidArgument(
                f"{name} is wrapped by another object ({type(function).__name__}) that has no text.",
                hint="Write numba's decorator over its definition." if compiled else "Give the function itself.",
            )
    assert isinstance(plain, FunctionType)
    return plain


def _why_not(function: Any, plain: Any) -> str:
    """Why something cannot travel as a function; empty if it can."""
    if not callable(function):
        return "not a function"
    if isinstance(function, functools.partial):
        return "a functools.partial, which has no text; its arguments belong into execute"
    if isinstance(function, MethodType):
        return f"a method of {_kind(function.__self__)}, which cannot travel"
    if isinstance(function, type):
        return "a class, not a function"
    home = getattr(plain, "__module__", None) or ""
    if isinstance(plain, BuiltinFunctionType | np.ufunc) or installed(home):
        library = home.partition(".")[0] or type(plain).__module__.partition(".")[0]
        return f"a function of {library}, not one of your own"
    if not isinstance(plain, FunctionType):
        return "a callable object, which cannot travel"
    flags = plain.__code__.co_flags
    if flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return "an async function; it must return an array at once"
    return "a generator; it must return an array, not yield" if flags & inspect.CO_GENERATOR else ""


def _kind(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def _by_numba(function: Any) -> bool:
    return type(function).__module__.partition(".")[0] == "numba"


@dataclass
class _Module:
    """Collects what a function needs, each under the name by which the texts call it."""

    fills_img: bool
    imports: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    functions: dict[str, Source] = field(default_factory=dict)  # each after those that it uses
    meanings: dict[str, Any] = field(default_factory=dict)  # name -> what it stands for in all the texts
    begun: dict[int, str] = field(default_factory=dict)  # id of a function -> its name

    def text(self) -> str:
        """The module."""
        lines = sorted(self.imports, key=lambda line: (line.startswith("from"), line))
        if any(_annotated(source.tree) for source in self.functions.values()):
            # Annotations need not mean anything on the server.
            lines.insert(0, "from __future__ import annotations\n")
        blocks = ["\n".join(part) + "\n" for part in (lines, sorted(self.constants)) if part]
        head = "\n".join(blocks) + ("\n\n" if blocks else "")
        body = "\n\n".join(source.text for source in self.functions.values())
        return head + body + "".join(f"\n\n{line}\n" for line in sorted(self.aliases))

    def define(self, function: FunctionType) -> str:
        """Take a function with all that it needs; its name."""
        if id(function) in self.begun:
            return self.begun[id(function)]
        _check_state(function)
        source = source_of(function)
        _check_imports(source)
        self.mean(source.name, id(function), source.name)
        self.begun[id(function)] = source.name
        needs = dict.fromkeys((*_names(function.__code__), *function.__code__.co_freevars), UNKNOWN)
        for name in sorted(needs):
            self.need(name, function, source)
        for node, value in source.outer:
            if isinstance(node, ast.Name) and value is not UNKNOWN:
                self.need(node.id, function, source, value)  # the name may mean something else by now
                continue
            for name in sorted(_names(compile(ast.Expression(node), "<default>", "eval"))):
                self.need(name, function, source)
        self.functions[source.name] = source
        return source.name

    def need(self, name: str, function: FunctionType, source: Source, value: Any = UNKNOWN) -> None:
        """Take what a name stands for in a function."""
        if self.fills_img and FILLED.fullmatch(name):
            return
        value = _meaning(name, function) if value is UNKNOWN else value
        if value is UNKNOWN:
            if name in ("np", "numpy"):
                return  # are there in every function
            raise NotFound(
                f'{source.name} uses the name "{name}", which is not defined.',
                hint="Define it before, or hand it over as an argument.",
                function=source.name,
            )
        if _is_builtin(name, value):
            return
        try:
            self.take(name, value, source)
        except (InvalidArgument, NotFound) as error:
            raise error.at(function=source.name) from None

    def take(self, name: str, value: Any, source: Source) -> None:
        if isinstance(value, ModuleType):
            self.import_(import_module(value, name), name)
            for node in ast.walk(source.tree):
                parts = dotted(node) if isinstance(node, ast.Attribute) else []
                if parts[:1] == [name]:
                    self.imports |= {f"import {inner}" for inner in submodules(value, parts[1:])}
            return
        line = import_object(value, name)
        if line:
            self.import_(line, name)
            return
        if isinstance(value, type):
            raise InvalidArgument(
                f"{name} is a class of your own, which cannot travel.",
                hint="Functions and constants can.",
                argument=name,
            )
        if isinstance(value, FunctionType) or _by_numba(value) or hasattr(value, "__wrapped__"):
            defined = self.define(plain_function(value))
            if defined != name:
                self.mean(name, defined, source.name)
                self.aliases.add(f"{name} = {defined}")
            return
        text = literal(value, name)
        self.mean(name, text, source.name)
        self.constants.add(f"{name} = {text}")
        if re.search(r"\bnumpy\.", text):
            self.import_("import numpy", "numpy")

    def import_(self, line: str, name: str) -> None:
        self.mean(name, line, name)
        self.imports.add(line)

    def mean(self, name: str, meaning: Any, where: str) -> None:
        """One name must stand for one thing in all the texts."""
        if self.meanings.setdefault(name, meaning) != meaning:
            raise InvalidArgument(
                f'"{name}" means two things in the functions that travel together.',
                hint="Give one of them another name.",
                argument=name,
            )


def _meaning(name: str, function: FunctionType) -> Any:
    if name in function.__code__.co_freevars:
        try:
            return (function.__closure__ or ())[function.__code__.co_freevars.index(name)].cell_contents
        except ValueError:
            return UNKNOWN  # not assigned yet
    return function.__globals__.get(name, vars(builtins).get(name, UNKNOWN))


def _is_builtin(name: str, value: Any) -> bool:
    if name == "open" and getattr(value, "__wrapped__", value) is io.open:
        return True  # IPython wraps it
    # IPython and others put functions of theirs among the builtins.
    return name == "__name__" or (vars(builtins).get(name, UNKNOWN) is value and not isinstance(value, FunctionType))


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all that lie in it: comprehensions, lambdas, inner functions and classes."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _names(code: CodeType) -> set[str]:
    """The names that a function looks up outside itself."""
    found = set()
    for inner in _codes(code):
        steps = list(dis.get_instructions(inner))
        own = {s.argval for s in steps if s.opname == "STORE_NAME"}  # of a class's body
        found |= {s.argval for s in steps if s.opname in _LOADS} - own
    return found


def _stored(code: CodeType) -> set[str]:
    """The global names that a function assigns or deletes."""
    changes = ("STORE_GLOBAL", "DELETE_GLOBAL")
    return {s.argval for inner in _codes(code) for s in dis.get_instructions(inner) if s.opname in changes}


def _changed(code: CodeType, outer: frozenset[str]) -> set[str]:
    """The variables of functions around it that a function changes (`nonlocal`)."""
    changes = ("STORE_DEREF", "DELETE_DEREF")
    found = {s.argval for s in dis.get_instructions(code) if s.opname in changes and s.argval in outer}
    for inner in (c for c in code.co_consts if isinstance(c, CodeType)):
        found |= _changed(inner, outer - set(code.co_cellvars))
    return found


def _check_state(function: FunctionType) -> None:
    code = function.__code__
    changed = sorted((_stored(code) - {"img"}) | _changed(code, frozenset(code.co_freevars)))
    if changed:
        raise InvalidArgument(
            f"{code.co_name} changes the variable {changed[0]} outside itself; nothing is kept from tile to tile.",
            hint="Return what it computes.",
            argument=changed[0],
            function=code.co_name,
        )


def _check_imports(source: Source) -> None:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                check_import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            check_import(node.module or "", node.level)


def _annotated(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if (isinstance(node, ast.arg) and node.annotation) or (isinstance(node, ast.FunctionDef) and node.returns):
            return True
    return False
