"""Forms."""

from __future__ import annotations

import pytest
from datapunk.errors import MalformedRequestError
from datapunk.forms import read_form
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.dictionaries(TEXT, TEXT, min_size=1, max_size=8))
def test_what_a_browser_writes_is_read(fields: dict[str, str]) -> None:
    from urllib.parse import urlencode

    # Given
    content = urlencode(fields).encode()
    # When / Then
    assert read_form(content) == fields


@pytest.mark.parametrize(
    "content",
    [b"a", b"a=1&a=2", b"a=1&&b=2", b"a=%FF", "a=ü".encode(), b"&".join([b"a=1"] * 51)],
)
def test_what_is_no_form_or_says_two_things_is_refused(content: bytes) -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError):
        read_form(content)
