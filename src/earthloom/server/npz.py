"""Arrays as an answer: numpy archives without pickles, by way of a file: large ones never lie in memory twice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
import orjson
from starlette.responses import Response, StreamingResponse

from earthloom.base.cube import Cube
from earthloom.base.grid import Grid

NPZ = "application/x-npz"
_PIECE_BYTES = 1 << 20


def write_cube(cube: Cube) -> IO[bytes]:
    """A cube as a temporary file, at its beginning."""
    labels = {d: list(cube.labels[d]) for d in cube.dims[:-2]}
    return write({"dims": cube.dims, "labels": labels, "grid": grid_document(cube.grid)}, values=cube.values)


def write(header: Mapping[str, Any], **arrays: Any) -> IO[bytes]:
    """Arrays and a header, as JSON in an array of its own, as a temporary file, at its beginning."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the answer is sent
    try:
        np.savez(file, header=np.array(orjson.dumps(header).decode()), **arrays)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def grid_document(grid: Grid) -> dict[str, Any]:
    """A grid as JSON: a window on the lattice whose pixel (0, 0) has its corner at x0, y0."""
    return {
        **{name: getattr(grid.lattice, name) for name in ("epsg", "res_x", "res_y", "x0", "y0")},
        **{name: getattr(grid, name) for name in ("col", "row", "width", "height")},
    }


def send(file: IO[bytes]) -> Response:
    """The answer that sends such a file and closes it."""
    size = file.seek(0, 2)
    file.seek(0)
    return StreamingResponse(_pieces(file), media_type=NPZ, headers={"Content-Length": str(size)})


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
