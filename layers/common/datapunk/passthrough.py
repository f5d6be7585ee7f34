"""Requests and answers that are handed on as they are: any media type, every header, bytes as they came."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aws_lambda_powertools.event_handler import Response

from datapunk.errors import BadGatewayError
from datapunk.received import Received

MOST_ANSWER = 6 * 1024 * 1024 - 64 * 1024
"""Bytes of an answer's body as Lambda counts them: within JSON, in base64 where it is no text."""
_SURELY_FITS = MOST_ANSWER // 6
"""No byte takes more than six in JSON."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came. Header names are in lower case; the path is still percent-encoded."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Sequence[tuple[str, str]]
    body: bytes
    source: str
    host: str


def read_raw(event: Mapping[str, Any]) -> RawRequest:
    """Return the request of a REST API event.

    Raises MalformedRequestError for a body that is not the base64 it says it is.
    """
    context = event.get("requestContext") or {}
    query = _lists(event, "multiValueQueryStringParameters", "queryStringParameters")
    headers = _lists(event, "multiValueHeaders", "headers")
    return RawRequest(
        method=str(event.get("httpMethod") or ""),
        path=str(event.get("path") or ""),
        query=[(name, value) for name, values in query.items() for value in values],
        headers=[(name.lower(), value) for name, values in headers.items() for value in values],
        body=Received(dict(event)).content(),
        source=str((context.get("identity") or {}).get("sourceIp") or ""),
        host=str(context.get("domainName") or ""),
    )


def raw_response(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Response[Any]:
    """Return an answer with all of its headers: as text if it is text, otherwise in base64.

    Raises BadGatewayError when it is larger than Lambda can return.
    """
    found: dict[str, str | list[str]] = {}
    for name, value in headers:
        known = found.get(name)
        if known is None:
            found[name] = value
        else:
            found[name] = [*([known] if isinstance(known, str) else known), value]
    kind = found.pop("content-type", "application/octet-stream" if body else "text/plain")
    binary = False
    try:
        content = body.decode()
        size = len(body) if len(body) < _SURELY_FITS else len(orjson.dumps(content))
    except UnicodeDecodeError:
        content, binary = base64.b64encode(body).decode(), True
        size = len(content)
    if size > MOST_ANSWER:
        raise BadGatewayError(f"The answer has {len(body):,} bytes, more than can be returned.")
    response: Response[Any] = Response(
        status_code=status,
        content_type=kind if isinstance(kind, str) else kind[0],
        body=content,
        headers=found,
    )
    response.base64_encoded = binary
    return response


def _lists(event: Mapping[str, Any], multiple: str, single: str) -> dict[str, list[str]]:
    lists = event.get(multiple)
    if lists:
        return {name: list(values) for name, values in lists.items()}
    return {name: [value] for name, value in (event.get(single) or {}).items()}
