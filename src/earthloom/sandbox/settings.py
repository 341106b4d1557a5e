"""Limits and choices of the sandbox, each with its default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["full", "container", "minimal", "none"]
LEVELS: tuple[Level, ...] = ("full", "container", "minimal", "none")  # best first

MIB = 1 << 20


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What users' functions may use.

    Parameters
    ----------
    require
        The least isolation under which a function is run: "full" (namespaces, Landlock, system-call filters),
        "container" (without namespaces), "minimal" (system-call filters alone), or "none" (a plain child process, not
        isolated: for a notebook's own user only).
    libraries
        Distributions that functions may import, with their dependencies, beside the standard library. For clear
        messages; what holds is the fence.
    workers, workers_per_tenant
        Processes kept in all, and for one tenant.
    spares
        Processes kept ready for new functions.
    running, running_per_tenant
        Calls that run at once: in all, and of one tenant.
    memory_bytes
        What a function may use beyond its libraries.
    arena_bytes
        The largest array that goes in, and the largest that comes out.
    load_s, first_s, call_s
        Time to load a function, for the first call of a worker (numba compiles then), and for each other.
    wait_s
        How long a call waits for its turn, before the answer is "busy".
    idle_s
        After this time without a call a worker ends.
    nice
        Added to the nice value of users' code.
    first_uid
        As root each worker gets a user of its own, of the numbers from here on.
    """

    require: Level = "minimal"
    libraries: tuple[str, ...] = ("numpy", "scipy", "numba", "scikit-image")
    workers: int = 64
    workers_per_tenant: int = 8
    spares: int = 2
    running: int = field(default_factory=cores)
    running_per_tenant: int = field(default_factory=lambda: max(1, cores() - 1))
    memory_bytes: int = 512 * MIB
    arena_bytes: int = 32 * MIB
    load_s: float = 5
    first_s: float = 20
    call_s: float = 2
    wait_s: float = 10
    idle_s: float = 60
    nice: int = 5
    first_uid: int = 64000
