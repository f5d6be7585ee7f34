"""Errors between services: whatever comes back is read as an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from datapunk.errors import (
    DatapunkError,
    DeadlineExceededError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    error_classes,
)
from datapunk.mesh.faults import as_connect, code_of, error_of, from_connect, status_of
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "details", "type", "value", "message"]), inner)
    ),
    max_leaves=12,
)


@given(st.sampled_from([200, 301, 400, 404, 418, 500, 503, 504]), JSON)
def test_any_answer_is_read_as_an_error(status: int, document: Any) -> None:
    # Given / When
    error = from_connect("lake", status, json.dumps(document).encode())
    # Then
    assert isinstance(error, DatapunkError)


@given(st.binary(max_size=60))
def test_anything_at_all_is_read_as_an_error(content: bytes) -> None:
    # Given / When / Then
    assert isinstance(from_connect("lake", 502, content), DatapunkError)
    assert isinstance(error_of(content), DatapunkError | None)


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (404, {"code": "not_found", "message": "No."}, NotFoundError),
        (401, {"type": "urn:x", "code": "unauthenticated", "detail": "Who?"}, UnauthenticatedError),
        (403, {"code": "permission_denied"}, ForbiddenError),
        (429, {"message": "Too many."}, TooManyRequestsError),
        (504, None, DeadlineExceededError),
        (503, {"code": "unavailable"}, UnavailableError),
        (502, "<html>", UnavailableError),
        (500, {"code": "internal", "message": "Secret."}, DatapunkError),
    ],
)
def test_what_others_between_answer_is_understood(
    status: int, document: Any, kind: type[DatapunkError]
) -> None:
    # Given / When
    error = from_connect("lake", status, json.dumps(document).encode())
    # Then
    assert type(error) is kind
    assert "Secret" not in error.detail


@pytest.mark.parametrize("cls", error_classes())
def test_every_error_has_a_code_and_a_status_of_connect(cls: type[DatapunkError]) -> None:
    # Given
    error = cls("redis") if issubclass(cls, UnavailableError) else cls("What.")
    # When
    body = as_connect(error)
    # Then
    assert status_of(code_of(error)) in {400, 401, 403, 404, 409, 415, 429, 500, 503, 504}
    assert type(from_connect("lake", 400, body)) is cls
