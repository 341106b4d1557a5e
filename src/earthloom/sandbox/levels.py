"""Which isolation is to be had here: the levels are tried from the top, each by the self-test; what is missing is told.

`choose` starts a box at a level, lets the self-test do its harm in it, and keeps the first box that holds.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from earthloom.base.errors import EarthloomError
from earthloom.sandbox.process import has_capabilities
from earthloom.sandbox.selftest import Probe
from earthloom.sandbox.settings import LEVELS, Level

SETUID, SETGID = 7, 6  # numbers of capabilities
_HARMED = "the self-test did harm: "


class Fence(NamedTuple):
    """One fence: whether it stands, and if not, why and what would help."""

    name: str
    ok: bool
    reason: str = ""
    remedy: str = ""


class Closable(Protocol):
    """What a level is tried with."""

    def close(self) -> None:
        """End it, with all its processes."""


Box = TypeVar("Box", bound=Closable)


@dataclass(frozen=True, slots=True)
class Chosen(Generic[Box]):
    """What came of the choice.

    Parameters
    ----------
    level
        The best level whose fences all hold; None if users' functions must be refused.
    fences
        What stands and what does not.
    box
        The box of the level, started and tested; None without a level.
    """

    level: Level | None
    fences: tuple[Fence, ...]
    box: Box | None


def choose(
    require: Level, readable: Sequence[str], start: Callable[[Level], Box], test: Callable[[Box], list[Probe]]
) -> Chosen[Box]:
    """The best level that holds here, not below the required one.

    Parameters
    ----------
    require
        The least level that is accepted. Only with "none" a plain child process, untested, is used in the end. Those
        below are tried for the report alone, where none that is accepted holds.
    readable
        What workers must read, for `own_users`.
    start
        Starts a box at a level. OSError or an error of ours: the level is not to be had; its text is told.
    test
        `selftest.run` in a box.
    """
    failures: dict[Level, str] = {}
    for level in LEVELS:
        accepted = LEVELS.index(level) <= LEVELS.index(require)
        if level == "none" and not accepted:
            break
        try:
            box = start(level)
        except (OSError, EarthloomError) as problem:
            failures[level] = _text(problem)
            continue
        broken: list[str] = []
        try:
            if level != "none":
                broken = [f"{probe.name}: {probe.reason}" for probe in test(box) if not probe.ok]
        except (OSError, EarthloomError) as problem:  # its workers cannot lock themselves
            box.close()
            failures[level] = _text(problem)
            continue
        except BaseException:
            box.close()
            raise
        if not broken and accepted:
            return Chosen(level, fences(level, failures, readable), box)
        box.close()
        if not broken:
            return Chosen(None, fences(level, failures, readable), None)
        failures[level] = _HARMED + "; ".join(broken)
    return Chosen(None, fences(None, failures, readable), None)


def fences(level: Level | None, failures: dict[Level, str], readable: Sequence[str]) -> tuple[Fence, ...]:
    """Every fence, in words for the operator.

    Parameters
    ----------
    level
        The level that holds.
    failures
        Why those above it do not.
    readable
        What workers must read.
    """
    standing = {None: 0, "none": 0, "minimal": 1, "container": 2, "full": 3}[level]
    rows = []
    for rank, name, above in ((1, "system calls", "minimal"), (2, "Landlock", "container"), (3, "namespaces", "full")):
        if standing >= rank:
            rows.append(Fence(name, True))
        else:
            reason = failures.get(above, "the level is not to be had")  # type: ignore[call-overload]
            rows.append(Fence(name, False, reason, remedy(name, reason)))
    own, why = own_users(level, readable) if level not in (None, "none") else (False, "there are no isolated workers")
    rows.append(Fence("a user for each worker", own, why, "" if own else remedy("users", why)))
    return tuple(rows)


def own_users(level: Level | None, readable: Iterable[str]) -> tuple[bool, str]:
    """May each worker become a user of its own? If not, why.

    Parameters
    ----------
    level
        At "full" the box has its own way to the files; below, a closed folder on the way (an interpreter in a home)
        would keep another user from its libraries.
    readable
        What a worker must read.
    """
    if not has_capabilities(SETUID, SETGID):
        return False, "the server may not change users: it is not root"
    if level != "full":
        for path in readable:
            for folder in Path(path).resolve().parents:
                if not folder.stat().st_mode & 0o001:
                    return False, f"{folder} is closed to other users, and libraries are in it"
    return True, ""


def remedy(fence: str, reason: str) -> str:
    """What an operator can do about a missing fence."""
    if sys.platform != "linux":
        return "Only Linux isolates users' functions; run the server in a virtual machine or container of Linux."
    if reason.startswith(_HARMED):
        return "Report it: a fence does not hold what it should on this system."
    if fence == "namespaces":
        if shutil.which("bwrap") is None:
            return "Install bubblewrap (Debian: apt install bubblewrap)."
        if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
            return "Let the container make user namespaces (its seccomp profile), or accept the level container."
        return (
            "Allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1 (Debian), "
            "or an AppArmor profile for bwrap (Ubuntu); in a container its seccomp profile. Or accept the level "
            "container."
        )
    if fence == "Landlock":
        if os.strerror(errno.EOPNOTSUPP) in reason:
            return 'Switch Landlock on at boot: add it to "lsm=" on the kernel\'s command line.'
        return "Use Linux 5.13 or newer and a container runtime whose seccomp profile knows Landlock."
    if fence == "system calls":
        return (
            "Use a kernel with seccomp filters on x86-64 or aarch64; other sandboxes inside this one may refuse them."
        )
    if "closed" in reason:
        return (
            "Install Python outside closed home folders; without, workers share the server's user, without its rights."
        )
    return "None is needed: as an ordinary user workers have no rights beyond their fences."


def _text(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        reason = os.strerror(problem.errno) if problem.errno else ""
        return problem.strerror if reason in problem.strerror else f"{problem.strerror} ({reason})"
    return re.sub(r"^OSError: (\[Errno \d+\] )?", "", str(problem))  # the last line of a zygote that did not start
