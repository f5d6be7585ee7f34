"""The edge of a function that is the face of a whole foreign protocol: an ASGI application behind Mangum.

Its requests get what those of any other HTTP function get: the policy's decision, rate limit, audit record,
correlation, problem documents. The application adds what the protocol wants; it also runs under a plain ASGI
server, with the same answers.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from mangum import Mangum
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from datapunk.context import current
from datapunk.errors import DatapunkError, NotFoundError
from datapunk.guard import Guard
from datapunk.http import (
    LambdaHandler,
    as_datapunk_error,
    check_body,
    check_caller,
    serve,
)
from datapunk.identity import Caller
from datapunk.problems import PROBLEM_JSON
from datapunk.proxy import error_answer, refuse
from datapunk.received import Received
from datapunk.validation import refused

_TEXT = ("text/", "application/json", PROBLEM_JSON)
_OPEN = Guard(open_query=True)


def asgi_function(operation: str, app: FastAPI, *, guard: Guard = _OPEN) -> LambdaHandler:
    """Return the Lambda handler of `app`, whose errors become problem documents.

    The policy's rule of `operation` opens the door; an endpoint that needs more asks for it
    (`policy.require`).
    """
    for error in (DatapunkError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error, _answer_error)
    # It would log a second time what the edge logs.
    logging.getLogger("mangum").setLevel(logging.CRITICAL)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        def respond(received: Received) -> dict[str, Any]:
            request = received.event
            try:
                check_caller(operation, request)
                check_body(received, json_only=False)
                # Made for each request: it sees to it that the thread has an event loop.
                adapter = Mangum(app, lifespan="off", text_mime_types=list(_TEXT))
                return _with_multiple_headers(adapter(request, context))
            except Exception as error:  # noqa: BLE001 -- a caller gets a problem document in any case
                return refuse(as_datapunk_error(error), request)

        return serve(operation, guard, event, context, respond)

    return handler


def caller() -> Caller:
    """Return who sent the request in hand."""
    work = current()
    return work.caller if work else Caller()


def _with_multiple_headers(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with all headers in one place: API Gateway would send what is in both twice."""
    multiple = dict(answer.get("multiValueHeaders") or {})
    for name, value in (answer.pop("headers", None) or {}).items():
        multiple.setdefault(name, [value])
    answer["multiValueHeaders"] = multiple
    return answer


async def _answer_error(request: Request, raised: Exception) -> Response:
    status, headers, media_type, body = error_answer(_translated(raised), request.url.path)
    return Response(body, status, headers, media_type)


def _translated(raised: Exception) -> DatapunkError:
    if isinstance(raised, RequestValidationError):
        return refused(raised.errors())
    if isinstance(raised, HTTPException):
        return NotFoundError("There is no such route.")
    return as_datapunk_error(raised)
