"""Tokens: who may ask, by name. The data folder holds their SHA-256 only; a token is shown once, when it is made."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.server.datafile import DataFile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MOST_DAYS = 36_500
LOCAL = "local"  # who asks a server on loopback without a token


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Parameters
    ----------
    sha256
        Its digest, as hex digits.
    groups
        The groups of its name.
    made, ends, used
        When it was made, from when on it counts no more (None: it never ends), and in which hour it was last used.
        None where it is not known.
    """

    sha256: str
    groups: tuple[str, ...] = ()
    made: datetime | None = None
    ends: datetime | None = None
    used: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it counts no more."""
        return self.ends is not None and self.ends <= datetime.now(UTC)


class Tokens:
    """The tokens of a data folder, in its file `tokens.json`. Safe to use from several threads and processes.

    Parameters
    ----------
    data
        The data folder.
    """

    def __init__(self, data: Path) -> None:
        self._table = DataFile(
            data / "tokens.json", _read, _write, "Remove it from the data folder, and make the tokens anew."
        )
        self.file = self._table.path

    def add(self, name: str, *, groups: Iterable[str] = (), days: int | None = None) -> str:
        """Make a token for a new name.

        Parameters
        ----------
        name
            Who asks with it.
        groups
            Groups that the name belongs to.
        days
            For how long it counts; None is without end.

        Returns
        -------
        The token. It is kept nowhere.

        Raises
        ------
        InvalidArgument
            If the name or a group is none, the name has a token already, or days is not 1 or more.
        """
        check_name(name, "name for a token", "name")
        groups = _groups(groups)
        if name == LOCAL:
            raise InvalidArgument(f'"{LOCAL}" is who asks without a token.', hint="Take another name.", argument="name")
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise InvalidArgument(f"A token cannot count for {days} days.", hint="1 is the least.", argument="days")
        token, now = secrets.token_urlsafe(32), datetime.now(UTC).replace(microsecond=0)
        with self._table.changed() as kept:
            if name in kept:
                raise InvalidArgument(
                    f'"{name}" has a token already.', hint=f"earthloom token remove {name}", argument="name"
                )
            kept[name] = Token(sha256(token), groups, now, None if days is None else now + timedelta(days=days))
        return token

    def remove(self, name: str) -> None:
        """Forget the token of a name; NotFound with near names if there is none."""
        with self._table.changed() as kept:
            self._named(kept, name)
            del kept[name]

    def set_groups(self, name: str, groups: Iterable[str]) -> None:
        """Put a name into these groups and no others; NotFound with near names if it has no token."""
        groups = _groups(groups)
        with self._table.changed() as kept:
            kept[name] = replace(self._named(kept, name), groups=groups)

    def names(self) -> list[str]:
        """Who has a token."""
        return sorted(self._table.current())

    def all(self) -> Mapping[str, Token]:
        """What is kept of each, by name."""
        return self._table.current()

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups of a name; none if it has no token."""
        kept = self._table.current().get(name)
        return () if kept is None else kept.groups

    def find(self, token: str) -> tuple[str, Token] | None:
        """Name and entry of a token, also of one that has ended; None if nobody has it.

        A change of the file counts at once.
        """
        digest, found = sha256(token), None
        # All are compared, each in constant time: how long this takes says nothing of what is kept.
        for name, kept in self._table.current().items():
            if hmac.compare_digest(digest, kept.sha256):
                found = name, kept
        return found

    def who(self, token: str) -> str | None:
        """The name of a token; None if nobody has it, or it has ended."""
        found = self.find(token)
        return None if found is None or found[1].ended else found[0]

    def note_use(self, name: str) -> None:
        """Keep that a name asks in this hour, if that is not kept yet."""
        hour = this_hour()
        with self._table.changed() as kept:
            if name in kept:
                kept[name] = replace(kept[name], used=hour)

    @staticmethod
    def _named(kept: Mapping[str, Token], name: str) -> Token:
        if name not in kept:
            raise NotFound.name("token", name, kept)
        return kept[name]


def this_hour() -> datetime:
    """The hour that is now: when a token was used is kept no finer."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def check_name(name: str, what: str, argument: str) -> None:
    """Raise InvalidArgument unless `name` can be a name or a group."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'"{name[:80]}" is no {what}.',
            hint="Letters, digits and . _ @ - are taken, at most 64, the first one a letter or digit.",
            argument=argument,
        )


def _groups(groups: Iterable[str]) -> tuple[str, ...]:
    groups = tuple(sorted(set(groups)))
    for group in groups:
        check_name(group, "name of a group", "group")
    return groups


def _read(entry: Any) -> Token:
    def time(name: str) -> datetime | None:
        text = entry.get(name)
        return None if text is None else datetime.fromisoformat(text).astimezone(UTC)

    groups = tuple(str(group) for group in entry.get("groups", ()))
    return Token(str(entry["sha256"]), groups, time("made"), time("ends"), time("used"))


def _write(token: Token) -> dict[str, Any]:
    times = {"made": token.made, "ends": token.ends, "used": token.used}
    groups = {"groups": list(token.groups)} if token.groups else {}
    return {"sha256": token.sha256} | groups | {n: t.isoformat() for n, t in times.items() if t is not None}


def sha256(token: str) -> str:
    """What is kept of a token, as hex digits."""
    # Tokens are random and long: nothing slower than SHA-256 is needed against guessing.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
