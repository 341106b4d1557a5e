"""The admission of requests that run users' functions: each tenant has places of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from earthloom.base.errors import Busy
from earthloom.server.admission import Admission


def _run(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own, for a browser's test leaves a running loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, asyncio.wait_for(work, 20)).result()


async def _stay(admission: Admission, tenant: str, inside: list[str], leave: asyncio.Event) -> None:
    async with admission.enter(tenant):
        inside.append(tenant)
        await leave.wait()


def test_one_tenant_takes_nobody_else_s_place() -> None:
    async def work() -> None:
        admission, inside, leave = Admission(2, 10), [], asyncio.Event()
        of_anna = [asyncio.create_task(_stay(admission, "anna", inside, leave)) for _ in range(5)]
        of_ben = asyncio.create_task(_stay(admission, "ben", inside, leave))
        await asyncio.sleep(0.05)
        assert inside == ["anna", "anna", "ben"]
        leave.set()
        await asyncio.gather(*of_anna, of_ben)
        assert inside.count("anna") == 5

    _run(work())


def test_who_waits_too_long_is_sent_away_and_leaves_no_gap() -> None:
    async def work() -> None:
        admission, inside, leave = Admission(1, 0.05), [], asyncio.Event()
        first = asyncio.create_task(_stay(admission, "anna", inside, leave))
        await asyncio.sleep(0)
        with pytest.raises(Busy) as caught:
            await _stay(admission, "anna", inside, leave)
        assert caught.value.where["retry_after"] > 0
        gone = asyncio.create_task(_stay(admission, "anna", inside, leave))
        await asyncio.sleep(0)
        gone.cancel()  # the asker has hung up
        leave.set()
        await first
        await _stay(admission, "anna", inside, leave)
        assert inside == ["anna", "anna"]

    _run(work())


def test_a_failure_inside_gives_the_place_back() -> None:
    async def work() -> None:
        admission = Admission(1, 0.05)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with admission.enter("anna"):
                    raise ZeroDivisionError

    _run(work())
