"""The Invoke API of Lambda: what `boto3.client("lambda").invoke` talks to."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from infrastructure.local.data_plane.asynchronous import AsynchronousInvoker
from infrastructure.local.data_plane.gateway import (
    LeftError,
    Receive,
    Scope,
    Send,
    TooLargeError,
    read_body,
)
from infrastructure.local.data_plane.invocation import ThrottledError, UnknownFunctionError
from infrastructure.local.data_plane.runner import Runner
from infrastructure.local.data_plane.settings import Limits

INVOCATIONS = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")
Pairs = list[tuple[bytes, bytes]]


@dataclass
class InvokeError(Exception):
    """An error of the API: its HTTP status, its type and what it tells."""

    status: int
    kind: str
    message: str
    more: tuple[tuple[str, str], ...] = ()


class InvokeApi:
    """An ASGI application with the one call of Lambda's API that runs functions."""

    def __init__(
        self,
        runner: Runner,
        asynchronous: AsynchronousInvoker,
        limits: Limits,
        aws_endpoint: Callable[[], str],
    ) -> None:
        self._runner = runner
        self._asynchronous = asynchronous
        self._limits = limits
        self._aws_endpoint = aws_endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        identifier = str(uuid.uuid4())
        try:
            status, more, body = await self._answer(scope, headers, receive, identifier)
        except LeftError:
            return
        except InvokeError as error:
            status = error.status
            more = [(b"x-amzn-errortype", error.kind.encode())]
            body = orjson.dumps({"Type": "User", "Message": error.message, **dict(error.more)})
        more.append((b"x-amzn-requestid", identifier.encode()))
        more.append((b"content-type", b"application/json"))
        more.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": more})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, scope: Scope, headers: dict[str, str], receive: Receive, identifier: str
    ) -> tuple[int, Pairs, bytes]:
        raw: bytes = scope["raw_path"]
        found = INVOCATIONS.fullmatch(raw.partition(b"?")[0].decode("latin-1"))
        if found is None or scope["method"] != "POST":
            raise InvokeError(
                404,
                "UnknownOperationException",
                f"Only Invoke is served here; the rest of Lambda's API is at {self._aws_endpoint()}.",
            )
        name = unquote(found[1])
        try:
            self._runner.pool(name)
        except UnknownFunctionError as error:
            catalog = self._runner.catalog
            arn = (
                name
                if name.startswith("arn:")
                else (f"arn:aws:lambda:{catalog.region}:{catalog.account}:function:{name}")
            )
            message = f"Function not found: {arn}"
            raise InvokeError(404, "ResourceNotFoundException", message) from error
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        payload = await self._payload(headers, receive, waiting=kind != "Event")
        if kind == "DryRun":
            return 204, [], b""
        if kind == "Event":
            self._asynchronous.submit(name, payload, identifier=identifier)
            return 202, [], b""
        if kind != "RequestResponse":
            raise InvokeError(
                400, "InvalidParameterValueException", f"Unknown invocation type {kind!r}."
            )
        return await self._invoke(name, payload, headers, identifier)

    async def _invoke(
        self, name: str, payload: bytes, headers: dict[str, str], identifier: str
    ) -> tuple[int, Pairs, bytes]:
        try:
            context = base64.b64decode(headers.get("x-amz-client-context", "")).decode()
        except ValueError as error:
            raise InvokeError(
                400, "InvalidRequestContentException", "The client context is no base64 of a text."
            ) from error
        try:
            outcome = await self._runner.invoke(
                name,
                payload,
                trace=headers.get("x-amzn-trace-id", ""),
                client_context=context,
                tail=headers.get("x-amz-log-type") == "Tail",
                identifier=identifier,
            )
        except ThrottledError as error:
            raise InvokeError(
                429,
                "TooManyRequestsException",
                str(error),
                (("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded"),),
            ) from error
        more: Pairs = [(b"x-amz-executed-version", b"$LATEST")]
        if outcome.error:
            more.append((b"x-amz-function-error", b"Unhandled"))
        if outcome.log_tail:
            more.append((b"x-amz-log-result", base64.b64encode(outcome.log_tail)))
        return 200, more, outcome.payload

    async def _payload(self, headers: dict[str, str], receive: Receive, *, waiting: bool) -> bytes:
        most = self._limits.invoke_bytes if waiting else self._limits.async_bytes
        length = headers.get("content-length", "")
        try:
            payload = await read_body(receive, int(length) if length.isdecimal() else None, most)
        except TooLargeError as error:
            operation = "InvokeFunction" if waiting else "InvokeAsync"
            raise InvokeError(
                413,
                "RequestTooLargeException",
                f"Request must be smaller than {most} bytes for the {operation} operation",
            ) from error
        if not payload:
            return b"{}"
        try:
            orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise InvokeError(
                400,
                "InvalidRequestContentException",
                f"Could not parse request body into json: {error}",
            ) from error
        return payload


def describe(runner: Runner, asynchronous: AsynchronousInvoker) -> dict[str, dict[str, Any]]:
    """Return the functions' counts, those of their asynchronous invocations among them."""
    return {
        name: {**entry, "asynchronous": asynchronous.counts(name)}
        for name, entry in runner.status().items()
    }
