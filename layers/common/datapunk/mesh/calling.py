"""`call_service`: the one way in which a service calls another.

A call takes along who asks and through whom, the trace and the time that is left. It passes the callee's
breaker; what fails is tried again where that does no harm: when the operation changes nothing, or when the
call has a key under which the callee does it once.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datapunk.context import KEY, TIMEOUT, call_headers, current, remaining_seconds
from datapunk.errors import (
    CircuitOpenError,
    ConfigurationError,
    DatapunkError,
    DeadlineExceededError,
    InvalidInputError,
    UnavailableError,
)
from datapunk.identity import Caller, service_principal
from datapunk.mesh.breaker import BreakerPolicy, passing
from datapunk.mesh.contract import (
    JSON,
    PROTO,
    Method,
    decode,
    encode,
    find_method,
    request_of,
)
from datapunk.mesh.directory import addresses_of, timeout_of
from datapunk.mesh.wire import Call, NotServedError, Transport
from datapunk.retry import DEFAULT, RetryBudget, RetryPolicy, retrying
from datapunk.telemetry import count, logger, span

if TYPE_CHECKING:  # imported on first use
    from google.protobuf.message import Message

RESERVE = 0.1
"""Seconds a caller keeps for its own answer."""
BREAKER = BreakerPolicy(concurrency=100)
_TRANSPORTS = {
    "lambda": "invoking",
    "https": "posting",
    "http": "posting",
    "grpcs": "grpc_client",
}
_budgets: dict[str, RetryBudget] = {}


def call_service(  # noqa: PLR0913 -- the rest has defaults that are right for most
    service: str,
    operation: str,
    message: Message | Mapping[str, Any],
    *,
    key: str | None = None,
    timeout: float | None = None,
    caller: Caller | None = None,
    retry: RetryPolicy = DEFAULT,
    breaker: BreakerPolicy = BREAKER,
) -> Any:
    """Return the response of a service's operation, a message of its contract.

    `message` is the request's message, or its members by name. `key` makes an operation that changes
    something safe to repeat: the callee does it once for each key and caller. `timeout` is in seconds, at
    most what is left of the work in hand. `caller` is who asks, by default whoever the work in hand is for,
    with this service as the nearest actor.

    Raises the error the callee raised; CircuitOpenError or BulkheadFullError when it is left alone,
    UnavailableError when it does not answer, DeadlineExceededError when the time is up, ConfigurationError
    for an operation that no contract has.
    """
    method = find_method(service, operation)
    if isinstance(message, Mapping):
        message = request_of(method.request, message)
    elif not isinstance(message, method.request):
        raise InvalidInputError(f"{method.name} takes a {method.request.DESCRIPTOR.full_name}.")
    left = min(timeout or timeout_of(service), remaining_seconds() - RESERVE)
    deadline = time.monotonic() + left
    attempts = _Attempts(method, message, key, caller or _caller(), deadline, breaker)
    return retrying(
        attempts.send,
        retry,
        again=attempts.may_repeat,
        remaining=attempts.remaining,
        budget=_budgets.setdefault(service, RetryBudget()),
    )


async def acall_service(
    service: str, operation: str, message: Message | Mapping[str, Any], **more: Any
) -> Any:
    """Call as `call_service` does, in a thread, for programs that have an event loop to keep turning."""
    import asyncio

    return await asyncio.to_thread(call_service, service, operation, message, **more)


def forget() -> None:
    """Become an environment that has called nobody."""
    _budgets.clear()


class _Attempts:
    """One call and its attempts."""

    def __init__(
        self,
        method: Method,
        message: Message,
        key: str | None,
        caller: Caller,
        deadline: float,
        breaker: BreakerPolicy,
    ) -> None:
        self._method = method
        self._message = message
        self._key = key
        self._caller = caller
        self._deadline = deadline
        self._breaker = breaker
        self._repeatable = method.safe or key is not None

    def remaining(self) -> float:
        """Return the seconds that are left."""
        return self._deadline - time.monotonic()

    def may_repeat(self, error: Exception) -> bool:
        """Tell whether trying again may help and does no harm."""
        if not self._repeatable or isinstance(error, CircuitOpenError | ConfigurationError):
            return False
        return isinstance(error, DatapunkError) and error.retryable

    def send(self, number: int) -> Message:
        """Try once."""
        left = self.remaining()
        if left <= 0:
            raise DeadlineExceededError(f"No time is left to call {self._method.service}.")
        name, started = self._method.name, time.perf_counter()
        outcome = "ok"
        try:
            with (
                span(f"call {name}", attempt=str(number)),
                passing(self._method.service, self._breaker, lease=left),
            ):
                return self._exchange(left)
        except DatapunkError as error:
            outcome = error.code
            raise
        finally:
            elapsed = time.perf_counter() - started
            count("mesh_calls_total", service=self._method.service, outcome=outcome)
            logger().info(
                "called",
                extra={
                    "call": name,
                    "attempt": number,
                    "outcome": outcome,
                    "duration_ms": round(elapsed * 1000, 3),
                },
            )

    def _exchange(self, left: float) -> Message:
        """Send in the binary form; where nobody answers that, in JSON."""
        first, *others = addresses_of(self._method.service)
        try:
            return self._over(first, PROTO, left)
        except (NotServedError, UnavailableError) as error:
            # What was refused unread may be sent again; what may have been done, only if that does no harm.
            unread = isinstance(error, NotServedError)
            last = others[-1] if others else first
            if not unread and not (others and self._repeatable):
                raise
            if last.startswith("grpcs:"):
                raise _unserved(self._method) from error
        count("mesh_fallbacks_total", service=self._method.service)
        try:
            return self._over(last, JSON, self.remaining())
        except NotServedError as error:
            raise _unserved(self._method) from error

    def _over(self, address: str, media_type: str, left: float) -> Message:
        headers = {**call_headers(), TIMEOUT: str(max(1, int(left * 1000)))}
        if self._key is not None:
            headers[KEY] = self._key
        call = Call(
            method=self._method,
            address=address,
            media_type=media_type,
            content=encode(self._message, media_type),
            headers=headers,
            timeout=left,
            caller=self._caller,
        )
        answer = _transport(address)(call)
        return decode(self._method.response, answer, media_type)


def _unserved(method: Method) -> UnavailableError:
    return UnavailableError(method.service, f"{method.service} does not answer {method.path}.")


def _caller() -> Caller:
    """Return for whom the work in hand calls: whoever it is for, through this service."""
    work = current()
    if work is None:
        raise ConfigurationError("A call outside of any work must say who is calling.")
    return work.caller.through(service_principal(work.service))


def _transport(address: str) -> Transport:
    scheme = address.partition(":")[0]
    if scheme not in _TRANSPORTS:
        raise ConfigurationError(f"No transport is known for {scheme}: in SERVICES.")
    module = importlib.import_module(f"datapunk.mesh.{_TRANSPORTS[scheme]}")
    transport: Transport = module.send
    return transport
