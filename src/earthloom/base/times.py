"""Dates and intervals in UTC. openEO's intervals are half open: [start, end)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from earthloom.base.errors import InvalidArgument

_YEAR, _MONTH, _DAY = re.compile(r"\d{4}$"), re.compile(r"\d{4}-\d{2}$"), re.compile(r"\d{4}-\d{2}-\d{2}$")


def parse(text: str | date) -> datetime:
    """A date or date-time as UTC; a year, a month or a day is its first midnight.

    Raises
    ------
    InvalidArgument
        If it is no ISO 8601 date.
    """
    if isinstance(text, datetime):
        when = text
    elif isinstance(text, date):
        when = datetime(text.year, text.month, text.day)
    else:
        long = text + "-01-01" if _YEAR.match(text) else text + "-01" if _MONTH.match(text) else text
        try:
            when = datetime.fromisoformat(long)
        except ValueError:
            raise InvalidArgument(
                f'"{text}" is not a date.', hint="Write 2020, 2020-05, 2020-05-18 or 2020-05-18T10:21:01Z."
            ) from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def parse_end(text: str | date) -> datetime:
    """The first moment after `text`: a year, a month or a day counts whole, a date-time as it is."""
    start = parse(text)
    if isinstance(text, datetime):
        return start
    if isinstance(text, date) or _DAY.match(text):
        return start + timedelta(days=1)
    if _MONTH.match(text):
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    if _YEAR.match(text):
        return start.replace(year=start.year + 1)
    return start


def to_text(when: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ`, with a fraction only if it is not zero."""
    when = when.astimezone(UTC)
    fraction = f".{when.microsecond:06d}".rstrip("0") if when.microsecond else ""
    return f"{when.year:04d}-{when:%m-%dT%H:%M:%S}{fraction}Z"


def to_ms(when: datetime) -> int:
    """Milliseconds since 1970."""
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """The inverse of `to_ms`."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
