"""What users' functions print takes bounded room on the server, and pushes out nobody else's lines."""

from __future__ import annotations

from earthloom.sandbox.claims import Line
from earthloom.sandbox.logs import ALL_BYTES, TENANT_BYTES, Logs


def test_a_loud_tenant_keeps_the_lines_of_others() -> None:
    logs = Logs()
    logs.add(("calm", "f"), "1/2/3", [Line("stdout", "hello")])
    for number in range(300):
        logs.add(("loud", str(number)), "1/2/3", [Line("stdout", "x" * 1000)] * 300)
    assert [line.text for line in logs.get(("calm", "f"))] == ["hello"]
    assert logs.get(("loud", "0")) == []
    assert len(logs.get(("loud", "299"))) > 200


def test_all_room_is_bounded() -> None:
    logs = Logs()
    keys = [(f"tenant {number % 100}", str(number)) for number in range(1000)]
    for key in keys:
        logs.add(key, "1/2/3", [Line("stdout", "x" * 1000)] * 200)
    held = sum(len(line.text) for key in keys for line in logs.get(key))
    assert ALL_BYTES / 8 < held < ALL_BYTES
    assert len(logs.get(keys[-1])) == 200
    assert logs.get(keys[0]) == []


def test_sizes_of_dropped_rings_are_forgotten() -> None:
    logs = Logs()
    for number in range(1000):
        logs.add(("a", str(number % 200)), "", [Line("warning", f"{number} {'x' * 1000}")])
    kept = [number for number in range(200) if logs.get(("a", str(number)))]
    assert 100 < len(kept) <= TENANT_BYTES >> 16
