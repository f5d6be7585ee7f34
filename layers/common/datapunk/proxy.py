"""Answers as API Gateway's proxy integration wants them, and the work that one of its requests begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic_core import to_json

from datapunk.context import (
    WorkContext,
    continue_correlation,
    continue_trace,
    current,
    deadline_of,
)
from datapunk.errors import DatapunkError, ErrorShape, PausedError
from datapunk.identity import caller_from_authorizer
from datapunk.problems import PROBLEM_JSON, problem, problem_headers
from datapunk.received import Received
from datapunk.telemetry import count, logger

JSON = "application/json"
MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's limit for a request; API Gateway would let 10 MB through."""


def work_of(operation: str, received: Received, context: Any) -> WorkContext:
    """Return the context of a request to `operation`."""
    headers = received.headers
    request = received.event.get("requestContext") or {}
    return WorkContext(
        operation=operation,
        correlation_id=continue_correlation(headers.get("x-correlation-id")),
        trace=continue_trace(headers.get("traceparent"), headers.get("x-amzn-trace-id")),
        deadline=deadline_of(context),
        caller=caller_from_authorizer(request.get("authorizer")),
        token=_bearer(headers.get("authorization", "")),
    )


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def refuse(
    error: DatapunkError, event: Mapping[str, Any], shape: ErrorShape | None = None
) -> dict[str, Any]:
    """Return the answer to a request no handler looks at."""
    status, headers, media_type, body = error_answer(error, event.get("path", ""), shape)
    return {
        "statusCode": status,
        "multiValueHeaders": {
            "Content-Type": [media_type],
            **{name: [value] for name, value in headers.items()},
        },
        "body": body,
        "isBase64Encoded": False,
    }


def error_answer(
    error: DatapunkError, path: str, shape: ErrorShape | None = None
) -> tuple[int, dict[str, str], str, str]:
    """Log and count the error; return its status, headers, media type and document.

    That is a problem document, or what `shape` makes of the error.
    """
    work = current()
    # What an operator has paused fails by intent: the line of the request says enough.
    if error.status >= 500 and not isinstance(error, PausedError):  # noqa: PLR2004 -- server errors
        logger().exception("request failed", extra={"code": error.code})
    if work is not None:
        count("error_rate_total", service=work.service, error_type=error.code)
    headers = problem_headers(error)
    if shape is not None:
        status, own = shape.document(error)
        return status, headers, JSON, dumps(own)
    document = problem(error, instance=path, trace_id=work.trace.trace_id if work else "")
    return error.status, headers, PROBLEM_JSON, dumps(document)


def loads(text: str | bytes) -> Any:
    """Return what a text of JSON is, an array as a tuple. Raises orjson.JSONDecodeError.

    Of a list that is sent where an object is wanted, Powertools takes the first element and drops the others.
    """
    value = orjson.loads(text)
    return tuple(value) if isinstance(value, list) else value


def dumps(value: Any) -> str:
    """Return JSON text. Half of a surrogate pair, which no UTF-8 has, becomes an escape, as JSON has it."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # orjson knows no integers beyond 64 bits; JSON does, and so may an event's data
        try:
            return to_json(value, fallback=str).decode()
        except ValueError:
            return json.dumps(value, default=str, separators=(",", ":"))
