"""An invocation of a function, its outcome, and the errors that are Lambda's and not the code's."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field


class UnknownFunctionError(LookupError):
    """No function of that name or ARN is deployed."""


class ThrottledError(RuntimeError):
    """No environment became free in time."""


def new_id() -> str:
    """Return a random UUID as text, in a third of the time that the library takes."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@dataclass(slots=True)
class Outcome:
    """What an invocation ended with."""

    payload: bytes
    error: bool = False
    """Whether the payload is the error object of a failed invocation."""
    seconds: float = 0.0
    log_tail: bytes = b""


@dataclass(slots=True, eq=False)
class Invocation:
    """One event on its way to one environment. `payload` is JSON text."""

    payload: bytes
    future: asyncio.Future[Outcome]
    id: str = field(default_factory=new_id)
    trace: str = ""
    client_context: str = ""
    tail: bool = False
    queued: asyncio.TimerHandle | None = None
    """Ends the wait for an environment."""

    def finish(self, outcome: Outcome) -> None:
        """Give the outcome to whoever still waits for it."""
        if not self.future.done():
            self.future.set_result(outcome)

    def refuse(self, error: Exception) -> None:
        """Tell whoever still waits that it was never run."""
        if not self.future.done():
            self.future.set_exception(error)
            # A caller that has left (its connection broke) never looks at the error.
            self.future.exception()


def failure(identifier: str, kind: str, message: str) -> Outcome:
    """Outcome of an invocation that ended outside the handler, worded as Lambda words it."""
    body = {"errorType": kind, "errorMessage": f"RequestId: {identifier} Error: {message}"}
    return Outcome(payload=json.dumps(body).encode(), error=True)


def new_trace() -> str:
    """Return an X-Ray trace header of a request that came without one; not sampled."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()};Sampled=0"
