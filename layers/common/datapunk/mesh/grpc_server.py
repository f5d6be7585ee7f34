"""Native gRPC with mutual TLS: a module's calls answered from a container, by the same operations.

The certificate says which service calls, the token for whom; both are looked at for every call. An
environment's connections serve one call at a time, so a process does too: more processes share the port.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datapunk.context import KEY, WorkContext, continue_correlation, continue_trace, working
from datapunk.credentials import Presented
from datapunk.errors import DatapunkError, UnauthenticatedError
from datapunk.identity import Caller
from datapunk.mesh.answering import Incoming, answer_call
from datapunk.mesh.contract import PROTO, Method, methods_of
from datapunk.mesh.faults import code_of, from_connect, problem_of
from datapunk.mesh.grpc_client import PROBLEM
from datapunk.mesh.service import Service
from datapunk.telemetry import logger

if TYPE_CHECKING:  # imported on first use, where it is installed
    import grpc

Authenticate = Callable[[Presented], Caller]
MOST_BYTES = 8 * 1024 * 1024
"""Of a message on the wire; what a message may have is less."""
_OK = 200
_FAR = 3600.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A server's PEM files: its certificate with its key, and the roots its callers must be signed by."""

    certificate: bytes
    key: bytes
    authority: bytes

    @classmethod
    def from_folder(cls, folder: Path) -> Identity:
        """Return what is in `certificate.pem`, `key.pem` and `authority.pem`."""
        names = ("certificate.pem", "key.pem", "authority.pem")
        return cls(*((folder / name).read_bytes() for name in names))


def start_server(
    services: Sequence[Service], address: str, identity: Identity, authenticate: Authenticate
) -> tuple[grpc.Server, int]:
    """Return a running server and its port; `address` is `host:port`, with port 0 for any that is free."""
    import grpc

    server = grpc.server(
        ThreadPoolExecutor(max_workers=1),
        options=[("grpc.max_receive_message_length", MOST_BYTES)],
    )
    methods = {
        method.path: (service, method)
        for service in services
        for method in methods_of(service.name)
    }

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        """Finds what is called; messages stay bytes until they are answered."""

        def service(self, details: Any) -> Any:
            found = methods.get(details.method)
            if found is None:
                return None
            service, method = found

            def answer(content: bytes, context: Any) -> bytes:
                return _answer(service, method, content, context, authenticate)

            return grpc.unary_unary_rpc_method_handler(answer)

    server.add_generic_rpc_handlers((Handler(),))
    credentials = grpc.ssl_server_credentials(
        [(identity.key, identity.certificate)], identity.authority, require_client_auth=True
    )
    port = server.add_secure_port(address, credentials)
    server.start()
    return server, port


def _answer(
    service: Service, method: Method, content: bytes, context: Any, authenticate: Authenticate
) -> bytes:
    """Return the response; an error ends the call with its status and itself beside it."""
    headers = dict(context.invocation_metadata())
    left = context.time_remaining()
    work = WorkContext(
        operation=method.name,
        correlation_id=continue_correlation(headers.get("x-correlation-id")),
        trace=continue_trace(headers.get("traceparent"), None),
        deadline=time.monotonic() + (_FAR if left is None else left),
    )
    try:
        with working(work):
            caller, token = _caller(context, headers.get("authorization"), authenticate)
    except DatapunkError as error:
        with working(work):
            logger().info("call refused", extra={"reason": error.detail})
        _abort(context, error)
    incoming = Incoming(method, PROTO, content, key=headers.get(KEY, ""), source=_source(context))
    answer = answer_call(incoming, service, replace(work, caller=caller, token=token))
    if answer["statusCode"] != _OK:
        _abort(context, from_connect(service.name, answer["statusCode"], answer["body"].encode()))
    return base64.b64decode(answer["body"])


def _caller(
    context: Any, authorization: str | None, authenticate: Authenticate
) -> tuple[Caller, str]:
    """Return for whom a call is, with the service that makes it as the nearest actor, and its token."""
    certificates = context.auth_context().get("x509_pem_cert") or [b""]
    presented = {"clientCertPem": certificates[0].decode()}
    service = authenticate(Presented(certificate=presented))
    if authorization is None:
        return service, ""
    subject = authenticate(Presented(authorization=authorization))
    if subject.tenant != service.tenant:
        raise UnauthenticatedError("Certificate and token are of different tenants.")
    return subject.through(service.principal), authorization.partition(" ")[2]


def _source(context: Any) -> str:
    """Return the peer's network address out of `ipv4:<address>:<port>` or `ipv6:%5B<address>%5D:<port>`."""
    address = str(context.peer()).partition(":")[2].rpartition(":")[0]
    return address.removeprefix("%5B").removesuffix("%5D")


def _abort(context: Any, error: DatapunkError) -> None:
    import grpc

    context.set_trailing_metadata(((PROBLEM, problem_of(error)),))
    code = getattr(grpc.StatusCode, code_of(error).upper(), grpc.StatusCode.UNKNOWN)
    context.abort(code, error.detail)
