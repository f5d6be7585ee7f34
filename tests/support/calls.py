"""Calls to a module's function, by invoke and through the gateway, run by the real handlers."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any

from datapunk.identity import Caller
from datapunk.mesh.contract import JSON, PROTO, decode, encode, find_method, message_of
from datapunk.mesh.faults import from_connect
from datapunk.mesh.invoking import event_of
from datapunk.mesh.wire import Call
from datapunk.nexus.users import UserAccount

from tests.support.invoking import run
from tests.support.people import acting
from tests.support.samples import http_event


def caller_of(user: UserAccount, *actors: str) -> Caller:
    """Return a user as he calls through others."""
    return Caller(user.principal, user.tenant, user.caller.roles, user.caller.scopes, tuple(actors))


def invoked(  # noqa: PLR0913 -- a call has that many parts
    service: str,
    operation: str,
    members: Mapping[str, Any],
    caller: Caller,
    *,
    key: str | None = None,
    media_type: str = PROTO,
    timeout: float = 20.0,
    sent: float = 0.0,
) -> Any:
    """Call by invoke; return the response's message or raise the error. It was sent `sent` seconds ago."""
    method = find_method(service, operation)
    call = Call(
        method=method,
        address="lambda:none",
        media_type=media_type,
        content=encode(message_of(method.request, members), media_type),
        headers={"connect-timeout-ms": str(int(timeout * 1000))},
        timeout=timeout,
        caller=caller,
    )
    if key is not None:
        call.headers["idempotency-key"] = key
    event = event_of(call)
    event["rpc"]["deadline"] = time.time() + timeout - sent
    answer = run(f"{service}.serve_rpc", event)
    content = answer["body"].encode()
    if answer["isBase64Encoded"]:
        content = base64.b64decode(content)
    if answer["statusCode"] != 200:
        raise from_connect(service, answer["statusCode"], content)
    return decode(method.response, content, media_type)


def posted(service: str, operation: str, sent: Any, user: UserAccount, **changes: Any) -> Any:
    """Call through the gateway in JSON, or as the changes say; return the raw answer."""
    method = find_method(service, operation)
    _, contract, name = method.path.split("/")
    headers = {"Content-Type": JSON, **changes.pop("headers", {})}
    event = http_event(
        f"{service}.serve_rpc",
        path={"contract": contract, "method": name},
        body=sent,
        headers=headers,
        **acting(user),
    )
    return run(f"{service}.serve_rpc", {**event, **changes})
