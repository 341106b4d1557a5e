"""openEO's logic. On rasters 0 is false, all else true, NaN unknown.

False and unknown is false, true or unknown is true.
"""

from __future__ import annotations

import numpy as np

from earthloom.processes.define import process
from earthloom.processes.schema import Boolean

_NAN = np.float32(np.nan)


@process(kind="binary", standard=True, id="and", examples=[({"x": 1, "y": 0}, 0)])
def and_(x: Boolean, y: Boolean) -> Boolean:
    """Whether both are true.

    Parameters
    ----------
    x, y
        Truth values.
    """
    known = np.where(np.isnan(x) | np.isnan(y), _NAN, np.float32(1))
    return np.where((np.asarray(x) == 0) | (np.asarray(y) == 0), np.float32(0), known)


@process(kind="binary", standard=True, id="or", examples=[({"x": 1, "y": 0}, 1)])
def or_(x: Boolean, y: Boolean) -> Boolean:
    """Whether at least one is true.

    Parameters
    ----------
    x, y
        Truth values.
    """
    return not_(and_(not_(x), not_(y)))


@process(kind="element", standard=True, id="not", examples=[({"x": 0}, 1)])
def not_(x: Boolean) -> Boolean:
    """The opposite.

    Parameters
    ----------
    x
        A truth value.
    """
    return np.where(np.isnan(x), _NAN, (np.asarray(x) == 0).astype(np.float32))
