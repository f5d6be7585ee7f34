"""What a function returned, as HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.local.data_plane.proxy_response import (
    MalformedResponseError,
    Response,
    read_response,
)


def read(answer: Any, accept: str = "", binary: tuple[str, ...] = ()) -> Response:
    return read_response(json.dumps(answer).encode(), accept, binary)


def test_defaults() -> None:
    # When
    response = read({"statusCode": "204"})
    # Then
    assert (response.status, response.body) == (204, b"")
    assert response.headers == [(b"content-type", b"application/json")]


def test_headers_of_both_kinds() -> None:
    # When
    response = read(
        {
            "statusCode": 200,
            "headers": {"A": "1", "B": 2, "C": True, "Content-Type": "text/csv", "Date": "x"},
            "multiValueHeaders": {"A": ["1", "3"]},
        }
    )
    # Then
    assert response.headers == [
        (b"a", b"1"),
        (b"a", b"3"),
        (b"b", b"2"),
        (b"c", b"true"),
        (b"content-type", b"text/csv"),
        (b"x-amzn-remapped-date", b"x"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"statusCode": None},
        {"statusCode": "ok"},
        {"statusCode": 99},
        {"statusCode": True},
        {"statusCode": 200, "body": {}},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"A": None}},
        {"statusCode": 200, "headers": {"A": "b\r\nSet-Cookie: c"}},
        {"statusCode": 200, "headers": {"A\r\nB": "c"}},
        {"statusCode": 200, "headers": {"": "c"}},
        {"statusCode": 200, "multiValueHeaders": {"A": "b"}},
    ],
)
def test_malformed(answer: Any) -> None:
    with pytest.raises(MalformedResponseError):
        read(answer)


def test_not_base64_though_said_so() -> None:
    with pytest.raises(MalformedResponseError):
        read({"statusCode": 200, "body": "*", "isBase64Encoded": True}, "image/png", ("image/*",))


@pytest.mark.parametrize(
    ("accept", "binary", "decoded"),
    [
        ("image/png", ("image/png",), True),
        ("image/png;q=0.9, text/html", ("image/*",), True),
        ("text/html, image/png", ("image/png",), False),
        ("text/html", ("*/*",), True),
        ("", ("*~1*",), True),
        ("image/png", (), False),
    ],
)
def test_decoding_of_base64(accept: str, binary: tuple[str, ...], *, decoded: bool) -> None:
    # When
    response = read({"statusCode": 200, "body": "AAE=", "isBase64Encoded": True}, accept, binary)
    # Then
    assert response.body == (b"\x00\x01" if decoded else b"AAE=")


VALUES = st.none() | st.booleans() | st.integers() | st.text()
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "statusCode": st.integers(0, 1100) | VALUES,
        "headers": st.dictionaries(st.text(), VALUES) | VALUES,
        "multiValueHeaders": st.dictionaries(st.text(), st.lists(VALUES) | VALUES) | VALUES,
        "body": VALUES,
        "isBase64Encoded": VALUES,
    },
)


@given(ANSWERS | VALUES)
def test_any_answer_is_mapped_or_refused(answer: Any) -> None:
    """No answer of a function can break the gateway or split a response."""
    try:
        response = read(answer)
    except MalformedResponseError:
        return
    assert 100 <= response.status < 1000
    assert not any(set(value) & set(b"\r\n\0") for _, value in response.headers)
    assert not any(set(name) & set(b"\r\n: ") or not name for name, _ in response.headers)
