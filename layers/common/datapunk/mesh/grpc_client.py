"""Native gRPC with mutual TLS: the way between services in containers.

`grpcio` is no part of the common layer: whoever calls or answers so brings it along (the group `containers`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from datapunk.errors import (
    ConfigurationError,
    DeadlineExceededError,
    UnavailableError,
)
from datapunk.mesh.faults import error_of, plain_error
from datapunk.mesh.tokens import bearer
from datapunk.mesh.wire import Call, NotServedError
from datapunk.settings import settings

if TYPE_CHECKING:  # imported on first use, where it is installed
    import grpc

PROBLEM = "datapunk-problem-bin"
"""The trailing metadata that holds the error as a `datapunk.mesh.v1.Problem`."""


def send(call: Call) -> bytes:
    """Return the response's message; see `Transport`."""
    import grpc

    service = call.method.service
    channel = _channel(call.address, settings().mesh_certificates)
    metadata = [
        (name, value) for name, value in call.headers.items() if not name.startswith("connect-")
    ]
    metadata.append(("authorization", bearer(call.caller, call.timeout)))
    try:
        answer: bytes = channel.unary_unary(call.method.path)(
            call.content, timeout=call.timeout, metadata=metadata
        )
    except grpc.RpcError as error:
        raise _translated(service, error) from None
    return answer


def _translated(service: str, error: Any) -> Exception:
    for name, value in error.trailing_metadata() or ():
        if name == PROBLEM and (found := error_of(value)) is not None:
            return found
    code = error.code().name.lower()
    if code == "unimplemented":
        return NotServedError(service)
    if code == "deadline_exceeded":
        return DeadlineExceededError(f"{service} did not answer in time.")
    if code == "unavailable":
        return UnavailableError(service)
    return plain_error(service, code, str(error.details() or ""))


@cache
def _channel(address: str, folder: str) -> grpc.Channel:
    """Return a channel to `grpcs://<host>:<port>[#<name in the certificate>]`."""
    import grpc

    parts = urlsplit(address)
    if not folder:
        raise ConfigurationError("MESH_CERTIFICATES is not set: gRPC needs a certificate.")
    authority, key, certificate = (
        Path(folder, name).read_bytes() for name in ("authority.pem", "key.pem", "certificate.pem")
    )
    options = [("grpc.ssl_target_name_override", parts.fragment)] if parts.fragment else []
    # A call that fails is tried again by the caller's own rules only.
    options.append(("grpc.enable_retries", 0))  # type: ignore[arg-type]
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    return grpc.secure_channel(parts.netloc, credentials, options=options)
