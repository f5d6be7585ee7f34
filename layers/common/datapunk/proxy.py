"""Requests and answers as API Gateway's proxy integration has them, read and written in one way."""

from __future__ import annotations

import base64
import binascii
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
from datapunk.errors import DatapunkError, MalformedRequestError
from datapunk.identity import caller_from_authorizer
from datapunk.problems import PROBLEM_JSON, problem, problem_headers
from datapunk.telemetry import count, logger

MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's limit for a request; API Gateway would let 10 MB through."""


def work_of(operation: str, event: Mapping[str, Any], context: Any) -> WorkContext:
    """Return the context of a request to `operation`."""
    headers = headers_of(event)
    request = event.get("requestContext") or {}
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


def refuse(error: DatapunkError, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a request no handler looks at."""
    status, headers, body = problem_answer(error, event.get("path", ""))
    return {
        "statusCode": status,
        "multiValueHeaders": {
            "Content-Type": [PROBLEM_JSON],
            **{name: [value] for name, value in headers.items()},
        },
        "body": body,
        "isBase64Encoded": False,
    }


def problem_answer(error: DatapunkError, path: str) -> tuple[int, dict[str, str], str]:
    """Log and count the error; return its status, headers and problem document."""
    work = current()
    if error.status >= 500:  # noqa: PLR2004 -- server errors
        logger().exception("request failed", extra={"code": error.code})
    if work is not None:
        count("error_rate_total", service=work.service, error_type=error.code)
    document = problem(error, instance=path, trace_id=work.trace.trace_id if work else "")
    return error.status, problem_headers(error), dumps(document)


def headers_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Return a request's headers, names in lower case, several values joined."""
    multiple = event.get("multiValueHeaders") or {}
    if multiple:
        return {name.lower(): ",".join(values) for name, values in multiple.items()}
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def media_type_of(value: str) -> tuple[str, dict[str, str]]:
    """Return the media type of a `Content-Type` and its parameters, in lower case."""
    media_type, *rest = value.split(";")
    pairs = (item.split("=", 1) for item in rest if "=" in item)
    parameters = {name.strip().lower(): text.strip().strip('"').lower() for name, text in pairs}
    return media_type.strip().lower(), parameters


def content_of(event: Mapping[str, Any]) -> bytes:
    """Return a request's body. Raises MalformedRequestError where it is not the base64 it says it is."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRequestError("The body is not valid base64.") from None


def dumps(value: Any) -> str:
    """Return JSON text."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # orjson knows no integers beyond 64 bits; JSON does, and so may an event's data
        return to_json(value, fallback=str).decode()
