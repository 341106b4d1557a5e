"""The fair queue, strikes and logs, with clocks of their own."""

from __future__ import annotations

import threading
import time

import pytest

from earthloom.base.errors import Busy, FunctionFailed
from earthloom.sandbox import logs
from earthloom.sandbox.claims import Line
from earthloom.sandbox.logs import Logs
from earthloom.sandbox.queue import FairQueue, Ticket
from earthloom.sandbox.strikes import Strikes


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Waiting:
    """A thread that waits for a place; `ticket` once it has one."""

    def __init__(self, queue: FairQueue, tenant: str) -> None:
        self.ticket: Ticket | None = None
        before = queue.waiting
        self.thread = threading.Thread(target=self._enter, args=(queue, tenant))
        self.thread.start()
        while queue.waiting == before and self.ticket is None:
            time.sleep(0.001)

    def _enter(self, queue: FairQueue, tenant: str) -> None:
        self.ticket = queue.enter(tenant, 10)

    def called(self) -> Ticket:
        self.thread.join(5)
        assert self.ticket is not None
        return self.ticket


def test_a_free_place_is_given_at_once_and_a_full_queue_is_busy() -> None:
    queue = FairQueue(2, 2)
    first, second = queue.enter("a", 0), queue.enter("a", 0)
    with pytest.raises(Busy) as busy:
        queue.enter("b", 0.01)
    assert busy.value.where["retry_after"] > 0
    assert queue.waiting == 0
    first.leave()
    third = queue.enter("b", 0)
    for ticket in (second, third):
        ticket.leave()


def test_a_tenant_has_only_its_share() -> None:
    queue = FairQueue(3, 1)
    first = queue.enter("a", 0)
    with pytest.raises(Busy):
        queue.enter("a", 0.01)
    other = queue.enter("b", 0)
    waiting = Waiting(queue, "a")
    assert waiting.ticket is None
    first.leave()
    waiting.called().leave()
    other.leave()


def test_who_used_least_goes_first_and_use_fades() -> None:
    clock = Clock()
    queue = FairQueue(1, 1, clock)
    for tenant, seconds in (("much", 10.0), ("some", 3.0)):
        ticket = queue.enter(tenant, 0)
        clock.now += seconds
        ticket.leave()
    running = queue.enter("other", 0)
    much, some = Waiting(queue, "much"), Waiting(queue, "some")
    running.leave()
    second = some.called()
    assert much.ticket is None
    second.leave()
    much.called().leave()
    clock.now += 600  # all is forgotten but what came last
    ticket = queue.enter("some", 0)
    clock.now += 1
    ticket.leave()
    running = queue.enter("other", 0)
    some, much = Waiting(queue, "some"), Waiting(queue, "much")
    running.leave()
    first = much.called()
    assert some.ticket is None
    first.leave()
    some.called().leave()


def test_a_slow_call_lets_others_run_but_not_its_own_tenant() -> None:
    queue = FairQueue(1, 1)
    slow = queue.enter("slow", 0)
    quick, again = Waiting(queue, "quick"), Waiting(queue, "slow")
    assert quick.ticket is None
    slow.yield_place()
    quick.called().leave()
    assert again.ticket is None
    slow.leave()
    again.called().leave()
    queue.enter("quick", 0).leave()


def test_one_who_gives_up_waiting_takes_no_place() -> None:
    queue = FairQueue(1, 1)
    first = queue.enter("a", 0)
    for _ in range(3):
        with pytest.raises(Busy):
            queue.enter("b", 0.001)
    first.leave()
    queue.enter("c", 0).leave()


def test_three_strikes_stop_a_function_longer_each_time() -> None:
    clock = Clock()
    strikes = Strikes(clock)
    key, other = ("a", "1"), ("a", "2")
    error = FunctionFailed("It crashed.", reason="killed")
    for stop in (10, 20, 40):
        for _ in range(3):
            strikes.check(key)
            strikes.strike(key, error)
        with pytest.raises(FunctionFailed, match=f"stopped for {stop} s more.*It crashed") as stopped:
            strikes.check(key)
        assert stopped.value.where["reason"] == "killed"
        strikes.check(other)
        clock.now += stop + 1
    strikes.check(key)
    assert strikes.count == 9


def test_strikes_far_apart_and_good_calls_stop_nobody() -> None:
    clock = Clock()
    strikes = Strikes(clock)
    key, error = ("a", "1"), FunctionFailed("It crashed.")
    for _ in range(6):
        strikes.strike(key, error)
        clock.now += 31
    strikes.check(key)
    for _ in range(6):
        strikes.strike(key, error)
        strikes.clear(key)
    strikes.check(key)


def test_a_log_is_a_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "RING_BYTES", 10_000)
    kept = Logs()
    for i in range(500):
        kept.add(("a", "1"), "1/2/3", [Line("stdout", f"line {i}")])
    lines = kept.get(("a", "1"))
    assert lines[-1].text == "line 499"
    assert 10 < len(lines) < 100
    assert kept.get(("b", "1")) == []


def test_a_warning_is_kept_once_for_each_function() -> None:
    kept = Logs()
    for key in (("a", "1"), ("a", "2")):
        for _ in range(3):
            kept.add(key, "", [Line("warning", "careful")])
        assert [line.text for line in kept.get(key)] == ["careful"]


def test_a_tenant_with_many_logs_loses_its_own_oldest() -> None:
    kept = Logs()
    kept.add(("b", "1"), "", [Line("stdout", "x")])
    for number in range(200):
        kept.add(("a", str(number)), "", [Line("stdout", "x")])
    assert kept.get(("a", "0")) == []
    assert kept.get(("a", "199")) != []
    assert kept.get(("b", "1")) != []
