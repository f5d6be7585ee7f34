"""Answering calls: one way for whichever transport brought them.

A call is guarded as a request at an HTTP door is: the same limit, policy and audit trail, under the same name
of the operation. Its work is one transaction, and a keyed call's answer is kept with the effect.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from datapunk.context import WorkContext, current, working
from datapunk.database import transaction
from datapunk.errors import (
    DatapunkError,
    DeadlineExceededError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from datapunk.guard import Guard, guarded
from datapunk.idempotency import once
from datapunk.mesh.contract import JSON, PROTO, Method, decode, encode
from datapunk.mesh.faults import as_connect, code_of, status_of
from datapunk.mesh.service import Service
from datapunk.policy import require
from datapunk.problems import retry_headers
from datapunk.settings import settings
from datapunk.telemetry import count, logger

Answer = dict[str, Any]
MOST_BYTES = 6 * 1024 * 1024
"""Of a message: Lambda's limit for a request."""
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call that has arrived. `source` is the network address it came from, empty for one by invoke.

    `limited` says whether it counts against its caller's rate: a call between functions is part of a
    request that was counted at the door.
    """

    method: Method
    media_type: str
    content: bytes
    key: str = ""
    source: str = ""
    limited: bool = True


def answer_call(incoming: Incoming, service: Service, work: WorkContext) -> Answer:
    """Return the answer of a call as Connect has it over HTTP, in the form of a proxy answer."""
    method = incoming.method
    guard = Guard(limited=incoming.limited, mutates=not method.safe)
    event = {
        "httpMethod": "GET" if method.safe else "POST",
        "path": method.path,
        "requestContext": {"identity": {"sourceIp": incoming.source}},
    }
    with working(work):
        return guarded(guard, event, work, lambda: _respond(incoming, service), refusal)


def refusal(error: DatapunkError) -> Answer:
    """Log and count the error; return it as Connect has it."""
    work = current()
    if error.status >= _SERVER_ERROR:
        logger().exception("call failed", extra={"code": error.code})
    if work is not None:
        count("error_rate_total", service=work.service, error_type=error.code)
    headers = {"Content-Type": JSON, **retry_headers(error)}
    return {
        "statusCode": status_of(code_of(error)),
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": as_connect(error).decode(),
        "isBase64Encoded": False,
    }


def _respond(incoming: Incoming, service: Service) -> Answer:
    try:
        content = _run(incoming, service)
    except DatapunkError as error:
        return refusal(error)
    except Exception:  # noqa: BLE001 -- a caller is told nothing of the inside
        return refusal(DatapunkError())
    binary = incoming.media_type == PROTO
    return {
        "statusCode": 200,
        "multiValueHeaders": {"Content-Type": [incoming.media_type]},
        "body": base64.b64encode(content).decode() if binary else content.decode(),
        "isBase64Encoded": binary,
    }


def _run(incoming: Incoming, service: Service) -> bytes:
    """Do what is asked, and return the response's message."""
    method = incoming.method
    source = incoming.source
    require(method.name, trusted_network=(lambda: settings().trusts(source)) if source else None)
    work = current()
    if work is not None and not work.remaining():
        raise DeadlineExceededError("The caller's deadline has passed.")
    if incoming.media_type not in (PROTO, JSON):
        raise UnsupportedMediaTypeError(f"{incoming.media_type!r} is not one of: {PROTO}, {JSON}.")
    if len(incoming.content) > MOST_BYTES:
        raise PayloadTooLargeError(f"A message may have {MOST_BYTES:,} bytes at most.")
    request = decode(method.request, incoming.content, incoming.media_type)
    act = service.operations[method.operation]
    with transaction() as tx:
        if method.safe or not incoming.key:
            response = act(tx, request)
        else:
            # In its binary form, so that a call may be repeated in the other one.
            asked = request.SerializeToString(deterministic=True)
            answer = once(
                tx, method.name, incoming.key, asked, lambda: act(tx, request).SerializeToString()
            )
            response = decode(method.response, answer, PROTO)
    if service.afterwards is not None and not method.safe:
        service.afterwards()
    return encode(response, incoming.media_type)
