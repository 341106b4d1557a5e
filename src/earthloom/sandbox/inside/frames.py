"""What a worker and its server say to each other: small frames through pipes, arrays through a shared arena.

A frame has 64 bytes. The arena is one piece of shared memory of fixed size: the first half for what goes in, the second
for what comes out. The in half begins with room for small texts, then comes the array, its mask, and texts that did not
fit in front. The out half ends with room for texts (log and error) that do not depend on the array's size.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

import numpy as np

# nonce; kind, number of dimensions, type, mask; sizes; where the texts begin and how long they are; nothing
_FRAME = struct.Struct("<Q4H6I3I12x")
SIZE = _FRAME.size
MAX_DIMENSIONS = 6
_REST = tuple((0,) * (MAX_DIMENSIONS - used) for used in range(MAX_DIMENSIONS + 1))
PAGE = 4096
DATA = PAGE  # where the array begins in its half
OUT_TEXT = 512 << 10  # room for texts at the end of the out half: each character may take six bytes as JSON
MAX_LOG = 64 << 10  # characters printed in one call
MAX_ERROR = 16 << 10  # characters of a traceback

READY, LOAD, RUN, DONE, FAILED = 1, 2, 3, 4, 5

# Types of arrays: bool and native numbers; a frame holds the index.
DTYPES = tuple(map(np.dtype, ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")))
CODES = {dtype: code for code, dtype in enumerate(DTYPES)}


class Frame(NamedTuple):
    """One message.

    Parameters
    ----------
    nonce
        Of the request; the reply repeats it.
    kind
        READY, LOAD, RUN, DONE or FAILED.
    dtype, shape
        Of the array: index in `DTYPES`, sizes below 2**32.
    mask
        1 if a mask of the same shape follows the array.
    text_at, first, second
        Where in the in half two texts begin, the second after the first, and their bytes. A reply has only `first`.
    """

    nonce: int
    kind: int
    dtype: int = 0
    shape: tuple[int, ...] = ()
    mask: int = 0
    text_at: int = 0
    first: int = 0
    second: int = 0


def pack(frame: Frame) -> bytes:
    """The 64 bytes of a frame of at most six dimensions."""
    nonce, kind, dtype, shape, mask, text_at, first, second = frame
    ndim = len(shape)
    return _FRAME.pack(nonce, kind, ndim, dtype, mask, *shape, *_REST[ndim], text_at, first, second)


def unpack(data: bytes) -> Frame:
    """The frame of 64 bytes. An array of more than six dimensions, which is a lie, has none."""
    nonce, kind, ndim, dtype, mask, *rest = _FRAME.unpack(data)
    shape = tuple(rest[:ndim]) if ndim <= MAX_DIMENSIONS else ()
    return Frame(nonce, kind, dtype, shape, mask, rest[6], rest[7], rest[8])


def size_bytes(frame: Frame) -> int:
    """Size of a frame's array; its type must be one of `DTYPES`."""
    return math.prod(frame.shape) * DTYPES[frame.dtype].itemsize
