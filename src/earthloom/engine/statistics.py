"""Numbers that sum a cube up, for each of its planes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.cube import Cube

PERCENTILES = (2, 25, 50, 75, 98)


def statistics(cube: Cube) -> list[dict[str, Any]]:
    """The statistics of each plane of a cube, in its order.

    Returns
    -------
    `{t, bands, count, missing, min, max, mean, std, percentiles: {"2": ...}}`: of `t` and `bands` those dimensions
    that the cube has, the number of pixels with and without data, and null for the others if there are no data.
    """
    dims = cube.dims[:-2]
    planes = cube.values.reshape(-1, *cube.values.shape[-2:])
    labels = itertools.product(*(cube.labels[d] for d in dims))
    return [dict(zip(dims, names, strict=True)) | _of(plane) for names, plane in zip(labels, planes, strict=True)]


def _of(plane: NDArray[Any]) -> dict[str, Any]:
    valid = plane[np.isfinite(plane)].astype(np.float64)
    counts = {"count": valid.size, "missing": plane.size - valid.size}
    if not valid.size:
        return counts | dict.fromkeys(("min", "max", "mean", "std", "percentiles"))
    places = np.percentile(valid, PERCENTILES)
    return counts | {
        "min": float(valid.min()),
        "max": float(valid.max()),
        "mean": float(valid.mean()),
        "std": float(valid.std()),
        "percentiles": {str(p): float(v) for p, v in zip(PERCENTILES, places, strict=True)},
    }
