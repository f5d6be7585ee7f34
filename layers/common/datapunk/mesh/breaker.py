"""Circuit breaker and bulkhead of a target, shared by all environments; the semantics are Hystrix's.

A breaker opens when a target has failed `failures` times in a row, or when of at least `volume` calls within
the sliding window `error_percent` failed. While it is open every call fails at once with CircuitOpenError.
After `reset` seconds exactly one call at a time may try (half-open): if it succeeds the breaker closes and
forgets, if it fails the breaker is open for `reset` seconds more. A caller that dies while trying is not
waited for longer than its lease. A bulkhead lets `concurrency` calls into a target at once; the slot of a
caller that dies comes back when its lease ends.

State is in Redis, by Redis's clock: one round trip lets a call pass, and a second one follows only when
there is something to tell (a failure, a success after failures, a slot to give back). Without Redis each
environment goes by what it saw itself.

Source of the rules: "How it Works" and "Configuration" of the Hystrix wiki.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from datapunk.errors import BulkheadFullError, CircuitOpenError, DatapunkError
from datapunk.mesh import circuits
from datapunk.mesh.rules import Admission, BreakerPolicy, Outcome
from datapunk.telemetry import count

__all__ = [
    "DEFAULT",
    "BreakerPolicy",
    "BreakerState",
    "Passage",
    "forget",
    "is_failure",
    "passing",
    "protected",
    "states",
]

State = Literal["closed", "open", "half_open"]
Result = TypeVar("Result")
_SERVER_ERROR = 500


DEFAULT = BreakerPolicy()


@dataclass(frozen=True, slots=True)
class BreakerState:
    """What is known of a target: calls and failures within the window, and whether it is left alone.

    `retry_after` is in seconds until a call may try. `refused` counts since the breaker opened; `busy`
    calls hold a slot of the bulkhead.
    """

    target: str
    state: State
    calls: int
    failures: int
    failures_in_a_row: int
    error_percent: float
    refused: int
    busy: int
    retry_after: float
    opened_at: float | None


class Passage:
    """A call that was let through. Say `failed()` where a failure is no exception (an answer 502)."""

    def __init__(self, target: str, *, probe: bool) -> None:
        self.target = target
        self.probe = probe
        """Whether this is the one call that tries a target after a pause."""
        self.outcome: Outcome = "unknown"

    def failed(self) -> None:
        """Count the call as a failure of the target."""
        self.outcome = "failed"

    def succeeded(self) -> None:
        """Count the call as a success of the target."""
        self.outcome = "ok"


def is_failure(error: BaseException) -> bool:
    """Tell whether an error says that the target is ill: no answer, too late, or an error inside of it.

    A refusal (4xx, 429 too) says that it works.
    """
    if isinstance(error, DatapunkError):
        return error.status >= _SERVER_ERROR
    return isinstance(error, OSError)


@contextmanager
def passing(
    target: str,
    policy: BreakerPolicy = DEFAULT,
    *,
    lease: float | None = None,
    counts: Callable[[BaseException], bool] = is_failure,
) -> Iterator[Passage]:
    """Let the body call `target`, and count how it went.

    An exception for which `counts` is true is a failure, another one a success; one that is no `Exception`
    (the process is ended) says nothing. `lease` is how long this call may take at most, in seconds. Raises
    CircuitOpenError or BulkheadFullError, whose `retry_after` is in seconds, without running the body.
    """
    call = secrets.token_hex(8)
    held = policy.lease if lease is None else lease
    admitted = circuits.admit(target, policy, call, held)
    _refuse(target, admitted)
    passage = Passage(target, probe=admitted.verdict == "probe")
    try:
        yield passage
        if passage.outcome == "unknown":
            passage.succeeded()
    except Exception as error:
        if passage.outcome == "unknown":
            passage.outcome = "failed" if counts(error) else "ok"
        raise
    finally:
        _settle(target, policy, call, admitted, passage.outcome)


def protected(
    target: str,
    call: Callable[[], Result],
    policy: BreakerPolicy = DEFAULT,
    *,
    fallback: Callable[[Exception], Result] | None = None,
) -> Result:
    """Return what `call` returns; where it fails or may not pass, what `fallback` makes of the error."""
    try:
        with passing(target, policy):
            return call()
    except Exception as error:
        if fallback is None or not is_failure(error):
            raise
        return fallback(error)


def forget() -> None:
    """Become an environment that has seen no target and no failure of Redis."""
    circuits.forget()


def _refuse(target: str, admitted: Admission) -> None:
    if admitted.verdict not in ("open", "full"):
        return
    count("breaker_refused_total", target=target, reason=admitted.verdict)
    if admitted.verdict == "full":
        raise BulkheadFullError(target, f"{target} is busy with as many calls as it may get.")
    seconds = max(1, math.ceil(admitted.wait))
    raise CircuitOpenError(
        target, f"{target} has failed too often and is left alone.", retry_after=seconds
    )


def _settle(
    target: str, policy: BreakerPolicy, call: str, admitted: Admission, outcome: Outcome
) -> None:
    change = circuits.settle(target, policy, call, admitted, outcome)
    if change in ("opened", "recovered"):
        state = "open" if change == "opened" else "closed"
        count("breaker_transitions_total", target=target, state=state)


def states() -> list[BreakerState]:
    """Return the state of every target called within a day, by name.

    Raises UnavailableError when Redis does not answer.
    """
    return [_state(seen) for seen in circuits.look()]


def _state(seen: circuits.Seen) -> BreakerState:
    state: State = "closed"
    if seen.open:
        state = "half_open" if seen.wait == 0 or seen.probed else "open"
    return BreakerState(
        target=seen.target,
        state=state,
        calls=seen.calls,
        failures=seen.failures,
        failures_in_a_row=seen.row,
        error_percent=round(100 * seen.failures / seen.calls, 1) if seen.calls else 0.0,
        refused=seen.refused,
        busy=seen.busy,
        retry_after=seen.wait / 1000,
        opened_at=int(seen.since) / 1000 if seen.since else None,
    )
