"""What a function returned, as an HTTP response (Lambda proxy integration, REST API)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from infrastructure.local.data_plane.media_types import is_binary

# Headers that API Gateway keeps for itself; a function's value moves to another name.
# Source: "Amazon API Gateway important notes" in the developer guide.
REMAPPED = frozenset(
    {
        "connection",
        "content-length",
        "content-md5",
        "date",
        "expect",
        "host",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "trailer",
        "upgrade",
        "user-agent",
        "www-authenticate",
    }
)
DROPPED = frozenset({b"transfer-encoding", b"te"})
STATUSES = range(100, 1000)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
LINE_BREAK = re.compile(r"[\r\n\0]")


class MalformedResponseError(ValueError):
    """The function's answer is none that API Gateway can send."""


@dataclass(slots=True)
class Response:
    """Status, headers (names in lower case) and body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def read_response(payload: bytes, accept: str, binary_types: tuple[str, ...]) -> Response:
    """Turn a function's answer into a response.

    A body marked as base64 is decoded only if the first media type of `Accept` is a binary type of
    the API; otherwise it is sent as it is, as API Gateway does. Raises `MalformedResponseError`,
    which says what is wrong.
    """
    try:
        answer: Any = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise MalformedResponseError(f"the answer is no JSON ({error})") from error
    if not isinstance(answer, dict):
        raise MalformedResponseError("the answer is no object with statusCode, headers and body")
    status = _status(answer.get("statusCode"))
    headers = _headers(answer.get("headers"), answer.get("multiValueHeaders"))
    text = answer.get("body")
    if text is None:
        body = b""
    elif isinstance(text, str):
        body = text.encode("utf-8", "replace")
    else:
        raise MalformedResponseError("body is no string; encode it, for instance as JSON text")
    if answer.get("isBase64Encoded") is True and binary_types:
        first = accept.partition(",")[0]
        if is_binary(first, binary_types):
            try:
                body = base64.b64decode(body, validate=True)
            except binascii.Error as error:
                raise MalformedResponseError("body is no base64, yet says so") from error
    return Response(status, headers, body)


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value not in STATUSES:
        raise MalformedResponseError(f"statusCode is {value!r}; it must be an HTTP status")
    return value


def _headers(single: Any, multiple: Any) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    if multiple is not None:
        for name, values in _items(multiple):
            if not isinstance(values, list):
                raise MalformedResponseError(f"multiValueHeaders {name!r} is no list")
            pairs.extend((_name(name), _value(name, value)) for value in values)
    if single is not None:
        for name, value in _items(single):
            pair = (_name(name), _value(name, value))
            if pair not in pairs:  # what stands in both is sent once
                pairs.append(pair)
    named = {name for name, _ in pairs}
    if b"content-type" not in named:
        pairs.append((b"content-type", b"application/json"))
    if not named.isdisjoint(DROPPED):
        pairs = [pair for pair in pairs if pair[0] not in DROPPED]
    return pairs


def _items(headers: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(headers, dict):
        raise MalformedResponseError("headers are no object")
    return headers.items()


@lru_cache(maxsize=4096)
def _name(name: str) -> bytes:
    """Return a header's name as it is sent."""
    if HEADER_NAME.fullmatch(name) is None:
        raise MalformedResponseError(f"{name!r} is no name of a header")
    lower = name.lower()
    return (f"x-amzn-remapped-{lower}" if lower in REMAPPED else lower).encode()


def _value(name: str, value: Any) -> bytes:
    """Return a header's value as it is sent: numbers and booleans become text."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int | float):
        return str(value).encode()
    if not isinstance(value, str) or LINE_BREAK.search(value):
        raise MalformedResponseError(f"header {name!r} has a value that is no text of one line")
    return value.encode("latin-1", "replace")
