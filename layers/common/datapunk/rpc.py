"""The edge of a function that answers a module's calls: Connect over `lambda:Invoke` and over HTTPS.

Two doors, told apart by what only one of them can send. A call by invoke has the member `rpc`, which says
for whom it is: whoever may invoke the function (IAM) is believed. API Gateway's events never have it, and
what they say of the caller comes from its authorizer.

Sources: "Unary" of the Connect protocol; the format of Lambda's proxy events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from datapunk.context import KEY, TIMEOUT, WorkContext, deadline_of, working
from datapunk.encodings import GZIP, IDENTITY, unpacked
from datapunk.errors import DatapunkError, NotFoundError
from datapunk.hygiene import add_headers, clean_request
from datapunk.identity import caller_from_document
from datapunk.mesh.answering import Answer, Incoming, answer_call, refusal
from datapunk.mesh.contract import method_at
from datapunk.mesh.service import Service
from datapunk.mesh.wire import RPC
from datapunk.proxy import MAX_BODY_BYTES, refuse, work_of
from datapunk.received import Received
from datapunk.settings import settings
from datapunk.telemetry import logger, observe

LambdaHandler = Callable[[dict[str, Any], Any], Answer]


def rpc_function(operation: str, service: Service) -> LambdaHandler:
    """Return the Lambda handler that answers the calls to a module, e.g. as `lake.serve_rpc`."""

    def handler(event: dict[str, Any], context: Any) -> Answer:
        started = time.perf_counter()
        invoked = RPC in event
        received = Received(clean_request(event))
        event = received.event
        work = _work(operation, received, context)
        with working(work):
            answer = _answer(received, service, work)
            headers = answer["multiValueHeaders"]
            if not invoked:
                add_headers(headers, secure=settings().issuer.startswith("https:"))
            headers["X-Correlation-Id"] = [work.correlation_id]
            headers["traceparent"] = [work.trace.header()]
            endpoint = str(event.get("path", "")).rpartition("/")[2]
            _tell(work, endpoint, answer, time.perf_counter() - started)
        return answer

    return handler


def _answer(received: Received, service: Service, work: WorkContext) -> Answer:
    """Find what is called; what is no call at all gets a problem document."""
    event, headers = received.event, received.headers
    # Connect's calls are POST; there is nothing at another method's path.
    path = str(event.get("path", "")) if event.get("httpMethod") == "POST" else ""
    try:
        method = method_at(work.service, path)
    except NotFoundError as error:
        return refuse(error, event)
    work = replace(work, operation=method.name)
    try:
        encoding = headers.get("content-encoding", IDENTITY)
        content = unpacked(received.content(), encoding, (GZIP,), MAX_BODY_BYTES)
    except DatapunkError as error:
        return refusal(error)
    request = event.get("requestContext") or {}
    incoming = Incoming(
        method=method,
        media_type=received.content_type()[0],
        content=content,
        key=headers.get(KEY, ""),
        source=str((request.get("identity") or {}).get("sourceIp") or ""),
        limited=RPC not in event,
    )
    return answer_call(incoming, service, work)


def _work(operation: str, received: Received, context: Any) -> WorkContext:
    work = work_of(operation, received, context)
    given = received.headers.get(TIMEOUT, "")
    seconds = [int(given) / 1000] if given.isdecimal() else []
    caller = work.caller
    told = received.event.get(RPC)
    if isinstance(told, Mapping):
        caller = caller_from_document(told["caller"])
        # Clocks within AWS agree: the time a call spent on its way is its caller's as well.
        seconds.append(float(told["deadline"]) - time.time())
    now = time.monotonic()
    deadline = min([deadline_of(context), *(now + left for left in seconds)])
    return replace(work, caller=caller, deadline=deadline)


def _tell(work: WorkContext, endpoint: str, answer: Answer, elapsed: float) -> None:
    status = answer["statusCode"]
    observe(
        "request_duration_seconds",
        elapsed,
        service=work.service,
        endpoint=f"rpc {endpoint}",
        status=str(status),
    )
    logger().info(
        "call",
        extra={
            "endpoint": endpoint,
            "status": status,
            "duration_ms": round(elapsed * 1000, 3),
            "principal": work.caller.principal,
            "actors": list(work.caller.actors),
        },
    )
