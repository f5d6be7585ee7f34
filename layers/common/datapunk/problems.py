"""Errors as RFC 9457 problem documents (`application/problem+json`)."""

from __future__ import annotations

from typing import Any

from datapunk.errors import DatapunkError, ForbiddenError, UnauthenticatedError

PROBLEM_JSON = "application/problem+json"


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


def problem_headers(error: DatapunkError) -> dict[str, str]:
    """Return the headers of the answer.

    Those of `retry_headers`, and `WWW-Authenticate` where other credentials would help (RFC 6750, 3).
    """
    headers = retry_headers(error)
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, ForbiddenError) and error.scope:
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{error.scope}"'
    return headers
