"""Whose turn it is, what is computed once, and what is dropped: the queue alone, in a real event loop with threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from earthloom.base.errors import Busy, NotFound
from earthloom.server.queue import FairQueue, Gone, Jobs


class Bench:
    """A queue with one place, taken until `open` is called; what runs after that, in order."""

    def __init__(self, most: int) -> None:
        self.queue, self.ran = FairQueue(1, most), []
        self._open = threading.Event()

    def shut(self) -> asyncio.Future[Any]:
        """Take the one place."""
        return self.queue.put("first", "layer", lambda: self._open.wait(10)).result

    def open(self) -> None:
        """Let all run."""
        self._open.set()

    def put(self, user: str, layer: str, name: str) -> asyncio.Future[str]:
        """Work that only notes that it ran."""
        return self.queue.put(user, layer, self.work(name)).result

    def work(self, name: str) -> Callable[[], str]:
        """Work that only notes that it ran."""

        def note() -> str:
            self.ran.append(name)
            return name

        return note


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(6)
    yield made
    made.open()
    made.queue.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own, for a browser's test leaves a running loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, asyncio.wait_for(work, 20)).result()


async def _stays() -> dict[str, str]:
    await asyncio.sleep(60)
    return {"type": "http.disconnect"}


async def _hangs_up() -> dict[str, str]:
    return {"type": "http.disconnect"}


def test_users_take_turns_and_so_do_their_layers(bench: Bench) -> None:
    async def work() -> None:
        first = bench.shut()
        waits = [bench.put("anna", "slow", f"slow{i}") for i in range(3)]
        waits += [
            bench.put("anna", "quick", "quick0"),
            bench.put("ben", "his", "his0"),
            bench.put("ben", "his", "his1"),
        ]
        bench.open()
        await asyncio.gather(first, *waits)

    _run(work())
    assert bench.ran == ["slow0", "his0", "quick0", "his1", "slow1", "slow2"]
    assert bench.queue.waiting == 0


def test_who_has_most_in_a_full_queue_is_sent_away(bench: Bench) -> None:
    async def work() -> None:
        first = bench.shut()
        of_anna = [bench.put("anna", "layer", f"anna{i}") for i in range(6)]
        with pytest.raises(Busy) as caught:
            bench.put("anna", "other", "anna6")
        assert caught.value.where["retry_after"] > 0
        of_ben = bench.put("ben", "layer", "ben")  # takes the place of the newest of hers
        with pytest.raises(Busy):
            await of_anna.pop()
        bench.open()
        await asyncio.gather(first, of_ben, *of_anna)

    _run(work())
    assert bench.ran == ["anna0", "ben", "anna1", "anna2", "anna3", "anna4"]


def test_equal_questions_are_answered_by_one_job(bench: Bench) -> None:
    async def work() -> None:
        jobs, first = Jobs(), bench.shut()

        def make() -> Any:
            return bench.queue.put("anna", "layer", bench.work("once"))

        asked = [asyncio.create_task(jobs.once("name", make, _stays)) for _ in range(5)]
        await asyncio.sleep(0)
        asked.pop().cancel()  # takes nothing from the others
        bench.open()
        assert await asyncio.gather(*asked) == ["once"] * 4
        assert jobs.joined == 4
        await first
        assert await jobs.once("name", make, _stays) == "once"

    _run(work())
    assert bench.ran == ["once", "once"]


def test_an_error_reaches_all_who_wait(bench: Bench) -> None:
    async def work() -> None:
        jobs, first = Jobs(), bench.shut()

        def fail() -> None:
            raise NotFound("Nothing here.")

        asked = [jobs.once("name", lambda: bench.queue.put("anna", "layer", fail), _stays) for _ in range(3)]
        waits = asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(0)
        bench.open()
        assert [type(error) for error in await waits] == [NotFound] * 3
        await first

    _run(work())


def test_what_nobody_waits_for_is_not_begun(bench: Bench) -> None:
    async def work() -> None:
        jobs, first = Jobs(), bench.shut()

        def ask(name: str, receive: Any) -> asyncio.Task[Any]:
            make = lambda: bench.queue.put("anna", "layer", bench.work(name))  # noqa: E731
            return asyncio.create_task(jobs.once(name, make, receive))

        asked = [ask("nobody", _hangs_up), ask("somebody", _hangs_up), ask("somebody", _stays)]
        cancelled = ask("cancelled", _stays)
        await asyncio.sleep(0)
        cancelled.cancel()
        for gone in asked[:2]:
            with pytest.raises(Gone):
                await gone
        await asyncio.sleep(0)
        assert bench.queue.waiting == 1
        bench.open()
        assert await asked[2] == "somebody"
        # Dropped, not forgotten: who asks now gets it.
        assert await ask("nobody", _stays) == "nobody"
        await first

    _run(work())
    assert bench.ran == ["somebody", "nobody"]


def test_what_runs_goes_on_and_is_joined(bench: Bench) -> None:
    async def work() -> None:
        jobs, opened = Jobs(), threading.Event()

        def make() -> Any:
            return bench.queue.put("anna", "layer", lambda: opened.wait(10) and bench.work("long")())

        gone = asyncio.create_task(jobs.once("name", make, _stays))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        again = asyncio.create_task(jobs.once("name", make, _stays))
        await asyncio.sleep(0)
        opened.set()
        assert await again == "long"

    _run(work())
    assert bench.ran == ["long"]
