"""Calling a target through the breaker, and processes that do."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from datapunk import cache
from datapunk.errors import BulkheadFullError, CircuitOpenError, UnavailableError
from datapunk.mesh import breaker
from datapunk.mesh.breaker import DEFAULT, BreakerPolicy, BreakerState, passing


def call(target: str, policy: BreakerPolicy = DEFAULT, error: Exception | None = None) -> str:
    """Call a target that succeeds or fails, and say how it went."""
    try:
        with passing(target, policy) as passage:
            _answer(error)
            return "probe" if passage.probe else "ok"
    except (CircuitOpenError, BulkheadFullError) as refused:
        return refused.code
    except Exception:  # noqa: BLE001 -- the failure of the target
        return "failed"


def fail(target: str, policy: BreakerPolicy = DEFAULT) -> str:
    """Call a target that fails, and say how it went."""
    return call(target, policy, UnavailableError(target))


def state_of(target: str) -> BreakerState:
    """Return what is known of a target."""
    return next(state for state in breaker.states() if state.target == target)


def in_processes(work: Callable[[int], int], number: int) -> list[int]:
    """Run `work` in so many processes at once and return what each says, a small number."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(number)
    said: Any = context.Array("i", number)

    def run(place: int) -> None:
        start.wait(60)
        said[place] = work(place)

    # A connection that a fork takes along would be shared.
    cache.forget()
    processes = [context.Process(target=run, args=(place,)) for place in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * number
    return list(said)


def _answer(error: Exception | None) -> None:
    if error is not None:
        raise error
