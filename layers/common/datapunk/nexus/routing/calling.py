"""Sending a request to an instance: over HTTP with kept connections, or to a function by invoking it.

Only addresses of registered instances are called. Where the connection has arrived is checked
(`registry.addresses`), so that no name can lead into the platform.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from datapunk.errors import BadGatewayError
from datapunk.nexus.routing.instances import Instance
from datapunk.nexus.routing.messages import MOST_BYTES, Answer, Headers, Request
from datapunk.registry.addresses import may_reach

if TYPE_CHECKING:
    import urllib3

CONNECT_SECONDS = 2.0
MOST_KEPT = 4
"""Connections kept to one address: an environment sends one request at a time, and its copy."""
_CHUNK = 64 * 1024


class InstanceFailure(Exception):  # noqa: N818 -- a failure of theirs, no error of ours
    """An instance did not answer.

    `sent` tells whether it may have got the request; `late` that the time was up.
    """

    def __init__(self, reason: str, *, sent: bool, late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.late = late


def call(instance: Instance, request: Request, seconds: float) -> Answer:
    """Return the answer of an HTTP instance within `seconds`.

    Raises InstanceFailure when there is none, BadGatewayError when it cannot be passed on.
    """
    import urllib3
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        NewConnectionError,
        ReadTimeoutError,
    )

    end = time.monotonic() + seconds
    try:
        response = _pool(instance).urlopen(
            request.method,
            request.target,
            body=request.body or None,
            headers=_header_dict(request.headers, request),
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = _read(response, end)
        except BaseException:
            response.close()
            raise
        response.release_conn()
    except _ForbiddenAddressError as error:
        raise InstanceFailure(str(error), sent=False) from None
    except (NewConnectionError, ConnectTimeoutError) as error:
        raise InstanceFailure("refuses connections", sent=False) from error
    except ReadTimeoutError as error:
        raise InstanceFailure("did not answer in time", sent=True, late=True) from error
    except (HTTPError, OSError) as error:
        raise InstanceFailure("broke the connection", sent=True) from error
    headers = [(name.lower(), value) for name, value in response.headers.iteritems()]
    return Answer(response.status, headers, body)


def forget() -> None:
    """Close all connections."""
    for pool in _pools.values():
        pool.close()
    _pools.clear()


class _ForbiddenAddressError(Exception):
    """The connection has arrived where no request may go."""


_pools: dict[tuple[str, int, bool], urllib3.HTTPConnectionPool] = {}


def _pool(instance: Instance) -> urllib3.HTTPConnectionPool:
    place = (instance.address, instance.port, instance.secure)
    if place not in _pools:
        http, https = _pool_classes()
        made = https if instance.secure else http
        _pools[place] = made(instance.address.strip("[]"), instance.port, maxsize=MOST_KEPT)
    return _pools[place]


@cache
def _pool_classes() -> tuple[type[urllib3.HTTPConnectionPool], type[urllib3.HTTPSConnectionPool]]:
    """Return pools whose connections look where they have arrived before anything is sent."""
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Connection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _check(self)

    class SecureConnection(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _check(self)

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return Pool, SecurePool


def _check(connection: Any) -> None:
    address = str(connection.sock.getpeername()[0])
    if not may_reach(address):
        connection.close()
        raise _ForbiddenAddressError(f"is at {address}, where no service may be")


def _header_dict(headers: Headers, request: Request) -> Any:
    from urllib3 import HTTPHeaderDict

    made = HTTPHeaderDict()
    for name, value in headers:
        made.add(name, value)
    # The service is to answer as it is: what is encoded for the caller is the gateway's matter.
    made["accept-encoding"] = "identity"
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        made["content-length"] = str(len(request.body))
    return made


def _read(response: Any, end: float) -> bytes:
    """Return the body, as long as it is in time and not too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise InstanceFailure("did not finish its answer in time", sent=True, late=True)
        # The time limit of the connection is one for each read.
        sock = getattr(response.connection, "sock", None)
        if sock is not None:
            sock.settimeout(left)
        part = response.read(_CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise BadGatewayError(f"The answer has more than {MOST_BYTES:,} bytes.")
