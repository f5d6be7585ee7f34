"""A request as it was received, each part of it read once, however many look at it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from datapunk.errors import MalformedRequestError


class Received:
    """A proxy event of API Gateway; `headers` by lower-case name, several of one name joined by commas."""

    __slots__ = ("_content", "event", "headers")

    def __init__(self, event: dict[str, Any]) -> None:
        self.event = event
        self.headers = _headers(event)
        self._content: bytes | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the body is text of which each character is one byte."""
        body = self.event.get("body")
        return not self.event.get("isBase64Encoded") and isinstance(body, str) and body.isascii()

    def content_type(self) -> tuple[str, dict[str, str]]:
        """Return the body's media type in lower case and its parameters."""
        return read_content_type(self.headers.get("content-type", ""))

    def content(self) -> bytes:
        """Return the body's bytes. Raises MalformedRequestError when it is not base64 where it says so."""
        if self._content is None:
            self._content = _content(self.event)
        return self._content


def read_content_type(value: str) -> tuple[str, dict[str, str]]:
    """Return the media type in lower case and its parameters (RFC 9110, 8.3)."""
    if ";" not in value:
        return value.strip().lower(), {}
    media_type, *rest = value.split(";")
    pairs = (item.split("=", 1) for item in rest if "=" in item)
    parameters = {name.strip().lower(): text.strip().strip('"').lower() for name, text in pairs}
    return media_type.strip().lower(), parameters


def _headers(event: Mapping[str, Any]) -> dict[str, str]:
    multiple = event.get("multiValueHeaders")
    if multiple:
        return {name.lower(): ",".join(values) for name, values in multiple.items()}
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def _content(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRequestError("The body is not valid base64.") from None
