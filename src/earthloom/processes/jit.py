"""numba for the vocabulary, imported at the first call: a notebook that only writes chains never loads it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """Compile a loop over arrays at its first call; the machine code is kept beside the file, and the GIL released.

    Division by zero gives infinity or NaN, as in numpy; a test for it would keep loops from being vectorised. No
    `fastmath`: its reordering would make a pixel depend on the cut. A compiled function cannot call another one.
    """

    @functools.cache
    def compiled() -> Callable[..., Any]:
        import numba

        kernel: Callable[..., Any] = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
        return kernel

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return compiled()(*args)

    return call  # type: ignore[return-value]
