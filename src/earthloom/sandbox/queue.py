"""Who runs next: few calls run at once, and of those that wait the tenant goes first who has used least of late."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from earthloom.base.errors import Busy

MEMORY_S = 60  # how long used time counts; it fades
PATIENCE = 30.0  # seconds of use that a second of waiting makes up for
MOST_WAITING, MOST_OF_TENANT = 1000, 250
RETRY_AFTER_S = 2


class Ticket:
    """One call's place: to be left when the call is over."""

    def __init__(self, queue: FairQueue, tenant: str) -> None:
        self._queue, self.tenant = queue, tenant
        self.holds_place = False
        self.began = 0.0
        self.came = 0.0  # when it began to wait
        self.called: threading.Lock | None = None  # held until it is called

    def yield_place(self) -> None:
        """Let another call run beside this one, which takes long. Its tenant is still counted as running it."""
        self._queue.yield_place(self)

    def leave(self) -> None:
        """The call is over."""
        self._queue.leave(self)


class FairQueue:
    """Places for calls that run, and tickets that wait for one.

    Parameters
    ----------
    places
        Calls that run at once.
    per_tenant
        Calls of one tenant that run at once, those that have yielded their place included.
    clock
        Seconds.
    """

    def __init__(self, places: int, per_tenant: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places, self._per_tenant, self._clock = places, per_tenant, clock
        self._lock = threading.Lock()
        self._held = 0
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[Ticket]] = {}  # in the order of arrival, by tenant
        self._used: dict[str, tuple[float, float]] = {}  # seconds of late, and when that was
        self._count = 0

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return self._count

    def enter(self, tenant: str, wait_s: float) -> Ticket:
        """Wait for a place.

        Raises
        ------
        Busy
            If none is free in time; `where["retry_after"]` says when to ask again.
        """
        ticket = Ticket(self, tenant)
        with self._lock:
            if not self._count and self._held < self._places and self._running.get(tenant, 0) < self._per_tenant:
                self._admit(ticket)
                return ticket
            if self._count >= MOST_WAITING or len(self._waiting.get(tenant, ())) >= MOST_OF_TENANT:
                raise _busy()
            ticket.called = threading.Lock()
            ticket.called.acquire()
            ticket.came = self._clock()
            self._waiting.setdefault(tenant, deque()).append(ticket)
            self._count += 1
            self._call_next()
        if not ticket.called.acquire(timeout=wait_s):
            with self._lock:
                if not ticket.holds_place:
                    self._remove(ticket)
                    raise _busy()
        return ticket

    def yield_place(self, ticket: Ticket) -> None:
        """See `Ticket.yield_place`."""
        with self._lock:
            if ticket.holds_place:
                ticket.holds_place = False
                self._held -= 1
                self._call_next()

    def leave(self, ticket: Ticket) -> None:
        """See `Ticket.leave`."""
        with self._lock:
            tenant, now = ticket.tenant, self._clock()
            if ticket.holds_place:
                ticket.holds_place = False
                self._held -= 1
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]
            self._used[tenant] = self._recent(tenant, now) + now - ticket.began, now
            if len(self._used) > MOST_WAITING:
                self._used = {t: u for t, u in self._used.items() if now - u[1] < MEMORY_S}
            if self._count:
                self._call_next()

    def _admit(self, ticket: Ticket) -> None:
        ticket.holds_place = True
        ticket.began = self._clock()
        self._held += 1
        self._running[ticket.tenant] = self._running.get(ticket.tenant, 0) + 1

    def _call_next(self) -> None:
        """Give free places to tickets that wait: to the tenant who used least of late, then to who came first there.

        Waiting counts against use, so that nobody waits long for having been alone before.
        """
        while self._count and self._held < self._places:
            now = self._clock()
            able = [t for t in self._waiting if self._running.get(t, 0) < self._per_tenant]
            if not able:
                return
            first = min(able, key=lambda t: self._recent(t, now) - PATIENCE * (now - self._waiting[t][0].came))
            ticket = self._waiting[first][0]
            self._remove(ticket)
            self._admit(ticket)
            assert ticket.called is not None
            ticket.called.release()

    def _remove(self, ticket: Ticket) -> None:
        line = self._waiting[ticket.tenant]
        line.remove(ticket)
        if not line:
            del self._waiting[ticket.tenant]
        self._count -= 1

    def _recent(self, tenant: str, now: float) -> float:
        """Seconds that a tenant used of late, fading."""
        seconds, since = self._used.get(tenant, (0.0, now))
        return seconds * math.exp((since - now) / MEMORY_S)


def _busy() -> Busy:
    return Busy(
        "Too many functions are waiting to run.",
        hint=f"Ask again in {RETRY_AFTER_S} seconds.",
        retry_after=RETRY_AFTER_S,
    )
