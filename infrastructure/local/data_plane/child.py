"""One environment: the process in which a function's handler runs, forked and already warm.

The loop is the one of Lambda itself (`awslambdaric.bootstrap.run`): handler loading, logging, error
marshalling and the context are its own. Only the transport differs: a socket instead of HTTP.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from typing import Any, NoReturn

from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_client import InvocationRequest
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller, to_json

from infrastructure.local.data_plane import logs, protocol

# Linux counts in KiB, macOS in bytes.
RSS_UNIT = 1024 * 1024 if sys.platform == "darwin" else 1024


class SocketRuntimeClient:
    """The runtime client that `awslambdaric.bootstrap.run` works with, over one blocking socket."""

    def __init__(self, connection: socket.socket, memory: int, started: float) -> None:
        self.marshaller = LambdaMarshaller()
        self._connection = connection
        self._memory = memory
        self._started = started
        self._init_seconds: float | None = None
        self._begin = 0.0
        self._tail = False

    def wait_next_invocation(self) -> InvocationRequest:
        """Return the next invocation; the first call tells that the init phase is over."""
        if self._init_seconds is None:
            self._init_seconds = time.monotonic() - self._started
            self._connection.sendall(protocol.ANSWER.pack(protocol.READY, 0))
        head = protocol.receive_exactly(self._connection, protocol.REQUEST.size)
        header_size, body_size = protocol.REQUEST.unpack(head)
        frame = protocol.receive_exactly(self._connection, header_size + body_size)
        header = self.marshaller.unmarshal_request(frame[:header_size])
        identifier = header["id"]
        self._tail = header["tail"]
        os.write(1, logs.start_line(identifier))
        self._begin = time.perf_counter()
        return InvocationRequest(
            invoke_id=identifier,
            x_amzn_trace_id=header["trace"],
            invoked_function_arn=header["arn"],
            deadline_time_in_ms=header["deadline"],
            client_context=header["context"],
            cognito_identity=None,
            tenant_id=None,
            content_type="application/json",
            event_body=frame[header_size:],
            invocation_id=None,
        )

    def post_invocation_result(
        self, invoke_id: str, result: str | bytes, _content_type: str, _invocation: None = None
    ) -> None:
        """Send what the handler returned."""
        self._answer(
            invoke_id,
            protocol.RESULT,
            result if isinstance(result, bytes) else result.encode("utf-8", "replace"),
        )

    def post_invocation_error(
        self, invoke_id: str, error: str, _xray_fault: str, _invocation: None = None
    ) -> None:
        """Send the error the handler raised."""
        self._answer(invoke_id, protocol.FAILURE, error.encode("utf-8", "replace"))

    def post_init_error(self, error: dict[str, Any], _kind: str | None = None) -> None:
        """Send the error that ended the init phase."""
        body = to_json(error).encode("utf-8", "replace")
        self._connection.sendall(protocol.ANSWER.pack(protocol.INIT_FAILED, len(body)) + body)

    def _answer(self, identifier: str, kind: bytes, body: bytes) -> None:
        """Send an answer and write the closing lines of the log.

        The caller does not wait for the log, unless it asked for its tail.
        """
        frame = protocol.ANSWER.pack(kind, len(body)) + body
        if not self._tail:
            self._connection.sendall(frame)
        lines = logs.report_lines(
            identifier,
            seconds=time.perf_counter() - self._begin,
            memory=self._memory,
            used=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT,
            init_seconds=self._init_seconds or None,
        )
        self._init_seconds = 0.0  # said once, with the first invocation
        os.write(1, lines)
        if self._tail:
            self._connection.sendall(frame)


def serve(connection: socket.socket, specification: dict[str, Any]) -> NoReturn:
    """Become the environment that the specification describes and serve until the socket closes.

    `specification` has `handler`, `environment`, `path` (folders in front of `sys.path`), `hide`
    (folders that are not the function's) and `memory` in MiB. Never returns; exits with 1 when the
    handler cannot be loaded, as Lambda's runtime does.
    """
    started = time.monotonic()
    os.environ.clear()
    os.environ.update(specification["environment"])
    time.tzset()
    hidden = set(specification["hide"])
    front = specification["path"]
    rest = [entry for entry in sys.path if entry not in hidden and entry not in front]
    sys.path[:] = [*front, *rest]
    os.chdir(front[0])
    client = SocketRuntimeClient(connection, specification["memory"], started)
    try:
        bootstrap.run(specification["handler"], client)
    except (protocol.ClosedError, ConnectionError):
        # The data plane has closed this environment, or is gone.
        os._exit(0)
    raise SystemExit(1)
