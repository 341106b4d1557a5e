"""The server's end of a worker's pipes and arena. What a worker says is a claim: sizes and types are checked here."""

from __future__ import annotations

import json
import mmap
import os
import select
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.errors import TooLarge
from earthloom.sandbox.inside import frames
from earthloom.sandbox.inside.frames import Frame


class Fault(Exception):
    """A worker that does not keep to the protocol, is silent beyond its time, or has closed its end."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind  # "protocol", "timeout", "closed"


@dataclass(frozen=True, slots=True)
class Ends:
    """A worker's end: descriptors of requests to read, replies to write, the arena."""

    requests: int
    replies: int
    arena: int

    def descriptors(self) -> tuple[int, int, int]:
        """All three, in the order in which they travel."""
        return self.requests, self.replies, self.arena

    def close(self) -> None:
        """Close them here; the worker has its own."""
        for descriptor in self.descriptors():
            os.close(descriptor)


def half_bytes(arena_bytes: int) -> int:
    """Size of one half of an arena for arrays of at most `arena_bytes`, in whole pages."""
    return -(-(frames.DATA + arena_bytes + frames.OUT_TEXT) // frames.PAGE) * frames.PAGE


def open_ends(half: int) -> tuple[Link, Ends]:
    """New pipes and an arena of two halves: our end and the worker's."""
    requests = os.pipe()
    replies = os.pipe()
    arena = _memory(2 * half)
    link = Link(requests[1], replies[0], mmap.mmap(arena, 2 * half), half)
    return link, Ends(requests[0], replies[1], arena)


def _memory(size: int) -> int:
    """Shared memory whose size nobody can change any more: a worker that shrank it would kill this process."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    import fcntl

    memory = os.memfd_create("arena", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(memory, size)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return memory


class Link:
    """Our end: requests out, replies in, and the arena."""

    def __init__(self, requests: int, replies: int, arena: mmap.mmap, half: int) -> None:
        self._requests, self._replies, self._half = requests, replies, half
        os.set_blocking(requests, False)
        os.set_blocking(replies, False)
        self._map, self._memory = arena, memoryview(arena)
        self._arena = np.frombuffer(arena, np.uint8)
        self._room = half - frames.DATA - frames.OUT_TEXT  # for an array
        self._poll = select.poll()
        self._poll.register(replies, select.POLLIN)

    def put(self, img: NDArray[Any], mask: NDArray[np.bool_] | None, first: bytes, second: bytes) -> Frame:
        """Lay an array, its mask and two texts into the in half; the frame that tells of them, without a nonce.

        Raises
        ------
        TooLarge
            If they do not fit.
        """
        code = frames.CODES.get(img.dtype)
        if code is None:
            code = frames.CODES[img.dtype.newbyteorder("<")]
        after = frames.DATA + (img.nbytes if mask is None else img.nbytes + mask.nbytes)
        texts = len(first) + len(second)
        at, end = (0, after) if texts <= frames.PAGE else (after, after + texts)
        if end > self._half:
            raise TooLarge(
                f"An array of {img.nbytes >> 20} MiB cannot be handed to a function; {self._room >> 20} MiB can.",
                hint="Hand over fewer bands or dates.",
            )
        np.copyto(np.ndarray(img.shape, frames.DTYPES[code], self._memory, frames.DATA), img)
        if mask is not None:
            np.copyto(np.ndarray(mask.shape, bool, self._memory, frames.DATA + img.nbytes), mask)
        self._memory[at : at + texts] = first + second
        return Frame(0, frames.RUN, code, img.shape, mask is not None, at, len(first), len(second))

    def put_text(self, text: bytes) -> Frame:
        """Lay a text alone into the in half; the frame that tells of it, without a nonce."""
        self._memory[frames.DATA : frames.DATA + len(text)] = text
        return Frame(0, frames.LOAD, text_at=frames.DATA, first=len(text))

    def send(self, frame: Frame) -> None:
        """Send a frame. A pipe that is full or closed is a fault."""
        try:
            os.write(self._requests, frames.pack(frame))
        except BlockingIOError:
            raise Fault("protocol") from None
        except BrokenPipeError:
            raise Fault("closed") from None

    def wait(self, seconds: float) -> bool:
        """Whether there is something to read within this time."""
        return bool(self._poll.poll(max(0, seconds) * 1000))

    def receive(self, nonce: int) -> Frame:
        """The reply that is there to read.

        Raises
        ------
        Fault
            If it is none to the request of this nonce.
        """
        data = os.read(self._replies, frames.SIZE)
        if not data:
            raise Fault("closed")
        if len(data) != frames.SIZE:
            raise Fault("protocol")
        frame = frames.unpack(data)
        if frame.nonce != nonce or frame.kind not in (frames.READY, frames.DONE, frames.FAILED):
            raise Fault("protocol")
        return frame

    def take(self, frame: Frame) -> NDArray[Any]:
        """A copy of the array in the out half, for the worker can go on writing there."""
        if frame.dtype >= len(frames.DTYPES) or not frame.shape:
            raise Fault("protocol")
        size = frames.size_bytes(frame)
        if not 0 < size <= self._room:
            raise Fault("protocol")
        dtype = frames.DTYPES[frame.dtype]
        at = self._half + frames.DATA
        values = self._arena[at : at + size].copy()
        if dtype.kind == "b":
            values = values != 0  # a byte beyond 0 and 1 is no bool of numpy's
        return values.view(dtype).reshape(frame.shape)

    def trim(self) -> None:
        """Give the arena's memory back to the system, where that can be done; the next arrays find new."""
        if hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE)

    def take_text(self, frame: Frame) -> Mapping[str, Any]:
        """The texts that came with a reply, as JSON; its members are still to be checked."""
        if not frame.first:
            return {}
        if frame.first > frames.OUT_TEXT:
            raise Fault("protocol")
        at = 2 * self._half - frames.OUT_TEXT
        try:
            document = json.loads(bytes(self._memory[at : at + frame.first]).decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise Fault("protocol") from None
        if not isinstance(document, dict):
            raise Fault("protocol")
        return document

    def close(self) -> None:
        """Close the pipes; the arena goes when nobody holds it."""
        for descriptor in (self._requests, self._replies):
            with suppress(OSError):
                os.close(descriptor)
