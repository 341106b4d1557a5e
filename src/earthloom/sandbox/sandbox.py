"""The sandbox: runs a user's function on an array, beyond the fence, for any thread of any process of ours."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base import tilefunction
from earthloom.base.errors import EarthloomError, FunctionFailed, NotSupported, Unavailable
from earthloom.base.lru import Lru
from earthloom.sandbox import levels, selftest
from earthloom.sandbox.blame import blame, too_much_memory
from earthloom.sandbox.box import Box
from earthloom.sandbox.claims import Line
from earthloom.sandbox.environment import ENVIRONMENT
from earthloom.sandbox.function import Function, check, encode, json_bytes
from earthloom.sandbox.home import AnyBox, Home
from earthloom.sandbox.logs import LogLine, Logs
from earthloom.sandbox.paths import paths_for
from earthloom.sandbox.plain import PlainBox
from earthloom.sandbox.pool import Kept, Key, Pool
from earthloom.sandbox.queue import FairQueue, Ticket
from earthloom.sandbox.report import Report
from earthloom.sandbox.settings import Level, SandboxSettings
from earthloom.sandbox.strikes import Strikes
from earthloom.sandbox.worker import Died, Failed, Worker

ATTEMPTS = 5  # of a call whose worker was ended by somebody else
PAUSE_S = 0.05  # between them: a zygote that ended takes its workers with it one by one
IMPORT_S = 30  # more time to load a function while the zygote has not loaded all libraries
TICK_S, BUSY_TICK_S = 1.0, 0.1  # of the thread that keeps boxes; while there is something to do
OPENEO = ("", *tilefunction.OPENEO)  # names of functions that need xarray

_started: weakref.WeakSet[Sandbox] = weakref.WeakSet()


class Sandbox:
    """Users' functions, isolated. Making one starts nothing; the first call does, or `start`.

    Parameters
    ----------
    settings
        Limits; the defaults if None.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self._clear()

    def _clear(self) -> None:
        settings = self.settings
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None
        self._ready, self._wake = threading.Event(), threading.Event()
        self._closed = False
        self._refusal: NotSupported | None = None
        self._report = Report(None, settings.require)
        self._homes: dict[bool, Home] = {}  # whether it is that of openEO's functions
        self._pool = Pool(settings)
        self._queue = FairQueue(settings.running, settings.running_per_tenant)
        self._strikes, self._logs = Strikes(), Logs()
        self._broken: Lru[Key, FunctionFailed] = Lru(1000)  # sources that can never be loaded
        self._counts = {"calls": 0, "errors": 0, "kills": 0, "seconds": 0.0}

    def start(self) -> None:
        """Choose the isolation by the self-test, start the box, make spare workers; libraries are loaded afterwards.

        Returns when functions can run, or when it is known that they cannot; `report` tells.
        """
        with self._lock:
            if self._closed:
                return
            if self._keeper is None:
                _started.add(self)
                self._keeper = threading.Thread(target=self._keep, name="sandbox", daemon=True)
                self._keeper.start()
        self._ready.wait()

    def call(
        self,
        tenant: str,
        function: Function,
        img: NDArray[Any],
        *,
        arguments: Mapping[str, Any],
        context: Mapping[str, Any],
        mask: NDArray[np.bool_] | None = None,
        place: str = "",
    ) -> NDArray[Any]:
        """Run a function once.

        Parameters
        ----------
        tenant
            Who asks. Workers never serve two tenants.
        function
            Its text and name.
        img
            (..., y, x), any type of `tilecontext.RESULT_TYPES`; it is copied.
        arguments
            Values by name, as `tilecontext.to_json` writes them.
        context
            What `tilecontext.context_json` writes, with `user`: the context of an openEO function.
        mask
            True where there is data, of the shape of `img`; if None, what is not NaN is data.
        place
            The tile, for the log.

        Returns
        -------
        A copy of the result without the margin: (y, x), (bands, y, x) or (t, bands, y, x), any number type or bool.

        Raises
        ------
        FunctionFailed
            If the function raises, takes too long, needs too much memory, or its result is none.
        TooLarge
            If source, arguments or array are over their limits.
        Busy
            If its turn does not come in time.
        NotSupported
            If the required isolation is not to be had.
        Unavailable
            If the sandbox is closed or cannot be started.
        """
        key = tenant, function.digest
        check(function)
        texts = encode(arguments), context
        self._raise_known(key, place)
        if not self._ready.is_set():
            self.start()
        if self._closed:
            raise Unavailable("The sandbox is closed.")
        if self._refusal is not None:
            raise NotSupported(self._refusal.message, hint=self._refusal.hint)
        ticket = self._queue.enter(tenant, self.settings.wait_s)
        try:
            self._raise_known(key, place)  # what became known while this call waited
            return self._run(key, function, img, texts, mask, ticket, place)
        except Failed as failed:
            error = too_much_memory(failed.error, self.settings.memory_bytes)
            self._note(key, place, error, failed.lines)
            raise error.at(function=function.name or None, place=place or None) from None
        except FunctionFailed as error:
            raise error.at(function=function.name or None, place=place or None) from None
        finally:
            ticket.leave()

    def logs(self, tenant: str, function: Function) -> list[LogLine]:
        """What a function printed for this tenant, oldest first."""
        return self._logs.get((tenant, function.digest))

    def note(self, tenant: str, function: Function, text: str, place: str = "") -> None:
        """Add a warning about a result to the log of a function; the same text only once."""
        self._logs.add((tenant, function.digest), place, [Line("warning", text)])

    def report(self) -> Report:
        """How isolated functions are."""
        return self._report if self._refusal is None else replace(self._report, refusal=str(self._refusal))

    def counters(self) -> dict[str, int | float]:
        """Numbers for monitoring; seconds are those of users' code."""
        homes = list(self._homes.values())
        return {
            "workers": self._pool.total,
            "spares": sum(home.spares for home in homes),
            **self._counts,
            "strikes": self._strikes.count,
            "evictions": self._pool.evictions,
            "restarts": sum(home.restarts for home in homes),
            "queue": self._queue.waiting,
        }

    def close(self) -> None:
        """End everything; a second call does nothing."""
        with self._lock:
            self._closed = True
            keeper = self._keeper
        self._wake.set()
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join()

    def _run(
        self,
        key: Key,
        function: Function,
        img: NDArray[Any],
        texts: tuple[bytes, Mapping[str, Any]],
        mask: NDArray[np.bool_] | None,
        ticket: Ticket,
        place: str,
    ) -> NDArray[Any]:
        """One call, again with another worker if somebody else ended the first."""
        arguments, context = texts
        deadline_s = self.settings.load_s
        for attempt in range(ATTEMPTS):
            kept: Kept | None = None
            try:
                kept = self._pool.take(key[0], function, lambda: self._load(key, function, place), self.settings.wait_s)
                worker = kept.worker
                deadline_s = self.settings.call_s if worker.calls else self.settings.first_s
                told = context if worker.wants_context else {"margin": context.get("margin", 0)}
                before = worker.seconds
                answer = worker.run(
                    img,
                    arguments=arguments,
                    context=b"" if told == {"margin": 0} else json_bytes(told),
                    mask=mask if worker.wants_context else None,
                    deadline_s=deadline_s,
                    slow=ticket.yield_place,
                )
            except Failed as failed:
                again = failed.unready and attempt < ATTEMPTS - 1
                if kept is not None:
                    (self._pool.drop if again else self._pool.give)(kept)
                if not again:
                    raise
                self._home(function.name in OPENEO).wait_complete(IMPORT_S)
                continue
            except Died as died:
                if kept is not None:
                    self._pool.drop(kept)
                if died.blameless and attempt < ATTEMPTS - 1:
                    time.sleep(PAUSE_S)
                    continue
                error = blame(died, deadline_s)
                self._count(kills=1)
                self._note(key, place, error, ())
                if not died.blameless:
                    self._strikes.strike(key, error)
                raise error from None
            except EarthloomError:
                if kept is not None:
                    self._pool.give(kept)
                raise
            except BaseException:  # an interrupt: the worker is still at work
                if kept is not None:
                    self._pool.drop(kept)
                raise
            self._pool.give(kept)
            self._count(calls=1, seconds=worker.seconds - before)
            self._strikes.clear(key)
            if answer.lines:
                self._logs.add(key, place, answer.lines)
            return answer.result
        raise AssertionError("the last attempt returns or raises")

    def _load(self, key: Key, function: Function, place: str) -> Worker:
        """A worker that has loaded this function."""
        home = self._home(function.name in OPENEO)
        worker = home.worker()
        try:
            loaded = worker.load(function, self.settings.load_s + (0 if home.complete else IMPORT_S))
        except Failed as failed:
            worker.kill()
            if failed.error.where.get("reason") in ("syntax", "import") and not failed.unready:
                self._broken.put(key, _again(failed.error, ""))
            raise
        except BaseException:
            worker.kill()
            raise
        if loaded.lines:
            self._logs.add(key, place, loaded.lines)
        return worker

    def _home(self, openeo: bool) -> Home:
        with self._lock:
            home = self._homes.get(openeo)
            if home is None:
                level = self._report.level
                assert level is not None
                spares = 1 if openeo else self.settings.spares
                home = Home(lambda: self._start_box(level, openeo), spares, self._wake.set)
                self._homes[openeo] = home
            return home

    def _raise_known(self, key: Key, place: str) -> None:
        """Raise what is known of a function without running it: it is stopped, or it can never be loaded."""
        self._strikes.check(key)
        broken = self._broken.get(key)
        if broken is not None:
            raise _again(broken, place)

    def _note(self, key: Key, place: str, error: FunctionFailed, lines: tuple[Line, ...]) -> None:
        self._count(errors=1)
        line = error.where.get("line")
        self._logs.add(key, place, [*lines, Line("error", error.message + (f" (line {line})" if line else ""))])

    def _count(self, **more: float) -> None:
        with self._lock:
            for name, value in more.items():
                self._counts[name] += value

    def _keep(self) -> None:
        """The thread that starts boxes and lives as long as they do."""
        try:
            try:
                self._choose()
            except Exception as problem:  # told to everybody who calls, for there is nobody here to tell
                self._refusal = NotSupported(f"Users' functions cannot run here: {problem}")
            while not self._closed and self._homes:
                homes = list(self._homes.values())
                for home in homes:
                    home.tend()
                self._ready.set()
                self._pool.end_idle()
                self._wake.wait(BUSY_TICK_S if any(home.busy() for home in homes) else TICK_S)
                self._wake.clear()
        finally:
            self._pool.close()
            for home in self._homes.values():
                home.close()
            self._ready.set()

    def _choose(self) -> None:
        """The level that holds here, and its box."""
        require = self.settings.require
        paths = paths_for(self.settings.libraries)
        chosen = levels.choose(require, paths.all_readable(), self._open, _test)
        libraries = dict(paths.versions)
        ready = chosen.level is not None
        self._report = Report(chosen.level, require, ready, chosen.fences, libraries)
        if chosen.level is None:
            missing = next((f for f in chosen.fences if not f.ok), None)
            reason = f" {missing.name}: {missing.reason}." if missing else ""
            self._refusal = NotSupported(
                f'This server does not run users\' functions: the isolation "{require}" is not to be had.{reason}',
                hint=missing.remedy if missing else "",
            )
            return
        level = chosen.level
        home = Home(lambda: self._start_box(level, False), self.settings.spares, self._wake.set, chosen.box)
        self._homes[False] = home

    def _open(self, level: Level, openeo: bool = False) -> AnyBox:
        if level == "none":
            return PlainBox(self.settings, openeo=openeo)
        return Box(level, self.settings, openeo=openeo)

    def _start_box(self, level: Level, openeo: bool) -> AnyBox:
        """A box like the one that was tested; three probes look at this one too."""
        box = self._open(level, openeo)
        if level != "none":
            try:
                broken = [probe for probe in _test(box, short=True) if not probe.ok]
                if broken:
                    raise OSError(f"the self-test did harm: {broken[0].reason}")
            except BaseException:
                box.close()
                raise
        return box

    def _forget(self) -> None:
        """In a forked process: what the other one started is not ours, and nothing of it may be used or ended."""
        self._pool.forget()
        for home in self._homes.values():
            home.forget()
        self._clear()


def _test(box: AnyBox, short: bool = False) -> list[selftest.Probe]:
    return selftest.run(box.worker, ENVIRONMENT, short=short)


def _again(error: FunctionFailed, place: str) -> FunctionFailed:
    """An error that was raised before, for another tile; without the frames of that call, its arrays and its worker."""
    return FunctionFailed(error.message, hint=error.hint, **{**error.where, "place": place or None})


def _in_child() -> None:
    for sandbox in list(_started):
        sandbox._forget()


def _at_exit() -> None:
    for sandbox in list(_started):
        sandbox.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)
