"""The protocol: what goes in arrives, and whatever a worker writes back is checked before it is believed."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from earthloom.base.errors import TooLarge
from earthloom.sandbox import claims
from earthloom.sandbox.inside import frames
from earthloom.sandbox.inside.frames import Frame
from earthloom.sandbox.wire import Ends, Fault, Link, half_bytes, open_ends

HALF = half_bytes(1 << 20)
IMG = np.arange(4 * 16 * 16, dtype=np.uint16).reshape(4, 16, 16)
OUT_ROOM = HALF - frames.DATA - frames.OUT_TEXT


class Peer:
    """The worker's end, which may write what it likes."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.memory = memoryview(mmap.mmap(ends.arena, 2 * HALF))

    def result(self, array: np.ndarray, code: int | None = None) -> Frame:
        data = array.tobytes()
        self.memory[HALF + frames.DATA : HALF + frames.DATA + len(data)] = data
        return Frame(7, frames.DONE, frames.CODES[array.dtype] if code is None else code, array.shape)

    def text(self, data: bytes) -> Frame:
        at = 2 * HALF - frames.OUT_TEXT
        self.memory[at : at + len(data)] = data
        return Frame(7, frames.DONE, first=len(data))

    def reply(self, data: bytes) -> None:
        os.write(self.ends.replies, data)


@pytest.fixture
def pair() -> Iterator[tuple[Link, Peer]]:
    link, ends = open_ends(HALF)
    yield link, Peer(ends)
    link.close()
    ends.close()


def test_frames_keep_what_they_are_given() -> None:
    for shape in ((), (5,), (1, 2, 3, 4, 5, (1 << 32) - 1)):
        frame = Frame((1 << 64) - 1, 5, 11, shape, 1, 1 << 31, 3, 4)
        assert len(frames.pack(frame)) == frames.SIZE == 64
        assert frames.unpack(frames.pack(frame)) == frame


@pytest.mark.parametrize("length", [1, 5000])
def test_what_is_put_arrives(pair: tuple[Link, Peer], length: int) -> None:
    link, peer = pair
    first, second = b"x" * length, b"{}"
    frame = link.put(IMG, IMG > 3, first, second)
    assert (frame.kind, frame.shape, frames.DTYPES[frame.dtype], frame.mask) == (frames.RUN, IMG.shape, IMG.dtype, 1)
    assert bytes(peer.memory[frame.text_at : frame.text_at + length + 2]) == first + second
    img = np.ndarray(frame.shape, frames.DTYPES[frame.dtype], peer.memory, frames.DATA)
    mask = np.ndarray(frame.shape, bool, peer.memory, frames.DATA + IMG.nbytes)
    np.testing.assert_array_equal(img, IMG)
    np.testing.assert_array_equal(mask, IMG > 3)


def test_the_arena_cannot_change_its_size(pair: tuple[Link, Peer]) -> None:
    for size in (0, 4 * HALF):
        with pytest.raises(PermissionError):
            os.ftruncate(pair[1].ends.arena, size)


def test_too_large_an_array_is_refused_and_nothing_is_written(pair: tuple[Link, Peer]) -> None:
    link, peer = pair
    link.put(IMG, None, b"{}", b"")
    with pytest.raises(TooLarge, match="MiB"):
        link.put(np.zeros((4, 1024, 1024), np.uint8), None, b"{}", b"")
    np.testing.assert_array_equal(np.ndarray(IMG.shape, IMG.dtype, peer.memory, frames.DATA), IMG)


def test_a_result_is_a_copy(pair: tuple[Link, Peer]) -> None:
    link, peer = pair
    frame = peer.result(IMG)
    got = link.take(frame)
    peer.result(IMG * 0)
    np.testing.assert_array_equal(got, IMG)


def test_bytes_of_a_bool_array_are_made_true_or_false(pair: tuple[Link, Peer]) -> None:
    link, peer = pair
    got = link.take(peer.result(np.array([[0, 1, 2, 255]], np.uint8), 0))
    assert got.dtype == bool
    assert got.view(np.uint8).tolist() == [[0, 1, 1, 1]]


LIES: dict[str, dict[str, Any]] = {
    "type": {"dtype": len(frames.DTYPES)},
    "largest type": {"dtype": (1 << 16) - 1},
    "no dimension": {"shape": ()},
    "no pixel": {"shape": (0, 5)},
    "beyond the arena": {"shape": (OUT_ROOM + 2, 1), "dtype": 1},
    "just beyond the arena": {"shape": (OUT_ROOM // 8 + 1,), "dtype": 11},
    "beyond 64 bits": {"shape": ((1 << 32) - 1,) * 6},
    "to 0 in 64 bits": {"shape": (1 << 31, 1 << 31, 4), "dtype": 1},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_false_claim_about_a_result_is_a_fault(pair: tuple[Link, Peer], lie: str) -> None:
    link, peer = pair
    frame = frames.unpack(frames.pack(peer.result(IMG)._replace(**LIES[lie])))
    with pytest.raises(Fault):
        link.take(frame)


def test_any_64_bytes_are_a_frame_or_a_fault(pair: tuple[Link, Peer]) -> None:
    link, _ = pair
    source = random.Random(2)
    for _ in range(3000):
        few = bytes(source.choice((0, 0, 0, 1, 2, 255)) for _ in range(frames.SIZE))
        frame = frames.unpack(few if source.random() < 0.7 else source.randbytes(frames.SIZE))
        with contextlib.suppress(Fault):
            assert 0 < link.take(frame).nbytes <= OUT_ROOM
        with contextlib.suppress(Fault):
            link.take_text(frame)


def test_the_largest_result_is_taken(pair: tuple[Link, Peer]) -> None:
    link, peer = pair
    largest = np.full((OUT_ROOM,), 3, np.uint8)
    np.testing.assert_array_equal(link.take(peer.result(largest)), largest)


def test_replies_that_are_none_are_faults(pair: tuple[Link, Peer]) -> None:
    link, peer = pair
    good = frames.pack(Frame(7, frames.DONE))
    assert not link.wait(0)
    peer.reply(good)
    assert link.wait(1)
    assert link.receive(7).kind == frames.DONE
    for data in (good[:63], frames.pack(Frame(8, frames.DONE)), frames.pack(Frame(7, frames.RUN)), b"\0" * 64):
        peer.reply(data)
        with pytest.raises(Fault, match="protocol"):
            link.receive(7)
    os.close(peer.ends.replies)
    with pytest.raises(Fault, match="closed"):
        link.receive(7)
    os.dup2(peer.ends.requests, peer.ends.replies)  # so that the fixture can close it


def test_a_worker_that_does_not_read_is_a_fault(pair: tuple[Link, Peer]) -> None:
    def flood() -> None:
        for _ in range(100_000):
            pair[0].send(Frame(7, frames.RUN))

    with pytest.raises(Fault, match="protocol"):
        flood()


@pytest.mark.parametrize("text", [b"", b"[]", b"1" * 5000, b"[" * 100_000, b"\xff\xfe", b'{"a": nan', b'"x"'])
def test_texts_that_are_no_json_object_are_faults(pair: tuple[Link, Peer], text: bytes) -> None:
    link, peer = pair
    frame = peer.text(text)
    if text:
        with pytest.raises(Fault, match="protocol"):
            link.take_text(frame)
    else:
        assert link.take_text(frame) == {}
    with pytest.raises(Fault, match="protocol"):
        link.take_text(frame._replace(first=frames.OUT_TEXT + 1))


def test_any_json_object_gives_harmless_words() -> None:
    words = ["log", "error", "reason", "message", "line", "traceback", "hint", "stdout", "warning"]
    values = [None, 1, -1, 1 << 80, 0.5, True, "x", "\ud800\x1b[31m\u202e", [], {}, ["stdout", "x"], [["stdout", 3]]]
    source = random.Random(1)
    for _ in range(3000):
        document = {w: source.choice(values) for w in source.sample(words, 4)}
        if source.random() < 0.7:
            document["error"] = {w: source.choice(values) for w in source.sample(words, 6)}
            document["log"] = [source.choice(values) for _ in range(3)]
        error = claims.problem(document)
        text = json.dumps(error.to_dict()) + "".join(line.text for line in claims.lines(document))
        text.encode()
        assert not {"\x1b", "\ud800", "\u202e"} & set(error.message + text)
        assert error.where["reason"] in claims.REASONS


def test_long_words_are_cut() -> None:
    error = claims.problem({"error": {"message": "m" * 10**6, "traceback": "t" * 10**6, "hint": "h" * 10**6}})
    assert len(error.message) == len(error.hint) == claims.MAX_MESSAGE
    assert len(error.where["traceback"]) == frames.MAX_ERROR
    lines = claims.lines({"log": [["stdout", "\n" * 10**6], ["stderr", "x" * 10**6]]})
    assert len(lines) <= claims.MAX_LINES
    assert sum(len(line.text) for line in lines) <= frames.MAX_LOG + 1000


def test_trimmed_memory_is_given_back_and_can_be_used_again(pair: tuple[Link, Peer]) -> None:
    link, peer = pair
    link.put(np.ones((1 << 20,), np.uint8), None, b"{}", b"")
    blocks = os.fstat(peer.ends.arena).st_blocks
    link.trim()
    assert os.fstat(peer.ends.arena).st_blocks < blocks - 1900
    link.put(IMG, None, b"{}", b"")
    np.testing.assert_array_equal(np.ndarray(IMG.shape, IMG.dtype, peer.memory, frames.DATA), IMG)
