"""What a worker and its server say to each other: small frames through pipes, arrays through a shared arena.

A frame has 64 bytes. The arena is one piece of shared memory of fixed size: the first half for what goes in, the second
for what comes out; each half has a page for shapes and small texts, then the array, then what did not fit in the page.
The out half ends with room for texts (log and error) that do not depend on the array's size.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

# nonce, kind, number of dimensions, bytes of the array, bytes of text, dtype as text
_FRAME = struct.Struct("<QIIQQ32s")
SIZE = _FRAME.size
# of the array and of its mask: dimensions, sizes; then where the texts begin and how long they are
_PAGE = struct.Struct("<6Q6Q4Q")
PAGE = 4096
DATA = PAGE  # where the array begins
TEXT = _PAGE.size  # where texts begin that fit in the page
MAX_DIMENSIONS = 6
OUT_TEXT = 512 << 10  # room for texts at the end of the out half: each character may take six bytes as JSON
MAX_LOG = 64 << 10  # characters printed in one call
MAX_ERROR = 16 << 10  # characters of a traceback

READY, LOAD, RUN, DONE, FAILED = 1, 2, 3, 4, 5

# Types of arrays: native numbers and bool, by numpy's own names.
DTYPES = ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")


class Frame(NamedTuple):
    """One message."""

    nonce: int
    kind: int
    ndim: int = 0
    data_bytes: int = 0
    text_bytes: int = 0
    dtype: bytes = b""


def pack(frame: Frame) -> bytes:
    """The 64 bytes of a frame."""
    return _FRAME.pack(*frame)


def unpack(data: bytes) -> Frame:
    """The frame of 64 bytes."""
    nonce, kind, ndim, size, text, dtype = _FRAME.unpack(data)
    return Frame(nonce, kind, ndim, size, text, dtype.rstrip(b"\0"))


class Page(NamedTuple):
    """The page at the head of a half: shapes of the array and its mask, and where two texts are."""

    shape: tuple[int, ...]
    mask: tuple[int, ...]
    text_at: int
    first: int  # bytes of the first text
    second: int  # bytes of the second, which follows


def write_page(buffer: memoryview, at: int, page: Page) -> None:
    """Write a page at the head of a half."""
    shape = (*page.shape, *(0,) * (MAX_DIMENSIONS - len(page.shape)))
    mask = (*page.mask, *(0,) * (MAX_DIMENSIONS - len(page.mask)))
    _PAGE.pack_into(buffer, at, *shape, *mask, len(page.mask), page.text_at, page.first, page.second)


def read_page(buffer: memoryview, at: int, ndim: int) -> Page:
    """Read the page of a half; `ndim` comes with the frame, at most `MAX_DIMENSIONS`."""
    numbers = _PAGE.unpack_from(buffer, at)
    masks = min(numbers[12], MAX_DIMENSIONS)
    return Page(numbers[:ndim], numbers[6 : 6 + masks], numbers[13], numbers[14], numbers[15])
