"""Tokens: who may ask, by name. The data folder holds their SHA-256 only; a token is shown once, when it is made."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earthloom.base.errors import EarthloomError, InvalidArgument, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
LOCAL = "local"  # who asks a server on loopback without a token


class Tokens:
    """The tokens of a data folder, in its file `tokens.json`. Safe to use from several threads and processes.

    Parameters
    ----------
    data
        The data folder.
    """

    def __init__(self, data: Path) -> None:
        self.file = data / "tokens.json"
        self._seen: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}

    def add(self, name: str) -> str:
        """Make a token for a new name.

        Returns
        -------
        The token. It is kept nowhere.

        Raises
        ------
        InvalidArgument
            If the name is none, or has a token already.
        """
        if not _NAME.fullmatch(name):
            raise InvalidArgument(
                f'"{name[:80]}" is no name for a token.',
                hint="Letters, digits and . _ @ - are taken, at most 64, the first one a letter or digit.",
                argument="name",
            )
        if name == LOCAL:
            raise InvalidArgument(f'"{LOCAL}" is who asks without a token.', hint="Take another name.", argument="name")
        token = secrets.token_urlsafe(32)
        with self._changed() as hashes:
            if name in hashes:
                raise InvalidArgument(
                    f'"{name}" has a token already.', hint=f"earthloom token remove {name}", argument="name"
                )
            hashes[name] = sha256(token)
        return token

    def remove(self, name: str) -> None:
        """Forget the token of a name; NotFound with near names if there is none."""
        with self._changed() as hashes:
            if name not in hashes:
                raise NotFound.name("token", name, hashes)
            del hashes[name]

    def names(self) -> list[str]:
        """Who has a token."""
        return sorted(self._current())

    def who(self, token: str) -> str | None:
        """The name of a token; None if nobody has it. A change of the file counts at once."""
        digest, found = sha256(token), None
        # All are compared, each in constant time: how long this takes says nothing of what is kept.
        for name, kept in self._current().items():
            if hmac.compare_digest(digest, kept):
                found = name
        return found

    def _current(self) -> dict[str, str]:
        """Name -> SHA-256, read again when the file is another one."""
        try:
            state = self.file.stat()
        except FileNotFoundError:
            return {}
        seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        if seen != self._seen:
            self._hashes, self._seen = self._read(), seen
        return self._hashes

    def _read(self) -> dict[str, str]:
        try:
            document = json.loads(self.file.read_text(encoding="utf-8"))
            return {str(name): str(entry["sha256"]) for name, entry in document["tokens"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not its path: whoever asks the server is told this.
            raise EarthloomError(
                "The list of tokens cannot be read.",
                hint="Remove tokens.json from the data folder, and make the tokens anew.",
            ) from None

    @contextmanager
    def _changed(self) -> Iterator[dict[str, str]]:
        """What is kept, to be changed; written when the block ends well. One process at a time."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            hashes = self._read()
            yield hashes
            self._write(hashes)
        finally:
            os.close(folder)

    def _write(self, hashes: dict[str, str]) -> None:
        document = {"tokens": {name: {"sha256": digest} for name, digest in hashes.items()}}
        # A new file, for the rename makes it whole at once; made by mkstemp, nobody else ever may read it (0600).
        descriptor, new = tempfile.mkstemp(dir=self.file.parent, prefix="tokens.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(descriptor)
            os.rename(new, self.file)
        except BaseException:
            os.unlink(new)
            raise


def sha256(token: str) -> str:
    """What is kept of a token, as hex digits."""
    # Tokens are random and long: nothing slower than SHA-256 is needed against guessing.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
