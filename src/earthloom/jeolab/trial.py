"""`testExecute` as a global function: it names no chain, so the collection in use is taken."""

from __future__ import annotations

# ruff: noqa: PT028 - by its name the function looks like a test
import dis
import re
from collections.abc import Callable, Sequence
from typing import Any

from earthloom.jeolab.calls import told
from earthloom.jeolab.collection import ImageCollection, in_use
from earthloom.jeolab.process import ImageProcess, band_names
from earthloom.jeolab.source import function_in


@told
def testExecute(
    function: Callable[..., Any] | str,
    /,
    *args: Any,
    coll: ImageCollection | None = None,
    bands: Sequence[str] = (),
    place: Any = None,
    zoom: int | None = None,
    **kwargs: Any,
) -> Any:
    """Run a function in the notebook on the very array that the server would hand to it; then there too.

    It prints which bands the function gets.

    Parameters
    ----------
    function
        What `execute` takes.
    args, kwargs
        Its arguments, without the array.
    coll
        The images; without it, the collection that was made or changed last.
    bands
        Names of the bands; without them, those of the collection's last `processMulti`. Before there was one: as many
        as the function reads as `band0`, `band1` and so on, or all, in the collection's own order. Then the numbers
        are real, but hardly those that the function is made for.
    place, zoom
        Where to run it; without them, in the middle of the images.
    """
    images = coll or in_use()
    tried = function_in(function)
    names = tuple(bands) or images.last_bands
    guessed = not names
    if guessed:
        known = band_names(images.items)
        names = known[: _globals_read(tried)]
    listed = ", ".join(f"band{i} is {name}" for i, name in enumerate(names))
    hint = ' For others give bands=["B04", ...], or call it after processMulti.' if guessed else ""
    print(f"{images.items.id}: {listed}.{hint}")
    return ImageProcess(images.items, names).testExecute(tried, *args, place=place, zoom=zoom, **kwargs)


def _globals_read(function: Callable[..., Any]) -> int | None:
    """Number of the globals `band0`, `band1` ... up to the last that a function reads; None if it reads none."""
    code = getattr(function, "__code__", None)
    instructions = dis.get_instructions(code) if code else ()
    read = [re.fullmatch(r"band(\d+)", str(i.argval)) for i in instructions if i.opname == "LOAD_GLOBAL"]
    return max((int(match[1]) + 1 for match in read if match), default=None)
