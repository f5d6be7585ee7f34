"""One environment as the data plane sees it: a socket, a process id, and what it is doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import Enum
from typing import cast

import orjson

from infrastructure.local.data_plane import protocol
from infrastructure.local.data_plane.forker import Forker
from infrastructure.local.data_plane.invocation import Invocation, Outcome

WRITE_LIMIT = 16 * 1024 * 1024


class State(Enum):
    """What an environment is doing."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


class Environment(asyncio.Protocol):
    """Serves one invocation at a time. The pool that owns it is told by the callbacks."""

    def __init__(
        self,
        identifier: str,
        arn: str,
        on_ready: Callable[[Environment], None],
        on_answer: Callable[[Environment, Invocation, Outcome], None],
        on_end: Callable[[Environment], None],
    ) -> None:
        self.id = identifier
        self.state = State.STARTING
        self.initialised = False
        self.stale = False
        """Whether its code has changed since it started."""
        self.forker: Forker | None = None
        self.pid: int | None = None
        self.exit_code: int | None = None
        self.exited = asyncio.Event()
        self.init_error: bytes | None = None
        self.invocation: Invocation | None = None
        self.killed_for: Outcome | None = None
        """Why it was killed; the outcome of what it was doing."""
        self.idle_since = 0.0
        self.begun = time.monotonic()
        self.timer: asyncio.TimerHandle | None = None
        self.log_offset = 0
        self._arn = arn
        self._on_ready = on_ready
        self._on_answer = on_answer
        self._on_end = on_end
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; a whole payload may wait in it."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_LIMIT)

    def send(self, invocation: Invocation, seconds: float) -> None:
        """Run an invocation with `seconds` until its timeout."""
        self.state = State.BUSY
        self.invocation = invocation
        self.begun = time.monotonic()
        header = orjson.dumps(
            {
                "id": invocation.id,
                "arn": self._arn,
                "trace": invocation.trace,
                "context": invocation.client_context,
                "tail": invocation.tail,
                "deadline": int((time.time() + seconds) * 1000),
            }
        )
        body = invocation.payload
        if self._transport is not None:
            self._transport.write(
                b"".join((protocol.REQUEST.pack(len(header), len(body)), header, body))
            )

    def born(self, pid: int) -> None:
        """Note the process id, and carry out a sentence passed before it was known."""
        self.pid = pid
        if self.killed_for is not None:
            self.kill()

    def kill(self) -> None:
        """Kill the process, in the middle of whatever it does."""
        if self.pid is not None and self.forker is not None:
            self.forker.kill(self.pid)

    def close(self) -> None:
        """End an idle environment: it sees the end of its socket and leaves."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take answers apart; nearly always the data is one whole answer."""
        self._buffer += data
        size = protocol.ANSWER.size
        while len(self._buffer) >= size:
            kind, length = protocol.ANSWER.unpack_from(self._buffer)
            if len(self._buffer) < size + length:
                return
            body = bytes(self._buffer[size : size + length])
            del self._buffer[: size + length]
            self._take(kind, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell the pool that the process is gone or going."""
        self.state = State.ENDED
        self._on_end(self)

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == protocol.READY:
            self.state = State.IDLE
            self.initialised = True
            self._on_ready(self)
        elif kind == protocol.INIT_FAILED:
            self.init_error = body
        elif self.invocation is not None:
            invocation, self.invocation = self.invocation, None
            self.state = State.IDLE
            self._on_answer(
                self,
                invocation,
                Outcome(
                    payload=body,
                    error=kind == protocol.FAILURE,
                    seconds=time.monotonic() - self.begun,
                ),
            )
