"""What becomes of a function's result: type, no data, the mask of what went in."""

from __future__ import annotations

import numpy as np
import pytest

from earthloom.base.tilecontext import FunctionProblem
from earthloom.base.tileresult import finish

YX, BANDS, SERIES, STACK = ("y", "x"), ("bands", "y", "x"), ("t", "y", "x"), ("t", "bands", "y", "x")
ALL = np.ones((1, 2), bool)
NAN = np.nan


@pytest.mark.parametrize(
    ("result", "wanted"),
    [("bool", "float32"), ("int16", "float32"), ("uint16", "float32"), ("float16", "float32"), ("float32", "float32"),
     ("int32", "float64"), ("uint32", "float64"), ("int64", "float64"), ("float64", "float64")],
)  # fmt: skip
def test_types_are_those_of_cubes(result: str, wanted: str) -> None:
    values, warnings = finish(np.array([[0, 1]], result), YX, ALL, YX)
    assert (values.dtype.name, values.tolist(), warnings) == (wanted, [[0, 1]], [])


def test_a_pixel_has_data_where_all_bands_have() -> None:
    valid = np.array([[[True, True]], [[True, False]]])
    assert np.isnan(finish(np.ones((1, 2)), YX, valid, BANDS)[0]).tolist() == [[False, True]]
    assert np.isnan(finish(np.ones((3, 1, 2)), BANDS, valid, BANDS)[0]).tolist() == [[[False, True]]] * 3


def test_of_dates_one_is_enough_unless_they_are_kept() -> None:
    valid = np.array([[[[True, False]]], [[[False, False]]]])
    assert np.isnan(finish(np.ones((1, 2)), YX, valid, STACK)[0]).tolist() == [[False, True]]
    kept = finish(np.ones((2, 3, 1, 2)), STACK, valid, STACK)[0]
    assert np.isnan(kept[:, 0]).tolist() == [[[False, True]], [[True, True]]]
    assert np.isnan(finish(np.ones((2, 1, 2)), SERIES, valid[:, 0], SERIES)[0]).tolist() == [
        [[False, True]],
        [[True] * 2],
    ]


def test_the_function_may_decide_alone() -> None:
    hidden = np.zeros((1, 3), bool)
    values, _ = finish(np.array([[0, 5, 7]], np.uint16), YX, hidden, YX, own_mask=True, nodata=0)
    np.testing.assert_array_equal(values, [[NAN, 5, 7]])
    values, _ = finish(np.array([[0, NAN, 7]], np.float32), YX, hidden, YX, own_mask=True)
    np.testing.assert_array_equal(values, [[0, NAN, 7]])


def test_infinite_is_no_data_and_told() -> None:
    values, warnings = finish(np.array([[np.inf, 2.0]]), YX, ALL, YX)
    np.testing.assert_array_equal(values, [[NAN, 2]])
    assert warnings == ["Infinite values count as no data; there are 1."]


def test_a_declared_type_is_checked_and_never_wraps() -> None:
    values, _ = finish(np.array([[2.6, NAN]]), YX, ALL, YX, dtype="uint8")
    np.testing.assert_array_equal(values, [[3, NAN]])
    assert values.dtype == np.float32
    assert finish(np.array([[0.1, 1]]), YX, ALL, YX, dtype="float32")[0][0, 0] == np.float32(0.1)
    for value, dtype in ((-1, "uint8"), (256, "uint8"), (2, "bool"), (1e39, "float32"), (70000, "float16")):
        with pytest.raises(FunctionProblem, match=f"{value:g}, which the declared {dtype}".replace("+", r"\+")):
            finish(np.array([[0, value]]), YX, ALL, YX, dtype=dtype)
    # What the mask hides is not looked at.
    finish(np.array([[0, 256]]), YX, np.array([[True, False]]), YX, dtype="uint8")
