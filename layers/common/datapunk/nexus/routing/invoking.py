"""Services that are functions: invoked with the event that API Gateway would send them."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote

import orjson

from datapunk.errors import BadGatewayError, DeadlineExceededError, UnavailableError
from datapunk.functions import FunctionFailedError, invoke
from datapunk.nexus.routing.calling import InstanceFailure
from datapunk.nexus.routing.messages import MOST_BYTES, Answer, Request
from datapunk.nexus.routing.outgoing import Origin, acting, scopes_for


def call_function(name: str, request: Request, origin: Origin, seconds: float) -> Answer:
    """Return the answer of a function within `seconds`.

    Raises InstanceFailure when there is none, BadGatewayError when it is no proxy answer.
    """
    payload = orjson.dumps(proxy_event(request, origin))
    if len(payload) > MOST_BYTES:
        raise BadGatewayError(f"The request has more than {MOST_BYTES:,} bytes as an event.")
    try:
        content = invoke(name, payload, seconds)
    except FunctionFailedError:
        raise InstanceFailure("failed", sent=True) from None
    except DeadlineExceededError:
        raise InstanceFailure("did not answer in time", sent=True, late=True) from None
    except UnavailableError as error:
        # Throttled or unknown: Lambda has not run it. A connection that broke may have.
        raise InstanceFailure("cannot be invoked", sent=True) from error
    return read_proxy_answer(content)


def proxy_event(request: Request, origin: Origin) -> dict[str, Any]:
    """Return the REST API's event (payload 1.0) of a request, in the name of its caller."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    query: dict[str, list[str]] = {}
    for name, value in request.query:
        query.setdefault(name, []).append(value)
    try:
        body, binary = request.body.decode(), False
    except UnicodeDecodeError:
        body, binary = base64.b64encode(request.body).decode(), True
    caller = acting(origin.caller)
    return {
        "resource": "/{path+}",
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"path": unquote(request.path).strip("/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{path+}",
            "httpMethod": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "identity": {"sourceIp": origin.source, "userAgent": None},
            "authorizer": {
                "principalId": caller.principal,
                "tenant": caller.tenant,
                "roles": " ".join(caller.roles),
                "scopes": " ".join(scopes_for(origin.caller, request)),
                "actors": " ".join(caller.actors),
            },
        },
        "body": body or None,
        "isBase64Encoded": binary,
    }


def read_proxy_answer(content: bytes) -> Answer:
    """Return the answer in what a function has returned. Raises BadGatewayError when it is none."""
    try:
        document = orjson.loads(content)
        headers = {name: [str(value)] for name, value in (document.get("headers") or {}).items()}
        for name, values in (document.get("multiValueHeaders") or {}).items():
            headers[name] = [str(value) for value in values]
        text = document.get("body") or ""
        body = base64.b64decode(text) if document.get("isBase64Encoded") else str(text).encode()
        status = int(document["statusCode"])
    except (
        orjson.JSONDecodeError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        binascii.Error,
    ):
        raise BadGatewayError("The function's answer is no answer to a request.") from None
    pairs = [(name.lower(), value) for name, values in headers.items() for value in values]
    return Answer(status, pairs, body)
