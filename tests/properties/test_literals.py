"""A constant that travels with a function is the same value there."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from earthloom.base.tilecontext import RESULT_TYPES
from earthloom.chain.literal import literal

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
numbers = hnp.arrays(
    st.sampled_from([np.dtype(t) for t in RESULT_TYPES]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
keys = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars | numbers | numbers.filter(lambda a: a.ndim == 0).map(lambda a: a[()]) | st.frozensets(keys, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal in type and value to the last bit; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        bits = np.array_equal(a, b, equal_nan=True) if np.isnan(a).any() else a.tobytes() == b.tobytes()
        return a.dtype == b.dtype and a.shape == b.shape and bits
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(map(repr, a)) == list(map(repr, b)) and all(map(same, a.values(), b.values()))
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)


@settings(deadline=None)
@given(values)
def test_a_literal_gives_its_value_again_on_one_line(value: Any) -> None:
    text = literal(value, "V")
    assert "\n" not in text
    assert same(eval(text, {"numpy": np}), value)
