"""If-Match."""

from __future__ import annotations

import pytest
from datapunk.errors import PreconditionFailedError
from datapunk.preconditions import require_match


@pytest.mark.parametrize("header", [None, "*", '"a"', '"b", "a"', ' "a" '])
def test_the_state_that_was_read_passes(header: str | None) -> None:
    # Given / When
    require_match(header, '"a"')
    # Then
    with pytest.raises(PreconditionFailedError):
        require_match('"b"', '"a"')


@pytest.mark.parametrize("header", ["", '"b"', "a", 'W/"a"', '"b", W/"a"'])
def test_another_state_does_not(header: str) -> None:
    # Given / When / Then
    with pytest.raises(PreconditionFailedError):
        require_match(header, '"a"')
