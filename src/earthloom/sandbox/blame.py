"""Whose fault the end of a worker is, in the words that its user reads."""

from __future__ import annotations

import signal

from earthloom.base.errors import FunctionFailed
from earthloom.sandbox.worker import Died

MIB = 1 << 20


def blame(died: Died, deadline_s: float) -> FunctionFailed:
    """The error for the user whose function ended its worker.

    Parameters
    ----------
    died
        How it ended.
    deadline_s
        Time that the function had.
    """
    if died.kind == "timeout":
        return FunctionFailed(
            f"The function took longer than {deadline_s:g} s and was ended.",
            hint="Work on whole arrays rather than pixel by pixel, or compile the loop with numba.",
            reason="timeout",
        )
    if died.blameless:
        return FunctionFailed(
            "The function was ended from outside several times, perhaps because the server has too little memory.",
            hint="Use less memory, or ask again later.",
            reason="killed",
        )
    return FunctionFailed(_how(died), reason="killed")


def too_much_memory(error: FunctionFailed, memory_bytes: int) -> FunctionFailed:
    """The same error, naming the limit, if the function ran out of memory."""
    if error.where.get("reason") == "memory":
        error.message = f"The function needs more than the {memory_bytes // MIB} MiB that it may use. {error.message}"
    return error


def _how(died: Died) -> str:
    if died.kind == "protocol":
        return "The function wrote into the channels of the sandbox, and was ended."
    if died.signal is None:
        return f"The function ended its own process (exit code {died.code})."
    if died.signal == signal.SIGSYS:
        return "The function asked the system for what no function may do, and was ended."
    name = signal.Signals(died.signal).name if died.signal in list(signal.Signals) else str(died.signal)
    memory = "; it may have run out of memory" if died.signal == signal.SIGABRT else ""
    return f"The function crashed ({name}){memory}."
