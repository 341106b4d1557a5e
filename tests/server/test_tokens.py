"""Tokens and who asks: what is kept, what counts, what is shown."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from earthloom.base.errors import EarthloomError, InvalidArgument, NotFound, Unauthorized
from earthloom.server.access import Access
from earthloom.server.tokens import Tokens, this_hour


def test_only_the_digest_is_kept_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        tokens = Tokens(tmp_path / "data")
        token = tokens.add("anna")
        other = tokens.add("ben@example.org")
    finally:
        os.umask(old)
    text = tokens.file.read_text()
    assert token not in text
    assert hashlib.sha256(token.encode()).hexdigest() in text
    assert stat.S_IMODE(tokens.file.stat().st_mode) == 0o600
    assert [path.name for path in tokens.file.parent.iterdir()] == ["tokens.json"]
    assert (tokens.who(token), tokens.who(other)) == ("anna", "ben@example.org")
    assert tokens.names() == ["anna", "ben@example.org"]


@pytest.mark.parametrize("wrong", ["", "x", "\ud800", "é" * 50, "local"])
def test_other_tokens_are_nobodys(tmp_path: Path, wrong: str) -> None:
    tokens = Tokens(tmp_path)
    assert tokens.who(wrong) is None
    token = tokens.add("anna")
    for other in (wrong, token[:-1], token + " ", token.swapcase()):
        assert tokens.who(other) is None


def test_a_change_by_another_process_counts_at_once(tmp_path: Path) -> None:
    server, command = Tokens(tmp_path), Tokens(tmp_path)
    token = command.add("anna")
    assert server.who(token) == "anna"
    again = command.add("ben")
    assert server.who(again) == "ben"
    command.remove("anna")
    assert (server.who(token), server.names()) == (None, ["ben"])
    command.file.unlink()
    assert server.who(again) is None


def test_names_made_at_once_are_all_kept(tmp_path: Path) -> None:
    names = [f"user{i}" for i in range(40)]
    with ThreadPoolExecutor(8) as threads:
        made = dict(zip(names, threads.map(lambda name: Tokens(tmp_path).add(name), names), strict=True))
    tokens = Tokens(tmp_path)
    assert {name: tokens.who(token) for name, token in made.items()} == {name: name for name in names}


@pytest.mark.parametrize("name", ["", "local", "-x", "a b", "a/b", "é", "x" * 65, "a\n"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument):
        Tokens(tmp_path).add(name)
    assert not list(tmp_path.iterdir())


def test_a_name_has_one_token(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("anna")
    with pytest.raises(InvalidArgument, match="has a token already"):
        tokens.add("anna")
    assert tokens.who(token) == "anna"
    with pytest.raises(NotFound) as caught:
        tokens.remove("ana")
    assert caught.value.near == ("anna",)


def test_a_broken_file_lets_nobody_in_and_names_no_folder(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("anna")
    tokens.file.write_text('{"tokens": {"anna": 3}}')
    with pytest.raises(EarthloomError, match="cannot be read") as caught:
        tokens.who(token)
    assert str(tmp_path) not in str(caught.value)


def test_who_asks(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("anna")
    alone, shared = Access(tokens), Access(tokens, shared=True)
    assert alone.principal(None) == "local"
    assert alone.principal(token) == shared.principal(token) == "anna"
    own = Access(tokens, own=hashlib.sha256(b"mine").hexdigest())
    assert own.principal("mine") == "local"
    for access, wrong in ((alone, "x"), (shared, "x"), (shared, None), (own, None), (own, "x"), (own, token)):
        with pytest.raises(Unauthorized) as caught:
            access.principal(wrong)
        assert token not in str(caught.value)


def test_a_token_ends(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token, forever = tokens.add("anna", days=30), tokens.add("ben")
    ends = tokens.all()["anna"].ends
    assert ends is not None
    assert timedelta(days=29) < ends - datetime.now(UTC) <= timedelta(days=30)
    assert (tokens.who(token), tokens.all()["ben"].ends) == ("anna", None)
    text = tokens.file.read_text()
    tokens.file.write_text(text.replace(ends.isoformat(), "2020-01-31T08:30:00+00:00"))
    assert (tokens.who(token), tokens.who(forever)) == (None, "ben")
    with pytest.raises(Unauthorized, match="This token of anna ended on 2020-01-31 at 08:30 UTC"):
        Access(tokens).principal(token)
    for days in (0, -1, 10**9):
        with pytest.raises(InvalidArgument, match="cannot count for"):
            tokens.add("clara", days=days)


def test_a_name_has_groups(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("anna", groups=["forest", "water", "forest"])
    assert (tokens.groups("anna"), tokens.groups("ben")) == (("forest", "water"), ())
    Tokens(tmp_path).set_groups("anna", ["ice"])
    assert (tokens.groups("anna"), tokens.who(token)) == (("ice",), "anna")
    with pytest.raises(InvalidArgument):
        tokens.set_groups("anna", ["a b"])
    with pytest.raises(NotFound) as caught:
        tokens.set_groups("ana", ["ice"])
    assert caught.value.near == ("anna",)


def test_the_last_use_is_kept_once_an_hour(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("anna")
    access = Access(tokens)
    assert tokens.all()["anna"].used is None
    for _ in range(3):
        access.note_use("anna")
        access.note_use("local")
    deadline = time.monotonic() + 10
    while tokens.all()["anna"].used is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert tokens.all()["anna"].used == this_hour()
    written = tokens.file.stat().st_ino
    access.note_use("anna")
    Access(Tokens(tmp_path)).note_use("anna")
    assert (tokens.file.stat().st_ino, tokens.who(token)) == (written, "anna")


def test_tokens_made_by_an_older_version_count(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"old").hexdigest()
    (tmp_path / "tokens.json").write_text(f'{{"tokens": {{"anna": {{"sha256": "{digest}"}}}}}}')
    assert Tokens(tmp_path).who("old") == "anna"
