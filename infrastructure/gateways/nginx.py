"""An NGINX configuration: the routes of the table, spread over several gateways of the platform.

NGINX lets through what the table knows, ends what takes too long, and answers in the platform's words where
it answers itself. What a request may do is still decided behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from datapunk.errors import (
    DatapunkError,
    DeadlineExceededError,
    NotFoundError,
    PayloadTooLargeError,
    TooManyRequestsError,
    UnavailableError,
)
from datapunk.limits import DEFAULT
from datapunk.proxy import MAX_BODY_BYTES

from infrastructure.gateways.routes import Route

FAILURES = 3
"""Failed attempts after which a gateway gets no requests for `REST_SECONDS`."""
REST_SECONDS = 5
CONNECT_SECONDS = 2
_ANSWERS: tuple[tuple[tuple[int, ...], type[DatapunkError]], ...] = (
    ((404,), NotFoundError),
    ((413,), PayloadTooLargeError),
    ((429,), TooManyRequestsError),
    ((502, 503), UnavailableError),
    ((504,), DeadlineExceededError),
)

_HEAD = """\
# Written by `make gateway FORMAT=nginx` from template.yaml; not edited by hand.
pid nginx.pid;
error_log stderr warn;

events {{
  worker_connections 1024;
}}

http {{
  default_type application/json;
  server_tokens off;
  client_max_body_size {bytes};
  limit_req_zone $binary_remote_addr zone=clients:10m rate={rate}r/m;
  limit_req_status 429;

  # A correlation id that is safe to log is the caller's; else the request gets one.
  map $http_x_correlation_id $correlation {{
    default $request_id;
    "~^[A-Za-z0-9._:@/+=-]+$" $http_x_correlation_id;
  }}

  log_format platform escape=json
    '{{"timestamp":"$time_iso8601","level":"INFO","service":"nginx","message":"$request_method $uri $status",'
    '"trace_id":"$http_traceparent","span_id":"","correlation_id":"$correlation","duration_s":"$request_time"}}';
  access_log access.log platform;

  upstream gateways {{
{servers}
    keepalive 32;
  }}

  server {{
    listen {listen};
    limit_req zone=clients burst={burst} nodelay;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Correlation-Id $correlation;
    proxy_connect_timeout {connect}s;
    # Where one gateway fails another is tried, but a request that may have had an effect is not repeated.
    proxy_next_upstream error timeout;
    proxy_next_upstream_tries 2;
{answers}
"""


def write_nginx(routes: Sequence[Route], gateways: Iterable[str], *, listen: str) -> str:
    """Return the configuration for gateways at `host:port`, itself listening at `listen`."""
    servers = "\n".join(
        f"    server {gateway} max_fails={FAILURES} fail_timeout={REST_SECONDS}s;"
        for gateway in gateways
    )
    head = _HEAD.format(
        bytes=MAX_BODY_BYTES,
        rate=DEFAULT.quota * 60 // DEFAULT.window,
        burst=DEFAULT.quota,
        servers=servers,
        listen=listen,
        connect=CONNECT_SECONDS,
        answers="\n".join(_answer(statuses, error) for statuses, error in _ANSWERS),
    )
    places = [_location(list(group)) for _, group in groupby(routes, key=lambda item: item.path)]
    return head + "\n".join(places) + "\n    location / {\n      return 404;\n    }\n  }\n}\n"


def _location(routes: list[Route]) -> str:
    """Return the place of all routes with one path; it waits for the slowest of them."""
    first = routes[0]
    place = f"= {first.path}" if first.is_fixed else f'~ "^{first.pattern}$"'
    methods = "|".join(sorted(route.method for route in routes))
    seconds = max(route.seconds for route in routes) + 1
    operations = ", ".join(sorted({route.operation for route in routes}))
    return (
        f"\n    # {operations}\n"
        f"    location {place} {{\n"
        f"      if ($request_method !~ ^(?:{methods})$) {{\n        return 404;\n      }}\n"
        f"      proxy_read_timeout {seconds}s;\n"
        f"      proxy_pass http://gateways;\n"
        f"    }}"
    )


def _answer(statuses: tuple[int, ...], error: type[DatapunkError]) -> str:
    """Return what NGINX says itself in place of its own page (RFC 9457)."""
    document = json.dumps(
        {
            "type": f"urn:datapunk:error:{error.code}",
            "title": error.title(),
            "status": error.status,
            "detail": error.title() + ".",
            # The path as NGINX knows it is decoded: it could end the text.
            "instance": "",
            "code": error.code,
            "action": error.action,
            "trace_id": "$request_id",
            "errors": [],
        }
    )
    document = document.replace("'", "\\'")
    again = "      add_header Retry-After 2 always;\n" if error.retryable else ""
    named = f"@{error.code}"
    return (
        f"    error_page {' '.join(map(str, statuses))} = {named};\n"
        f"    location {named} {{\n"
        f"      default_type application/problem+json;\n"
        f"      add_header X-Correlation-Id $correlation always;\n{again}"
        f"      return {error.status} '{document}';\n"
        f"    }}"
    )
