"""How our long-running commands stop: Ctrl-C, SIGTERM and a closed terminal all end them in order, with exit code 0."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> None:
    """Raise SystemExit at these signals. SIGINT too, explicitly: a background job inherits it ignored."""
    for number in _SIGNALS:
        signal.signal(number, _stop)


def ignore_signals() -> None:
    """Let nothing interrupt the stopping itself."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
