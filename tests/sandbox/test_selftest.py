"""The self-test finds every harm where nothing isolates, and none where the fences stand."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

if sys.platform != "linux":
    pytest.skip("the fences are Linux's", allow_module_level=True)

from earthloom.sandbox import levels, selftest
from earthloom.sandbox.box import Box
from earthloom.sandbox.environment import ENVIRONMENT
from earthloom.sandbox.inside import landlock
from earthloom.sandbox.plain import PlainBox
from earthloom.sandbox.selftest import Probe
from earthloom.sandbox.settings import Level, SandboxSettings

SETTINGS = SandboxSettings(libraries=("numpy",))


@pytest.fixture
def box() -> Iterator[Box]:
    box = Box("minimal", SETTINGS)
    yield box
    box.close()


def test_nothing_is_harmed_behind_fences(box: Box) -> None:
    probes = selftest.run(box.worker, ENVIRONMENT)
    assert [probe.name for probe in probes] == [*selftest.REFUSED, *selftest.KILLED]
    assert len(probes) == 16
    assert [probe for probe in probes if not probe.ok] == []
    short = selftest.run(box.worker, ENVIRONMENT, short=True)
    assert [(probe.name, probe.ok) for probe in short] == [(name, True) for name in selftest.SHORT]


def test_a_foreign_variable_is_found(box: Box) -> None:
    probes = {probe.name: probe for probe in selftest.run(box.worker, [])}
    assert not probes["variable"].ok
    assert "variables" in probes["variable"].reason


def test_every_harm_is_found_where_nothing_isolates() -> None:
    probes = {probe.name: probe for probe in selftest.run(PlainBox(SETTINGS).worker, ENVIRONMENT)}
    harmless = {name for name, probe in probes.items() if probe.ok}
    # A clean environment, closed files and a deadline are there without fences too; the memory may be limited.
    assert harmless - {"memory"} == {"variable", "descriptors", "loop"}
    assert not probes["canary"].ok
    for name in ("read", "write", "connect", "ptrace"):
        assert probes[name].reason == {**selftest.REFUSED, **selftest.KILLED}[name]


class Trial:
    def __init__(self, level: Level, closed: list[Level]) -> None:
        self.level, self.closed = level, closed

    def close(self) -> None:
        self.closed.append(self.level)


def choose(require: Level, holds: set[Level], starts: set[Level]) -> tuple[levels.Chosen[Trial], list[Level]]:
    closed: list[Level] = []

    def start(level: Level) -> Trial:
        if level not in starts:
            raise OSError(1, f"{level} is refused")
        return Trial(level, closed)

    def test(trial: Trial) -> list[Probe]:
        return [Probe("read", trial.level in holds, "" if trial.level in holds else "a file can be read")]

    return levels.choose(require, (), start, test), closed


def test_the_best_level_that_holds_is_chosen() -> None:
    everything: set[Level] = {"full", "container", "minimal", "none"}
    chosen, closed = choose("minimal", everything, everything)
    assert (chosen.level, closed) == ("full", [])
    assert chosen.box is not None
    assert all(fence.ok for fence in chosen.fences[:3])

    chosen, closed = choose("minimal", {"minimal"}, {"container", "minimal"})
    assert (chosen.level, closed) == ("minimal", ["container"])
    reasons = {fence.name: fence.reason for fence in chosen.fences if not fence.ok}
    assert reasons["namespaces"] == "full is refused (Operation not permitted)"
    assert reasons["Landlock"] == "the self-test did harm: read: a file can be read"


def test_a_level_below_the_required_one_is_not_taken_but_told() -> None:
    chosen, closed = choose("container", {"minimal"}, {"minimal", "none"})
    assert (chosen.level, chosen.box, closed) == (None, None, ["minimal"])
    assert [fence.ok for fence in chosen.fences[:3]] == [True, False, False]
    assert all(fence.ok or (fence.reason and fence.remedy) for fence in chosen.fences)

    chosen, closed = choose("minimal", set(), {"none"})
    assert (chosen.level, chosen.box, closed) == (None, None, [])
    assert not any(fence.ok for fence in chosen.fences)

    chosen, closed = choose("none", set(), {"minimal", "none"})
    assert (chosen.level, closed) == ("none", ["minimal"])


def test_a_worker_that_cannot_lock_itself_is_no_level() -> None:
    closed: list[Level] = []

    def test(trial: Trial) -> list[Probe]:
        raise OSError(38, "the kernel refuses a system-call filter")

    chosen = levels.choose("none", (), lambda level: Trial(level, closed), test)
    assert (chosen.level, closed) == ("none", ["full", "container", "minimal"])
    assert "refuses a system-call filter" in chosen.fences[0].reason


def test_what_breaks_the_test_leaves_no_box() -> None:
    closed: list[Level] = []

    def test(trial: Trial) -> list[Probe]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        levels.choose("minimal", (), lambda level: Trial(level, closed), test)
    assert closed == ["full"]


def test_remedies_fit_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "Install bubblewrap" in levels.remedy("namespaces", "bubblewrap (bwrap) is not installed")
    assert "lsm=" in levels.remedy("Landlock", "Landlock is not available (Operation not supported)")
    assert "5.13" in levels.remedy("Landlock", "Landlock is not available")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Only Linux" in levels.remedy("system calls", "")


def test_a_missing_landlock_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "_VERSION_FLAG", 1 << 30)
    with pytest.raises(OSError, match="Landlock is not available"):
        landlock.version()


def test_closed_folders_keep_the_servers_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    (closed / "python").touch()
    allowed, reason = levels.own_users("container", [str(closed / "python")])
    assert not allowed
    assert "closed to other users" in reason or "not root" in reason
