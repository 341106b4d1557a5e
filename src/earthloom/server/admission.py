"""How many requests of one tenant compute at once, where they run that tenant's own code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from earthloom.base.errors import Busy

RETRY_AFTER_S = 5


class Admission:
    """Lets some requests of each tenant in; others of that tenant wait in turn, without a thread.

    Parameters
    ----------
    each
        Requests of one tenant that are inside at once.
    wait_s
        How long a request waits before it is sent away.
    """

    def __init__(self, each: int, wait_s: float) -> None:
        self.each, self.wait_s = each, wait_s
        # Never taken out: there are as many as names with a token.
        self._doors: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def enter(self, tenant: str) -> AsyncIterator[None]:
        """Be inside; Busy if that is not possible in time."""
        door = self._doors.setdefault(tenant, asyncio.Semaphore(self.each))
        try:
            async with asyncio.timeout(self.wait_s):
                await door.acquire()
        except TimeoutError:
            raise Busy(
                f"Your functions keep {self.each} requests at work, and this one has waited {self.wait_s:g} s.",
                hint="Make the function quicker, or ask again later.",
                retry_after=RETRY_AFTER_S,
            ) from None
        try:
            yield
        finally:
            door.release()
