"""How isolated users' functions are, for the log, `/health`, the capabilities and `earthloom doctor`."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

from earthloom.sandbox.levels import Fence
from earthloom.sandbox.settings import Level


@dataclass(frozen=True, slots=True)
class Report:
    """The state of the sandbox.

    Parameters
    ----------
    level
        The isolation that holds; None before the start, or if functions are refused.
    required
        The least that is accepted.
    ready
        Whether functions can run now.
    fences
        Each fence: whether it stands, and if not, why and what would help.
    libraries
        Version of each distribution that functions may import.
    architecture
        Of the machine.
    refusal
        Why functions are refused, and what would help; empty if they are not.
    """

    level: Level | None
    required: Level
    ready: bool = False
    fences: tuple[Fence, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    architecture: str = field(default_factory=platform.machine)
    refusal: str = ""
