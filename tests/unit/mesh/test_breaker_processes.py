"""The breaker and the bulkhead under many processes, and when one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

from datapunk import cache
from datapunk.errors import CircuitOpenError
from datapunk.mesh.breaker import BreakerPolicy, passing

from tests.support.breaking import call, fail, in_processes, state_of

PROCESSES = 50


def test_fifty_processes_count_exactly(target: str) -> None:
    # Given
    policy = BreakerPolicy(failures=10_000, volume=10_000)

    def work(_: int) -> int:
        for _ in range(12):
            call(target, policy)
        return sum(fail(target, policy) == "failed" for _ in range(8))

    # When
    failed = in_processes(work, PROCESSES)
    # Then
    state = state_of(target)
    assert (sum(failed), state.calls, state.failures) == (400, 1_000, 400)


def test_fifty_processes_see_it_open_at_exactly_the_threshold(target: str) -> None:
    # Given one after the other would let 200 through
    policy = BreakerPolicy(failures=200, volume=10_000)
    # When
    opened = in_processes(
        lambda _: sum(fail(target, policy) == "failed" for _ in range(8)), PROCESSES
    )
    # Then those that were on their way when it opened have reached the target as well, and no others
    state = state_of(target)
    assert state.failures_in_a_row == 200
    assert 200 <= sum(opened) < 200 + PROCESSES
    assert state.refused == PROCESSES * 8 - sum(opened)


def test_exactly_one_of_fifty_processes_is_the_probe(target: str) -> None:
    # Given
    policy = BreakerPolicy(reset=0.1)
    for _ in range(5):
        fail(target, policy)
    time.sleep(0.15)

    def work(_: int) -> int:
        try:
            with passing(target, policy) as passage:
                time.sleep(2)
                return int(passage.probe)
        except CircuitOpenError:
            return 0

    # When
    probes = in_processes(work, PROCESSES)
    # Then
    assert sum(probes) == 1
    assert state_of(target).state == "closed"


def test_what_a_killed_process_held_comes_back(target: str) -> None:
    # Given a process that holds the probe and the only slot
    policy = BreakerPolicy(failures=1, reset=0.1, concurrency=1, lease=2.0)
    fail(target, policy)
    time.sleep(0.15)
    context = multiprocessing.get_context("fork")
    held = context.Event()

    def hold() -> None:
        with passing(target, policy):
            held.set()
            time.sleep(60)

    cache.forget()
    process = context.Process(target=hold)
    process.start()
    assert held.wait(30)
    # When
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    # Then
    assert call(target, policy) == "circuit_open"
    time.sleep(2.1)
    assert call(target, policy) == "probe"
    assert call(target, policy) == "ok"
