"""The event a function gets from the REST API (Lambda proxy integration, payload version 1.0)."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from infrastructure.local.catalog import RestApi, Route
from infrastructure.local.data_plane.invocation import new_id, new_trace
from infrastructure.local.data_plane.media_types import is_binary
from infrastructure.local.data_plane.mutual_tls import client_certificate

# Of the connection, not of the request: API Gateway keeps them to itself.
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
     b"upgrade", b"expect"}
)  # fmt: skip


@dataclass(slots=True)
class Request:
    """A request as it came in, taken apart once."""

    method: str
    path: str
    query: str
    client: str
    host: str
    port: int
    scheme: str = "http"
    client_certificate: Mapping[str, Any] | None = None
    """What the handshake verified, as `requestContext.identity.clientCert` has it."""
    headers: dict[str, str] = field(default_factory=dict)
    multi_headers: dict[str, list[str]] = field(default_factory=dict)
    id: str = field(default_factory=new_id)
    trace: str = ""
    accept: str = ""
    content_type: str = ""
    content_length: int | None = None
    body: bytes = b""
    parameters: dict[str, str] | None = None
    query_values: dict[str, str] | None = None
    query_lists: dict[str, list[str]] | None = None

    def header(self, name: str) -> str | None:
        """Return a header's (last) value, whatever its case."""
        return self.headers.get(header_name(name.lower().encode("latin-1")))


@lru_cache(maxsize=1024)
def header_name(name: bytes) -> str:
    """Return the usual spelling of a header's name; the server has only its lower case left."""
    return "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))


def read_request(scope: Mapping[str, Any]) -> Request:
    """Take an ASGI scope apart; the body is still to come."""
    client = scope["client"]
    server = scope["server"]
    raw: bytes = scope["raw_path"]
    request = Request(
        method=scope["method"],
        path=raw.partition(b"?")[0].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        client=client[0] if client else "127.0.0.1",
        host="localhost",
        port=(server[1] if server else None) or 80,
        scheme=scope["scheme"],
        client_certificate=client_certificate(scope),
    )
    add_headers(request, scope["headers"])
    if request.query:
        request.query_values = {}
        request.query_lists = {}
        for name, value in parse_qsl(request.query, keep_blank_values=True):
            request.query_values[name] = value
            request.query_lists.setdefault(name, []).append(value)
    return request


def add_headers(request: Request, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Take over the headers, and add those that the gateway adds."""
    headers = request.headers
    lists = request.multi_headers
    for raw_name, raw_value in pairs:
        if raw_name in HOP_BY_HOP:
            continue
        name = header_name(raw_name)
        value = raw_value.decode("latin-1")
        headers[name] = value
        if name in lists:
            lists[name].append(value)
        else:
            lists[name] = [value]
    request.host = headers.get("Host", request.host)
    request.accept = headers.get("Accept", "")
    request.content_type = headers.get("Content-Type", "")
    length = headers.get("Content-Length", "")
    request.content_length = int(length) if length.isdecimal() else None
    forwarded = headers.get("X-Forwarded-For")
    request.trace = headers.get("X-Amzn-Trace-Id") or new_trace()
    for name, value in (
        ("X-Amzn-Trace-Id", request.trace),
        ("X-Forwarded-For", f"{forwarded}, {request.client}" if forwarded else request.client),
        ("X-Forwarded-Port", str(request.port)),
        ("X-Forwarded-Proto", request.scheme),
    ):
        headers[name] = value
        lists[name] = [value]


@lru_cache(maxsize=4)
def request_time(second: int) -> str:
    """Time of a request in the log format of API Gateway: `09/Apr/2015:12:34:56 +0000`."""
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))


def request_context(request: Request, route: Route, api: RestApi, account: str) -> dict[str, Any]:
    """Return the `requestContext` of an event, before any authorizer has spoken."""
    now = time.time()
    shown = request.client_certificate
    return {
        "resourceId": route.resource_id,
        "resourcePath": route.path,
        "httpMethod": request.method,
        "extendedRequestId": request.id,
        "requestTime": request_time(int(now)),
        "path": f"/{api.stage}{request.path}",
        "accountId": account,
        "protocol": "HTTP/1.1",
        "stage": api.stage,
        "domainPrefix": request.host.partition(".")[0].partition(":")[0],
        "requestTimeEpoch": int(now * 1000),
        "requestId": request.id,
        "identity": {
            "cognitoIdentityPoolId": None,
            "accountId": None,
            "cognitoIdentityId": None,
            "caller": None,
            "sourceIp": request.client,
            "principalOrgId": None,
            "accessKey": None,
            "cognitoAuthenticationType": None,
            "cognitoAuthenticationProvider": None,
            "userArn": None,
            "userAgent": request.headers.get("User-Agent"),
            "user": None,
            **({"clientCert": shown} if shown else {}),
        },
        "domainName": request.host.partition(":")[0],
        "apiId": api.id,
    }


def proxy_event(
    request: Request, route: Route, api: RestApi, context: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the event of a request that has passed the gateway.

    The path is as the client wrote it; path parameters and the query are decoded.
    """
    body: str | None = None
    binary = False
    if request.body:
        binary = bool(api.binary_types) and is_binary(request.content_type, api.binary_types)
        if binary:
            body = base64.b64encode(request.body).decode("ascii")
        else:
            body = request.body.decode("utf-8", "replace")
    return {
        "resource": route.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": request.headers,
        "multiValueHeaders": request.multi_headers,
        "queryStringParameters": request.query_values,
        "multiValueQueryStringParameters": request.query_lists,
        "pathParameters": request.parameters,
        "stageVariables": dict(api.stage_variables) or None,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": binary,
    }
