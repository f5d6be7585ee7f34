"""What a rule changes in requests and answers; bounded, so that no rule can be made to cost much."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from datapunk.context import TIMEOUT
from datapunk.hygiene import CLAIMING, CLAIMS, HOP_BY_HOP
from datapunk.nexus.routing.messages import Answer, Headers, Query, Request
from datapunk.nexus.routing.paths import fill
from datapunk.nexus.routing.rules import RequestChanges, ResponseChanges, RouteRule

MOST_MAPPED = 1024 * 1024
"""Bytes of a JSON answer that is still mapped; a larger one passes as it is."""

_NOT_SENT = frozenset(
    {
        *HOP_BY_HOP,
        *CLAIMS,
        *("host", "content-length", "expect", "traceparent", "tracestate", "x-correlation-id"),
        *("x-api-key", "x-amzn-trace-id", "accept-encoding", TIMEOUT),
    }
)
"""Headers of a caller that no service gets: they are the router's to set, or credentials."""
_CREDENTIALS = frozenset({"authorization", "cookie"})
_NOT_ANSWERED = frozenset(
    {
        *HOP_BY_HOP,
        *("content-length", "server", "date", "strict-transport-security", "traceparent"),
        *("x-correlation-id", "set-cookie", "x-cache", "age", "www-authenticate"),
        *("ratelimit", "ratelimit-policy"),
    }
)
"""Headers of a service that no caller gets: they are the gateway's to say, or for its own domain."""
_INDEX = re.compile(r"(0|[1-9][0-9]*)\Z")


def change_request(request: Request, rule: RouteRule, parameters: Mapping[str, str]) -> Request:
    """Return the request as the service is to see it, without what identifies the caller."""
    path = fill(rule.rewrite, parameters) if rule.rewrite is not None else request.path
    changes = rule.request
    headers = _without(request.headers, _NOT_SENT, changes.remove_headers, listed=True)
    headers = [(name, value) for name, value in headers if not name.startswith(CLAIMING)]
    if not rule.forward_credentials:
        headers = [(name, value) for name, value in headers if name not in _CREDENTIALS]
    return Request(
        method=request.method,
        path=path,
        query=_changed_query(request.query, changes),
        headers=_set(headers, changes.set_headers),
        body=request.body,
    )


def change_answer(answer: Answer, changes: ResponseChanges) -> Answer:
    """Return the answer as the caller is to see it."""
    headers = _without(answer.headers, _NOT_ANSWERED, changes.remove_headers, listed=True)
    body = answer.body
    if changes.fields is not None:
        mapped = _mapped(answer, changes.fields)
        if mapped is not None:
            body = mapped
            # What they say is about the body that was there before.
            headers = _without(headers, ("etag", "content-md5", "digest", "last-modified"))
    return Answer(answer.status, _set(headers, changes.set_headers), body)


def find_value(document: Any, pointer: str) -> tuple[bool, Any]:
    """Return whether a JSON pointer (RFC 6901) leads to something in the document, and to what."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            if name not in document:
                return False, None
            document = document[name]
        elif isinstance(document, list):
            if not _INDEX.match(name) or int(name) >= len(document):
                return False, None
            document = document[int(name)]
        else:
            return False, None
    return True, document


def _mapped(answer: Answer, fields: Mapping[str, str]) -> bytes | None:
    kind = answer.header("content-type").partition(";")[0].strip().lower()
    if not (kind == "application/json" or kind.endswith("+json")):
        return None
    if len(answer.body) > MOST_MAPPED or not answer.good:
        return None
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    found = {name: find_value(document, pointer) for name, pointer in fields.items()}
    return orjson.dumps({name: value for name, (there, value) in found.items() if there})


def _changed_query(query: Query, changes: RequestChanges) -> Query:
    gone = {*changes.remove_query, *changes.set_query}
    kept = [(name, value) for name, value in query if name not in gone]
    return [*kept, *changes.set_query.items()]


def _without(headers: Headers, *gone: Iterable[str], listed: bool = False) -> list[tuple[str, str]]:
    """Return headers without some, and if `listed` without those that `Connection` names."""
    names = {name for group in gone for name in group}
    if listed:
        for name, value in headers:
            if name == "connection":
                names.update(part.strip().lower() for part in value.split(","))
    return [(name, value) for name, value in headers if name not in names]


def _set(headers: Sequence[tuple[str, str]], values: Mapping[str, str]) -> Headers:
    return [*((name, value) for name, value in headers if name not in values), *values.items()]
