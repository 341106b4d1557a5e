"""How much one name may ask: requests a second, and time at work a minute. Each process counts for itself."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earthloom.base.errors import TooManyRequests
from earthloom.base.lru import Lru
from earthloom.server.settings import PeopleOptions

_NAMES = 10_000
_MS = re.compile(r"dur=([0-9.]+)")


class Bucket:
    """A bucket that fills by itself and is taken from: the usual token bucket, which may be overdrawn.

    Parameters
    ----------
    size
        What it holds at most, and at first.
    per_s
        What comes in each second.
    now
        The time [s].
    """

    def __init__(self, size: float, per_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self.size, self.per_s, self._now = size, per_s, now
        self._level, self._at = size, now()

    def take(self, amount: float) -> None:
        """Take something out, also if it is not there."""
        self._fill()
        self._level -= amount

    def wait_s(self, amount: float) -> float:
        """How long until so much is in it; 0 if it is already."""
        self._fill()
        return max(0.0, (min(amount, self.size) - self._level) / self.per_s)

    def _fill(self) -> None:
        now = self._now()
        self._level = min(self.size, self._level + (now - self._at) * self.per_s)
        self._at = now


class Limits:
    """ASGI wrapper: answers 429 to a name that asks for more than its share. Without limits it does nothing.

    What a request costs is known only when it is answered, so the bucket of work may be overdrawn, and what is missing
    is waited for. The cost is what the header `Server-Timing` tells, for a tile that waits for its turn costs nothing
    meanwhile; without that header, the time until the answer.
    """

    def __init__(self, app: ASGIApp, options: PeopleOptions) -> None:
        self.app, self.requests, self.burst, self.ms = (
            app,
            options.limit_requests,
            options.limit_burst,
            options.limit_ms,
        )
        self._requests: Lru[str, Bucket] = Lru(_NAMES)
        self._work: Lru[str, Bucket] = Lru(_NAMES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = scope["principal"]
            if self.requests is not None:
                requests = _of(self._requests, name, self.burst, self.requests)
                if wait := requests.wait_s(1):
                    raise _too_many(f"{name} may ask {self.requests:g} times a second.", wait)
                requests.take(1)
            if self.ms is not None:
                work = _of(self._work, name, self.ms, self.ms / 60)
                if wait := work.wait_s(1):
                    raise _too_many(f"{name} may keep this server at work for {self.ms} ms a minute.", wait)
                await self._count(work, scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _count(self, work: Bucket, scope: Scope, receive: Receive, send: Send) -> None:
        started, told = time.perf_counter(), None

        async def watched(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                timing = Headers(raw=message.get("headers", [])).get("server-timing")
                told = None if timing is None else sum(map(float, _MS.findall(timing)))
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            work.take((time.perf_counter() - started) * 1e3 if told is None else told)


def _of(buckets: Lru[str, Bucket], name: str, size: float, per_s: float) -> Bucket:
    bucket = buckets.get(name)
    if bucket is None:
        bucket = Bucket(size, per_s)
        buckets.put(name, bucket)
    return bucket


def _too_many(what: str, wait: float) -> TooManyRequests:
    after = math.ceil(wait)
    return TooManyRequests(what, hint=f"Ask again in {after} s.", retry_after=after)
