"""What is computed for several askers at once, and whose turn it is. All of it runs in the server's one event loop."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive

from earthloom.base.errors import Busy

RETRY_AFTER_S = 2


class Gone(Exception):
    """The asker has hung up."""


@dataclass(slots=True, eq=False)
class Job:
    """Something that is computed once, for all who wait for it.

    Parameters
    ----------
    result
        What they get.
    drop
        Takes the job back, as long as it has not begun.
    begun
        Whether it runs. It then runs to its end, even if nobody waits any more.
    """

    result: asyncio.Future[Any]
    drop: Callable[[], object]
    begun: bool = False
    waiters: int = 0


class Jobs:
    """Jobs in flight by name: who asks for what is asked for already waits for the same one."""

    def __init__(self) -> None:
        self.joined = 0
        self._jobs: dict[Hashable, Job] = {}

    async def once(self, name: Hashable, make: Callable[[], Job], receive: Receive) -> Any:
        """The result of the job with this name, made if there is none.

        A job that has not begun when the last of its waiters is cancelled, or hangs up, is dropped.

        Raises
        ------
        Gone
            If the asker hangs up, as `receive` of ASGI tells.
        """
        job = self._jobs.get(name)
        if job is None:
            job = self._jobs[name] = make()
            job.result.add_done_callback(lambda _: self._over(name, job))
        else:
            self.joined += 1
        job.waiters += 1
        try:
            # To listen costs a task; what runs already will not be dropped anyway.
            if not job.begun and await _hangs_up(job.result, receive):
                raise Gone
            # A waiter that is cancelled takes nothing from the others.
            return await asyncio.shield(job.result)
        finally:
            job.waiters -= 1
            if not job.waiters and not job.begun:
                self._jobs.pop(name, None)
                job.drop()

    def _over(self, name: Hashable, job: Job) -> None:
        if self._jobs.get(name) is job:
            del self._jobs[name]
        if not job.result.cancelled():
            job.result.exception()  # if nobody waits any more, asyncio would complain about it


@dataclass(slots=True, eq=False)
class _Waiting(Job):
    work: Callable[[], Any] = field(kw_only=True)


class FairQueue:
    """Jobs for a few threads. Users take turns, and of each user the layers, so that none starves another.

    Parameters
    ----------
    places
        How many run at once, each in a thread.
    most
        How many may wait. Of the user with the most waiting jobs, those that are more are sent away: Busy.
    """

    def __init__(self, places: int, most: int) -> None:
        self.most = most
        self.waiting = 0
        self._threads = ThreadPoolExecutor(places, "pixels")
        self._free = places
        self._lanes: OrderedDict[Hashable, OrderedDict[Hashable, deque[_Waiting]]] = OrderedDict()

    def put(self, user: Hashable, layer: Hashable, work: Callable[[], Any]) -> Job:
        """Run some work as soon as it is its turn; at once if a place is free.

        Raises
        ------
        Busy
            If too many jobs wait already, most of them this user's.
        """
        job = _Waiting(asyncio.get_running_loop().create_future(), lambda: self._drop(user, layer, job), work=work)
        if self._free:
            self._free -= 1
            self._begin(job)
            return job
        if self.waiting >= self.most:
            self._make_room(user)
        self._lanes.setdefault(user, OrderedDict()).setdefault(layer, deque()).append(job)
        self.waiting += 1
        return job

    def close(self) -> None:
        """Start no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, job: _Waiting) -> None:
        job.begun = True
        loop = asyncio.get_running_loop()

        def over(done: Future[Any]) -> None:
            if not loop.is_closed():  # a server that stops does not wait for its threads
                loop.call_soon_threadsafe(self._end, job, done)

        self._threads.submit(job.work).add_done_callback(over)

    def _end(self, job: _Waiting, done: Future[Any]) -> None:
        if self.waiting:
            self._begin(self._next())
        else:
            self._free += 1
        if job.result.done():
            return
        if done.cancelled():
            job.result.cancel()
        elif (error := done.exception()) is not None:
            job.result.set_exception(error)
        else:
            job.result.set_result(done.result())

    def _next(self) -> _Waiting:
        user, layers = next(iter(self._lanes.items()))
        layer, jobs = next(iter(layers.items()))
        job = jobs[0]
        self._lanes.move_to_end(user)
        layers.move_to_end(layer)
        self._take_out(user, layer, job)
        return job

    def _take_out(self, user: Hashable, layer: Hashable, job: _Waiting) -> None:
        layers = self._lanes[user]
        layers[layer].remove(job)
        if not layers[layer]:
            del layers[layer]
        if not layers:
            del self._lanes[user]
        self.waiting -= 1

    def _drop(self, user: Hashable, layer: Hashable, job: _Waiting) -> None:
        if not job.begun and not job.result.done():
            self._take_out(user, layer, job)
            job.result.cancel()

    def _make_room(self, user: Hashable) -> None:
        """Send the newest job away of whoever has the most, else of this user, by raising."""
        counts = {who: sum(map(len, layers.values())) for who, layers in self._lanes.items()}
        greedy = max(counts, key=counts.__getitem__, default=user)
        busy = Busy(
            f"{self.waiting} tiles wait for their turn already.",
            hint="Ask again in a moment; a map does so by itself.",
            retry_after=RETRY_AFTER_S,
        )
        if counts.get(user, 0) + 1 >= counts.get(greedy, 0):
            raise busy
        layers = self._lanes[greedy]
        layer = max(layers, key=lambda name: len(layers[name]))
        job = layers[layer][-1]
        self._take_out(greedy, layer, job)
        job.result.set_exception(busy)


async def _hangs_up(result: asyncio.Future[Any], receive: Receive) -> bool:
    """Wait for a result; whether the asker hangs up before it is there."""
    listening = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((result, listening), return_when=asyncio.FIRST_COMPLETED)
    finally:
        listening.cancel()
    return not result.done()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
