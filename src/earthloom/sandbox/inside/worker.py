"""The loop of one worker: locked before it sees any text of a user, it loads one function and runs it on arrays."""

from __future__ import annotations

import ast
import fcntl
import importlib
import json
import linecache
import mmap
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from earthloom.base import openeo_udf, tilecontext, tilefunction, tileresult
from earthloom.base.tilecontext import FunctionProblem, TileContext
from earthloom.base.tilefunction import TileFunction
from earthloom.sandbox.inside import frames, imports, problems
from earthloom.sandbox.inside.frames import Frame

REQUESTS, REPLIES = 3, 4  # descriptors of the pipes
WHOLE = "<source>"  # name of a source that the user wrote as a whole


class Printed:
    """What the function prints and warns of, cut to a length."""

    def __init__(self) -> None:
        self.left = frames.MAX_LOG
        self.parts: list[list[str]] = []  # [stream, text]
        self._warned: set[str] = set()

    def add(self, stream: str, text: str) -> None:
        """Keep a text while there is room."""
        if self.left <= 0 or not text:
            return
        if len(text) >= self.left:
            text = text[: self.left] + " ... (cut)"
        self.left -= len(text)
        if self.parts and self.parts[-1][0] == stream and stream != "warning":
            self.parts[-1][1] += text
        else:
            self.parts.append([stream, text])

    def take(self) -> list[list[str]]:
        """All that was kept; begins anew."""
        parts, self.parts, self.left = self.parts, [], frames.MAX_LOG
        return parts

    def warn(self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        """In place of `warnings.showwarning`: each warning once."""
        text = f"{category.__name__}: {message}"[: problems.MAX_MESSAGE]
        if text not in self._warned and len(self._warned) < 100:
            self._warned.add(text)
            line = linecache.getline(filename, lineno).strip() if filename.startswith("<") else ""
            self.add("warning", f"{text} ({line[:200]})" if line else text)


class Stream:
    """A text stream that keeps what is written to it."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, name: str, printed: Printed) -> None:
        self.name, self._printed = name, printed

    def write(self, text: str) -> int:
        """Keep a text."""
        self._printed.add(self.name, str(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Keep several."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False


class Worker:
    """One worker: its arena, its function, what it printed.

    Parameters
    ----------
    arena
        The shared memory, its in half first.
    half
        Size of each half [bytes].
    run_only
        Closes the door behind the load phase.
    allowed
        What may be imported.
    """

    def __init__(self, arena: mmap.mmap, half: int, run_only: Callable[[], None], allowed: imports.Allowed) -> None:
        self.arena, self.half, self.run_only, self.allowed = memoryview(arena), half, run_only, allowed
        self.printed = Printed()
        self.file, self.lines = WHOLE, list[str]()
        self.function: TileFunction | None = None
        self._arguments_text = b"{}"
        self._arguments: dict[str, Any] | None = {}

    def serve(self) -> NoReturn:
        """Answer requests until the server closes the pipe."""
        sys.stdout = sys.__stdout__ = Stream("stdout", self.printed)  # type: ignore[assignment,misc]
        sys.stderr = sys.__stderr__ = Stream("stderr", self.printed)  # type: ignore[assignment,misc]
        warnings.showwarning = self.printed.warn  # type: ignore[assignment]
        self._warm()
        self._reply(Frame(0, frames.READY))
        while len(data := os.read(REQUESTS, frames.SIZE)) == frames.SIZE:
            request = frames.unpack(data)
            try:
                reply = self._load(request) if request.kind == frames.LOAD else self._run(request)
            except BaseException as error:
                whole = self.file == WHOLE
                problem = problems.of(error, self.file, self.lines, self.allowed, whole=whole)
                reply = self._failed(request.nonce, problem)
                del error
            self._reply(reply)
        os._exit(0)

    def _load(self, request: Frame) -> Frame:
        """Read the source, load its libraries, close the door, execute it, find the function."""
        source, name = json.loads(bytes(self.arena[request.text_at : request.text_at + request.first]))
        self.file, self.lines = f"<{name}>" if name else WHOLE, source.splitlines()
        tree = ast.parse(source, self.file)
        imports.preload(tree, self.allowed)
        self.run_only()
        del tree
        linecache.cache[self.file] = len(source), None, source.splitlines(keepends=True), self.file
        space = tilefunction.namespace()
        exec(compile(source, self.file, "exec", dont_inherit=True), space)
        try:
            self.function = TileFunction.find(space, name)
        except FunctionProblem as problem:
            return self._failed(
                request.nonce, problems.of(problem, self.file, self.lines, self.allowed) | {"reason": "syntax"}
            )
        openeo = self.function.convention in tilefunction.OPENEO.values()
        return self._done(request.nonce, {"context": self.function.wants_context or openeo})

    def _run(self, request: Frame) -> Frame:
        """The function on the array of the in half; its result goes to the out half."""
        assert self.function is not None
        shape, dtype = request.shape, frames.DTYPES[request.dtype]
        img = np.ndarray(shape, dtype, self.arena, frames.DATA)
        middle = request.text_at + request.first
        text = bytes(self.arena[request.text_at : middle])
        if text != self._arguments_text:
            self._arguments_text, self._arguments = text, _constant(text)
        arguments = tilecontext.from_json(json.loads(text)) if self._arguments is None else dict(self._arguments)
        told = json.loads(bytes(self.arena[middle : middle + request.second])) if request.second else {}
        context = None
        if "crs" in told:
            mask = np.ndarray(shape, bool, self.arena, frames.DATA + img.nbytes) if request.mask else None
            context = TileContext.from_json(told, img, mask)
        result = self.function.call(img, arguments, context, told.get("user"))
        given = np.ndarray(shape, dtype, self.arena, frames.DATA)  # whatever became of the shape of `img`
        result = tileresult.checked(result, given, told.get("margin", 0))
        room = self.half - frames.DATA - frames.OUT_TEXT
        if result.nbytes > room:
            raise FunctionProblem(f"The result has {result.nbytes} bytes; at most {room} can be handed back.")
        np.copyto(np.ndarray(result.shape, result.dtype, self.arena, self.half + frames.DATA), result)
        text_bytes = self._text({}) if self.printed.parts else 0
        return Frame(request.nonce, frames.DONE, frames.CODES[result.dtype], result.shape, first=text_bytes)

    def _done(self, nonce: int, text: dict[str, Any]) -> Frame:
        return Frame(nonce, frames.DONE, first=self._text(text))

    def _failed(self, nonce: int, problem: problems.Problem) -> Frame:
        return Frame(nonce, frames.FAILED, first=self._text({"error": problem}))

    def _text(self, text: dict[str, Any]) -> int:
        """Leave a text and what was printed at the end of the out half; its length."""
        data = json.dumps(text | {"log": self.printed.take()}).encode()[: frames.OUT_TEXT]
        at = 2 * self.half - frames.OUT_TEXT
        self.arena[at : at + len(data)] = data
        return len(data)

    def _reply(self, frame: Frame) -> None:
        os.write(REPLIES, frames.pack(frame))

    def _warm(self) -> None:
        """Touch what a call touches, while nobody waits: pages that are shared with the zygote are copied at once."""
        img = np.ndarray((2, 256, 256), "<f4", self.arena, frames.DATA)
        img[...] = 1
        out = np.ndarray((256, 256), "<f4", self.arena, self.half + frames.DATA)
        source = "import numpy as np\ndef f(img, n=1):\n    return img[0] / (img[1] - n)\n"
        space = tilefunction.namespace()
        imports.preload(ast.parse(source), self.allowed)
        exec(compile(source, "<warm>", "exec", dont_inherit=True), space)
        function = TileFunction.find(space, "f")
        out[...] = tileresult.checked(function.call(img, {"n": 0}), img, 0)
        try:
            function.call(img, {"n": "x"})
        except Exception as error:
            problems.of(error, "<warm>", source.splitlines(), self.allowed)
        self._text({})


def _constant(text: bytes) -> dict[str, Any] | None:
    """Arguments that no call can change, decoded once; None if lists, dictionaries or arrays are among them."""
    values = json.loads(text)
    if any(isinstance(v, list | dict) for v in values.values()):
        return None
    return dict(values)


def begin(
    ends: tuple[int, int, int],
    half: int,
    lock: Callable[[], None],
    run_only: Callable[[], None],
    allowed: imports.Allowed,
    keep: tuple[int, ...] = (),
) -> NoReturn:
    """Become a worker, for good.

    Parameters
    ----------
    ends
        Descriptors: requests to read, replies to write, the arena.
    half
        Size of each half of the arena [bytes].
    lock, run_only
        The fences: before any text of a user, and before it runs.
    allowed
        What may be imported.
    keep
        Descriptors that `lock` needs.
    """
    # High numbers first, so that none is overwritten before it is in its place.
    requests, replies, memory = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 100) for end in ends)
    arena = mmap.mmap(memory, 2 * half)
    os.dup2(requests, REQUESTS)
    os.dup2(replies, REPLIES)
    for descriptor in range(5, 256):
        if descriptor not in keep:
            _close(descriptor)
    worker = Worker(arena, half, run_only, allowed)
    try:
        lock()
    except OSError as problem:
        frame = worker._failed(0, {"reason": "killed", "message": f"The fence does not hold: {problem}"})
        worker._reply(frame)
        os._exit(1)
    worker.serve()


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return


def begin_plain(
    ends: tuple[int, int, int], half: int, packages: Sequence[str], libraries: Sequence[str], openeo: bool
) -> NoReturn:
    """Become a worker that nothing isolates, in a process of its own. See `begin`."""
    for name in imports.LAZY:
        importlib.import_module(name)
    if openeo:
        openeo_udf.install()
    allowed = imports.Allowed(packages, libraries)
    allowed.install()
    begin(ends, half, lambda: None, lambda: None, allowed)
