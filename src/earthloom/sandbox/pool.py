"""The workers of all tenants: which one runs a function, which is ended to make room for another."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from earthloom.base.errors import Busy
from earthloom.sandbox.function import Function
from earthloom.sandbox.settings import SandboxSettings
from earthloom.sandbox.worker import Worker

TRIM_S = 2.0
LIFE_S = 1.0  # a worker that just began is not ended for another: many tenants would only end each other's
MOST_CALLS, MOST_AGE_S, MOST_SECONDS = 10_000, 1800.0, 200.0  # after which a worker is replaced

Key = tuple[str, str]  # tenant, digest of the function


@dataclass(slots=True)
class Kept:
    """A worker that has loaded a function."""

    key: Key
    worker: Worker


class Pool:
    """Workers by tenant and function: a worker never serves two tenants, nor two functions.

    Parameters
    ----------
    settings
        Limits.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._changed = threading.Condition()
        self._idle: dict[Key, list[Kept]] = {}
        self._count: Counter[str] = Counter()  # of each tenant, those at work included
        self.total = 0
        self.evictions = 0

    def take(self, tenant: str, function: Function, load: Callable[[], Worker], wait_s: float) -> Kept:
        """A worker with this function, to be given back by `give` or `drop`.

        Parameters
        ----------
        load
            Makes a worker that has loaded the function.
        wait_s
            How long to wait for room.

        Raises
        ------
        Busy
            If there is no room for another worker.
        """
        key = tenant, function.digest
        with self._changed:
            while idle := self._idle.get(key):
                kept = idle[-1]
                if kept.worker.alive():
                    idle.pop()
                    if not idle:
                        del self._idle[key]
                    return kept
                self._end(kept)  # with its zygote, or by somebody else
            self._make_room(tenant, wait_s)
            self._count[tenant] += 1
            self.total += 1
        try:
            return Kept(key, load())
        except BaseException:
            with self._changed:
                self._forget(tenant)
            raise

    def give(self, kept: Kept) -> None:
        """The call is over; the worker is kept for the next one."""
        worker, now = kept.worker, time.monotonic()
        worn = worker.calls >= MOST_CALLS or worker.seconds >= MOST_SECONDS or now - worker.born >= MOST_AGE_S
        if worn:
            self.drop(kept)
            return
        worker.used = now
        with self._changed:
            self._idle.setdefault(kept.key, []).append(kept)
            self._changed.notify()

    def drop(self, kept: Kept) -> None:
        """The call is over, and the worker with it."""
        kept.worker.kill()
        with self._changed:
            self._forget(kept.key[0])

    def end_idle(self) -> None:
        """End workers that had no call for long; those that had none for a while keep no large arrays."""
        now = time.monotonic()
        before = now - self._settings.idle_s
        with self._changed:
            for idle in self._idle.values():
                for kept in idle:
                    if kept.worker.used < now - TRIM_S:
                        kept.worker.trim()
            for kept in [k for idle in self._idle.values() for k in idle if k.worker.used < before]:
                self._end(kept)

    def close(self) -> None:
        """End all that are idle."""
        with self._changed:
            for kept in [k for idle in self._idle.values() for k in idle]:
                self._end(kept)

    def forget(self) -> None:
        """Let go of all in a forked process."""
        for kept in [k for idle in self._idle.values() for k in idle]:
            kept.worker.forget()

    def _make_room(self, tenant: str, wait_s: float) -> None:
        """End the worker that was not used for longest: the tenant's own first, then any that lived a while."""
        end = time.monotonic() + wait_s
        while True:
            own = [k for key, idle in self._idle.items() if key[0] == tenant for k in idle]
            full = self.total >= self._settings.workers
            if not full and self._count[tenant] < self._settings.workers_per_tenant:
                return
            now = time.monotonic()
            others = (k for idle in self._idle.values() for k in idle if now - k.worker.born >= LIFE_S)
            able = own or (list(others) if self._count[tenant] < self._settings.workers_per_tenant else [])
            if able:
                self.evictions += 1
                self._end(min(able, key=lambda k: k.worker.used))
            elif now >= end:
                raise Busy("There is no room for another function.", hint="Ask again in 2 seconds.", retry_after=2)
            else:
                self._changed.wait(min(end - now, LIFE_S / 4))

    def _end(self, kept: Kept) -> None:
        idle = self._idle[kept.key]
        idle.remove(kept)
        if not idle:
            del self._idle[kept.key]
        kept.worker.kill()
        self._forget(kept.key[0])

    def _forget(self, tenant: str) -> None:
        self._count[tenant] -= 1
        if not self._count[tenant]:
            del self._count[tenant]
        self.total -= 1
        self._changed.notify()
