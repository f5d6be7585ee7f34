"""JSON that answers are written as."""

from __future__ import annotations

import json
from typing import Any

import pytest
from datapunk.proxy import dumps
from hypothesis import example, given
from hypothesis import strategies as st

# Text may hold halves of surrogate pairs: JSON can escape them, and what reads JSON hands them on.
_TEXTS = st.text(st.characters())
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(value=_VALUES)
@example(value="\ud800")
@example(value={"\udfff": [2**64]})
@example(value=[2**64, "\ud800"])
def test_what_is_written_reads_the_same_and_can_be_sent(value: Any) -> None:
    # Given / When
    written = dumps(value)
    # Then
    assert json.loads(written) == value
    assert json.loads(written.encode()) == value


def test_what_holds_itself_cannot_be_written() -> None:
    # Given
    value: dict[str, Any] = {}
    value["itself"] = value
    # When / Then
    with pytest.raises(ValueError, match=r"[Cc]ircular"):
        dumps(value)
