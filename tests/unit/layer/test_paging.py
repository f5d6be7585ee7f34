"""Cursors go round, and nothing but a cursor of the same list is taken."""

from __future__ import annotations

import base64

import orjson
import pytest
from datapunk.errors import InvalidInputError
from datapunk.paging import decode_cursor, encode_cursor
from hypothesis import assume, given
from hypothesis import strategies as st

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
POSITIONS = st.lists(VALUES, max_size=6)
SHAPES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(SHAPES, POSITIONS)
def test_a_cursor_goes_round(shape: str, position: list[object]) -> None:
    # Given
    cursor = encode_cursor(shape, position)
    # When
    found = decode_cursor(shape, cursor, len(position))
    # Then
    assert found == position
    assert all(sign.isalnum() or sign in "-_" for sign in cursor)


@given(SHAPES, SHAPES, POSITIONS)
def test_a_cursor_of_another_list_is_refused(a: str, b: str, position: list[object]) -> None:
    # Given
    assume(a != b)
    cursor = encode_cursor(a, position)
    # When / Then
    with pytest.raises(InvalidInputError) as raised:
        decode_cursor(b, cursor, len(position))
    assert [error.field for error in raised.value.errors] == ["cursor"]


@given(st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda b: b.decode("latin-1"))))
def test_anything_else_is_refused_as_input(text: str) -> None:
    # Given / When / Then
    with pytest.raises(InvalidInputError):
        decode_cursor("list", text, 1)


@given(POSITIONS, st.data())
def test_a_cut_or_lengthened_cursor_is_refused(position: list[object], data: st.DataObject) -> None:
    # Given
    cursor = encode_cursor("list", position)
    place = data.draw(st.integers(0, len(cursor) - 1))
    # When
    for tampered in (cursor[:place], cursor + cursor):
        # Then
        with pytest.raises(InvalidInputError):
            decode_cursor("list", tampered, len(position))


@pytest.mark.parametrize("value", [{}, [], "text", 1, None, ["0" * 8, 1], [1, 2]])
def test_wellformed_json_that_is_no_cursor_is_refused(value: object) -> None:
    # Given
    cursor = base64.urlsafe_b64encode(orjson.dumps(value)).decode()
    # When / Then
    with pytest.raises(InvalidInputError):
        decode_cursor("list", cursor, 1)
