"""A box that is started when it is needed and again when it has ended, with spare workers ready for new functions."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from earthloom.base.errors import Unavailable
from earthloom.sandbox.worker import Worker

DAY_S = 86400.0  # after which a zygote is replaced: its address layout is that of all its workers
REFILL_S = 0.05  # a spare is made when the function that took the last one has had its first tile
START_S = 30
RESTARTS, WITHIN_S = 5, 60  # of a box that keeps ending


class AnyBox(Protocol):
    """What `box.Box` and `plain.PlainBox` have in common."""

    def worker(self) -> Worker: ...
    def preload(self) -> None: ...
    def complete(self) -> bool: ...
    def alive(self) -> bool: ...
    def close(self) -> None: ...
    def forget(self) -> None: ...


class Home:
    """One kind of box, kept running. `tend` is called again and again by one thread, which alone starts boxes.

    A box ends with the thread that started it: the kernel sees to it, so that no worker outlives the server.

    Parameters
    ----------
    start
        Starts a box.
    spares
        Workers to keep ready.
    wake
        Makes `tend` be called soon.
    box
        One that runs already.
    """

    def __init__(
        self, start: Callable[[], AnyBox], spares: int, wake: Callable[[], None], box: AnyBox | None = None
    ) -> None:
        self._start, self._wanted, self._wake = start, spares, wake
        self._box = box
        self._born = time.monotonic()
        self._changed = threading.Condition()
        self._spares: deque[Worker] = deque()
        self.complete = False  # the spares were forked from a zygote that has loaded everything
        self._taken = 0.0  # when the last spare was
        self._starts: deque[float] = deque(maxlen=RESTARTS)
        self._began = box is not None
        self.restarts = 0
        self.problem: str | None = None  # why the box cannot be started

    @property
    def spares(self) -> int:
        """Workers that are ready."""
        return len(self._spares)

    def worker(self) -> Worker:
        """A worker that has loaded nothing yet: a spare, or a new one.

        Raises
        ------
        Unavailable
            If there is no box and none can be started.
        OSError
            If a fence does not hold.
        """
        end = time.monotonic() + START_S
        while True:
            box = self._wait_for_box(end)
            spare = self._spare()
            if spare is not None and not spare.alive():
                spare.kill()
            elif spare is not None:
                self._taken = time.monotonic()
                self._wake()
                return spare
            else:
                try:
                    return self._new(box)
                except Unavailable:
                    if not box.alive():
                        self._lost(box)
                    elif time.monotonic() > end:
                        raise

    def wait_complete(self, seconds: float) -> None:
        """Wait until all libraries are loaded, or this long."""
        with self._changed:
            self._changed.wait_for(lambda: self.complete, seconds)

    def tend(self) -> None:
        """Start a box if there is none, and see to libraries and spares."""
        box = self._box
        if box is not None and (not box.alive() or time.monotonic() - self._born > DAY_S):
            self._lost(box)
            box = None
        if box is None:
            box = self._restart()
            if box is None:
                return
        try:
            self._refill(box)
            if not self.complete:
                box.preload()
                if box.complete():
                    with self._changed:
                        self.complete = True
                        self._changed.notify_all()
                    old = [self._spare() for _ in range(len(self._spares))]
                    self._refill(box)
                    for worker in filter(None, old):
                        worker.kill()
        except Unavailable:
            if not box.alive():
                self._lost(box)
        except OSError as problem:
            self.problem = str(problem)

    def busy(self) -> bool:
        """Whether `tend` has more to do."""
        return self._box is None or not self.complete or len(self._spares) < self._wanted

    def close(self) -> None:
        """End the box and its spares."""
        with self._changed:
            box, self._box = self._box, None
            self.problem = "it is closed"
            self._changed.notify_all()
        while (spare := self._spare()) is not None:
            spare.kill()
        if box is not None:
            box.close()

    def forget(self) -> None:
        """Let go of everything in a forked process."""
        box, self._box = self._box, None
        while (spare := self._spare()) is not None:
            spare.forget()
        if box is not None:
            box.forget()

    def _new(self, box: AnyBox) -> Worker:
        early = not self.complete
        worker = box.worker()
        worker.early = early
        return worker

    def _spare(self) -> Worker | None:
        """A spare; None if there is none (any more: several threads take them)."""
        try:
            return self._spares.popleft()
        except IndexError:
            return None

    def _refill(self, box: AnyBox) -> None:
        while len(self._spares) < self._wanted:
            pause = self._taken + REFILL_S - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            self._spares.append(self._new(box))

    def _wait_for_box(self, end: float) -> AnyBox:
        with self._changed:
            while (box := self._box) is None:
                self._wake()
                left = end - time.monotonic()
                if self.problem or left <= 0:
                    raise Unavailable(f"The sandbox does not start: {self.problem or 'it takes too long'}.")
                self._changed.wait(left)
            return box

    def _lost(self, box: AnyBox) -> None:
        """This box has ended."""
        with self._changed:
            if self._box is not box:
                return
            self._box = None
        box.close()
        while (spare := self._spare()) is not None:
            spare.kill()
        self._wake()

    def _restart(self) -> AnyBox | None:
        now = time.monotonic()
        if len(self._starts) == RESTARTS and now - self._starts[0] < WITHIN_S:
            self.problem = f"it ended {RESTARTS} times within {WITHIN_S} s"
            box = None
        else:
            self.restarts += self._began
            self._began = True
            self._starts.append(now)
            try:
                box = self._start()
                self.problem = None
            except Unavailable:  # somebody ended it at once: the next round tries again
                box = None
            except OSError as problem:
                self.problem, box = str(problem), None
        with self._changed:
            self._box, self._born, self.complete = box, now, False
            self._changed.notify_all()
        return box
