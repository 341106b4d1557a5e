"""The user's own function as a step: declared here, without a body. The engine runs it in the sandbox."""

from __future__ import annotations

from typing import Literal

from earthloom.processes.define import process
from earthloom.processes.schema import Data, Settings, Source


@process(kind="udf", standard=True, zoom="grid")
def run_udf(
    data: Data,
    udf: Source,
    runtime: Literal["Python"],
    version: str | None = None,
    context: Settings = {},  # noqa: B006 - never changed: it is the published default
) -> Data:
    """Run a function of your own on the cube, isolated on the server.

    Parameters
    ----------
    data
        A cube.
    udf
        Source of a Python module that holds the function, at most 64 KiB.
    runtime
        "Python".
    version
        Not used: the server's Python runs the function.
    context
        What the function is given. With a member `function` it names the function to call, and may hold `arguments`
        (values by name), `raw` (true: the stored numbers in their own type), `margin` [px], `dtype` and `bands` of the
        result, `nodata` ("keep" or "nan") and `mask` ("input" or "own"). Without it the source holds one of openEO's
        own signatures, which is given the context as it is.

    Returns
    -------
    A cube with the dimensions of the function's result.
    """
    raise AssertionError("bound by the engine")
