"""Every error of ours, as data: what was wrong, where, the nearest valid choice, and what to do.

    EarthloomError
    ├── InvalidArgument      a value that a parameter, setting or route does not take
    ├── NotFound             a name that does not exist: collection, band, place, process, chain
    ├── InvalidGraph         a process graph that cannot be read: limits, cycles, missing nodes
    ├── EmptySelection       filters that leave no item
    ├── ReadError            a file that is missing, corrupt or of a kind that we do not read
    ├── TooLarge             more than a tile or an answer may cost
    ├── NeedsWholeImage      a process without a margin, asked for on a tile
    ├── FunctionFailed       a user's own function that raised, took too long, or gave what is no result
    ├── NotSupported         what this server cannot or may not do
    ├── Unauthorized         nobody known asks
    ├── Busy                 a server that answers later
    ├── TooManyRequests      one who asks more than their share
    └── Unavailable          a server or engine that does not answer

The message of the HTTP answer, the notebook and the command line are made from the same object.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self


class EarthloomError(Exception):
    """Base of all errors of ours.

    Parameters
    ----------
    message
        One sentence that names what was wrong, with the names as the user wrote them.
    hint
        What to do, as a sentence; empty if the message says it.
    near
        The nearest valid names, best first.
    where
        Where it was wrong: any of node, argument, collection, band, item, file, place.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", near: Iterable[str] = (), **where: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.near = tuple(near)
        self.where = {name: value for name, value in where.items() if value is not None}

    def __str__(self) -> str:
        near = f" Near names: {', '.join(self.near)}." if self.near else ""
        hint = f" {self.hint}" if self.hint else ""
        # The words of others, such as those of a user's exception, end as they like.
        end = "." if (near or hint) and not self.message.endswith((".", "!", "?")) else ""
        return f"{self.message}{end}{near}{hint}"

    def at(self, **where: Any) -> Self:
        """Add where it happened, keeping what is known already; gives the error itself, to be raised."""
        self.where = {name: value for name, value in where.items() if value is not None} | self.where
        return self

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the user's own line and the message, without our frames or the server's."""
        frames = traceback.extract_tb(self.__traceback__)
        ours = str(Path(__file__).parents[1])
        own = [f for f in frames if not f.filename.startswith(ours) and "IPython" not in f.filename]
        line = [f"In line {own[-1].lineno}:  {own[-1].line}"] if own and own[-1].line else []
        return [*line, f"{type(self).__name__}: {self}"]

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON: code, message, hint, near, where."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "near": list(self.near),
            "where": self.where,
        }

    @staticmethod
    def from_dict(doc: dict[str, Any]) -> EarthloomError:
        """The error that `to_dict` wrote; an unknown code gives the base class."""
        kind = {cls.code: cls for cls in _family(EarthloomError)}.get(doc.get("code", ""), EarthloomError)
        return kind(
            str(doc.get("message", "The server gave no reason.")),
            hint=str(doc.get("hint") or ""),
            near=doc.get("near") or (),
            **{str(k): v for k, v in (doc.get("where") or {}).items()},
        )


class InvalidArgument(EarthloomError):
    """A value that a parameter does not take."""

    code = "invalid-argument"


class NotFound(EarthloomError):
    """A name that does not exist.

    `NotFound.name("band", "B8", known, collection="sentinel2-series")` writes the sentence and the near names.
    """

    code = "not-found"

    @classmethod
    def name(cls, what: str, name: str, known: Iterable[str], *, within: str = "", **where: Any) -> Self:
        """No `what` called `name` among `known`."""
        known = list(known)
        near = nearest(name, known)
        hint = "" if near or not known else f"There are: {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}."
        place = f" in {within}" if within else ""
        return cls(f'No {what} "{name}"{place}.', near=near, hint=hint, **where)


class InvalidGraph(EarthloomError):
    """A process graph that cannot be read."""

    code = "invalid-graph"


class EmptySelection(EarthloomError):
    """Filters that leave no item."""

    code = "empty-selection"


class ReadError(EarthloomError):
    """A file that cannot be read."""

    code = "read-error"


class TooLarge(EarthloomError):
    """More than a tile or an answer may cost."""

    code = "too-large"


class NeedsWholeImage(EarthloomError):
    """A process that needs the whole image, asked for on a tile."""

    code = "needs-whole-image"


class FunctionFailed(EarthloomError):
    """A user's own function that raised an exception, took too long, or gave what is no result.

    `where` may hold node, function, line, place (zoom/column/row), reason ("exception", "result", "timeout", "memory",
    "killed", "import", "syntax") and traceback: text with the user's own lines, nothing of the server.
    """

    code = "function-failed"

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the lines of the function that failed, then the message."""
        trace = str(self.where.get("traceback", "")).splitlines()
        if trace and trace[-1] in self.message:  # said once is enough
            trace.pop()
        return [*trace, *super()._render_traceback_()]


class NotSupported(EarthloomError):
    """What this server cannot or may not do."""

    code = "not-supported"


class Unauthorized(EarthloomError):
    """A request without a token, or with one that is not known."""

    code = "unauthorized"


class Busy(EarthloomError):
    """A server that has too much to do; `where` holds retry_after [s]."""

    code = "busy"


class TooManyRequests(EarthloomError):
    """More than the share of who asks; `where` holds retry_after [s]."""

    code = "too-many-requests"


class Unavailable(EarthloomError):
    """A server or engine that does not answer."""

    code = "unavailable"


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first; upper and lower case are one."""
    lower: dict[str, str] = {}
    for k in known:
        lower.setdefault(k.lower(), k)
    matches = difflib.get_close_matches(name.lower(), list(lower), n=count, cutoff=0.55)
    return [lower[m] for m in matches]


def _family(cls: type[EarthloomError]) -> list[type[EarthloomError]]:
    return [cls, *(c for sub in cls.__subclasses__() for c in _family(sub))]
