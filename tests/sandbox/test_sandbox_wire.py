"""The protocol: what goes in arrives, and whatever a worker writes back is checked before it is believed."""

from __future__ import annotations

import json
import mmap
import os
import random
from collections.abc import Iterator

import numpy as np
import pytest

from earthloom.base.errors import TooLarge
from earthloom.sandbox import claims
from earthloom.sandbox.inside import frames
from earthloom.sandbox.inside.frames import Frame, Page
from earthloom.sandbox.wire import Ends, Fault, Link, half_bytes, open_ends

HALF = half_bytes(1 << 20)
IMG = np.arange(4 * 16 * 16, dtype=np.uint16).reshape(4, 16, 16)
OUT_ROOM = HALF - frames.DATA - frames.OUT_TEXT


class Peer:
    """The worker's end, which may write what it likes."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.memory = memoryview(mmap.mmap(ends.arena, 2 * HALF))

    def result(self, array: np.ndarray, dtype: bytes | None = None, **other: int) -> Frame:
        data = array.tobytes()
        self.memory[HALF + frames.DATA : HALF + frames.DATA + len(data)] = data
        frames.write_page(self.memory, HALF, Page(array.shape, (), 0, 0, 0))
        given = Frame(7, frames.DONE, array.ndim, len(data), 0, dtype or array.dtype.str.encode())
        return given._replace(**other)

    def text(self, data: bytes) -> Frame:
        at = 2 * HALF - frames.OUT_TEXT
        self.memory[at : at + len(data)] = data
        return Frame(7, frames.DONE, text_bytes=len(data))

    def reply(self, data: bytes) -> None:
        os.write(self.ends.replies, data)


@pytest.fixture
def pair() -> Iterator[tuple[Link, Peer]]:
    link, ends = open_ends(HALF)
    yield link, Peer(ends)
    link.close()
    ends.close()


def test_frames_and_pages_keep_what_they_are_given(pair: tuple[Link, Peer]) -> None:
    link, peer = pair
    frame = Frame((1 << 64) - 1, 5, 6, 1 << 40, 1 << 33, b"<f8")
    assert len(frames.pack(frame)) == frames.SIZE == 64
    assert frames.unpack(frames.pack(frame)) == frame
    size, dtype = link.put(IMG, IMG > 3, b'{"n": 1}', b"{}")
    page = frames.read_page(peer.memory, 0, 3)
    assert (page.shape, page.mask, size, dtype) == (IMG.shape, IMG.shape, IMG.nbytes, b"<u2")
    assert bytes(peer.memory[page.text_at : page.text_at + page.first]) == b'{"n": 1}'
    img = np.ndarray(page.shape, dtype.decode(), peer.memory, frames.DATA)
    mask = np.ndarray(page.mask, bool, peer.memory, frames.DATA + size)
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
    got = link.take(peer.result(np.array([[0, 1, 2, 255]], np.uint8), b"|b1"))
    assert got.dtype == bool
    assert got.view(np.uint8).tolist() == [[0, 1, 1, 1]]


@pytest.mark.parametrize(
    "lie",
    [
        {"dtype": b"|O"},
        {"dtype": b"<c16"},
        {"dtype": b">u2"},
        {"dtype": b"<U4"},
        {"dtype": b"<M8[s]"},
        {"dtype": b"<f8"},
        {"dtype": b"\xff" * 32},
        {"ndim": 0},
        {"ndim": 7},
        {"ndim": 2},
        {"ndim": 4},
        {"data_bytes": 0},
        {"data_bytes": IMG.nbytes - 2},
        {"data_bytes": 1 << 63},
    ],
)
def test_a_false_claim_about_a_result_is_a_fault(pair: tuple[Link, Peer], lie: dict[str, int]) -> None:
    link, peer = pair
    with pytest.raises(Fault):
        link.take(peer.result(IMG)._replace(**lie))


@pytest.mark.parametrize("shape", [(1 << 32, 1 << 32), ((1 << 64) - 1, 2), (0, 5), (OUT_ROOM + 2, 1), (1 << 63, 2)])
def test_sizes_beyond_the_arena_are_a_fault(pair: tuple[Link, Peer], shape: tuple[int, ...]) -> None:
    link, peer = pair
    size = shape[0] * shape[1] % (1 << 64)
    frames.write_page(peer.memory, HALF, Page(shape, (), 0, 0, 0))
    with pytest.raises(Fault):
        link.take(Frame(7, frames.DONE, 2, size, 0, b"|u1"))


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
        link.take_text(frame._replace(text_bytes=frames.OUT_TEXT + 1))


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
