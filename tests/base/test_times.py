"""Dates in, UTC out; ends of periods count whole."""

import pytest

from earthloom.base import times
from earthloom.base.errors import InvalidArgument


@pytest.mark.parametrize(
    ("start", "first", "after"),
    [
        ("2020", "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        ("2020-12", "2020-12-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        ("2020-02-29", "2020-02-29T00:00:00Z", "2020-03-01T00:00:00Z"),
        ("2020-05-18T10:21:01+02:00", "2020-05-18T08:21:01Z", "2020-05-18T08:21:01Z"),
        ("2020-05-18T10:21:01.25Z", "2020-05-18T10:21:01.25Z", "2020-05-18T10:21:01.25Z"),
    ],
)
def test_period(start, first, after):
    assert times.to_text(times.parse(start)) == first
    assert times.to_text(times.parse_end(start)) == after


@pytest.mark.parametrize("text", ["", "yesterday", "2020-13", "2020-02-30"])
def test_no_date(text):
    with pytest.raises(InvalidArgument, match="is not a date"):
        times.parse(text)


def test_milliseconds_there_and_back():
    when = times.parse("1969-12-31T23:59:59.5Z")
    assert times.to_ms(when) == -500
    assert times.from_ms(-500) == when
