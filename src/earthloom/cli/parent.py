"""A child that ends with its parent, however that ends: the parent's number is looked at twice a second.

A signal of the kernel's (prctl) would come when the *thread* that started the child ends, and a pipe that closes stays
open in the parent's forks.
"""

from __future__ import annotations

import os
import signal
import threading
import time

_PERIOD_S = 0.5
_GRACE_S = 10.0


def end_with(parent_pid: int) -> None:
    """Ask this process to stop (SIGTERM) as soon as its parent is not `parent_pid`; make it, ten seconds later."""
    threading.Thread(target=_watch, args=(parent_pid,), name="parent", daemon=True).start()


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_PERIOD_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)
