"""Errors as RFC 9457 problem documents (`application/problem+json`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from datapunk.errors import DatapunkError, FieldError

PROBLEM_JSON = "application/problem+json"
_LOCATIONS = {"body", "query", "path", "header"}


def problem(error: DatapunkError, *, instance: str, trace_id: str) -> dict[str, Any]:
    """Return the problem document of `error` for the request path `instance`."""
    return {
        "type": f"urn:datapunk:error:{error.code}",
        "title": error.title(),
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
        "action": error.action,
        "trace_id": trace_id,
        "errors": [item.as_dict() for item in error.errors],
        **error.extra(),
    }


def retry_headers(error: DatapunkError) -> dict[str, str]:
    """Return `Retry-After` (seconds) where the error says when to come back."""
    seconds = getattr(error, "retry_after", None)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """Return pydantic's error list as field errors; the offending input is never repeated.

    The first element of a location says where the value came from (body, query, ...). It is dropped
    when more follows: `("body", "columns", 0, "type")` becomes `columns.0.type`.
    """
    found = []
    for item in errors:
        location = [str(part) for part in item["loc"]]
        if len(location) > 1 and location[0] in _LOCATIONS:
            location = location[1:]
        message = str(item["msg"]).removeprefix("Value error, ")
        found.append(FieldError(".".join(location), message, str(item["type"])))
    return found
