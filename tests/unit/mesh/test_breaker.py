"""The breaker and the bulkhead: Hystrix's states, shared by processes, with a life without Redis."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from datapunk import cache
from datapunk.errors import (
    CircuitOpenError,
    ConflictError,
    DatapunkError,
    TooManyRequestsError,
    UnavailableError,
)
from datapunk.mesh import circuits
from datapunk.mesh.breaker import DEFAULT, BreakerPolicy, passing, protected
from datapunk.settings import settings

from tests.support.breaking import call, fail, state_of
from tests.support.services import Instance

NOWHERE = "redis://127.0.0.1:1/0"
PROCESSES = 50
BOTH = pytest.mark.parametrize("shared", [True, False], ids=["in-redis", "without-redis"])


@pytest.fixture
def server(instance: Instance) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(instance.url("redis"), decode_responses=True) as client:
        yield client


@pytest.fixture
def keep(shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 -- a parameter
    """Have the state kept in Redis, or in this process since there is no Redis."""
    if not shared:
        monkeypatch.setenv("REDIS_URL", NOWHERE)
        settings.cache_clear()
        cache.forget()


@BOTH
def test_five_failures_in_a_row_open_it_and_the_sixth_call_does_not_reach_the_target(
    keep: None, target: str
) -> None:
    # Given a target that has worked
    assert [call(target) for _ in range(30)] == ["ok"] * 30
    # When
    went = [fail(target) for _ in range(8)]
    # Then
    assert went == ["failed"] * 5 + ["circuit_open"] * 3


@BOTH
def test_a_success_ends_the_row(keep: None, target: str) -> None:
    # Given / When
    went = [fail(target) for _ in range(4)] + [call(target)] + [fail(target) for _ in range(4)]
    # Then
    assert went == ["failed"] * 4 + ["ok"] + ["failed"] * 4
    assert call(target) == "ok"


@BOTH
def test_half_of_many_calls_open_it_though_no_five_fail_in_a_row(keep: None, target: str) -> None:
    # Given
    went = [fail(target) if number % 2 else call(target) for number in range(DEFAULT.volume)]
    # When / Then
    assert went == ["ok", "failed"] * (DEFAULT.volume // 2)
    assert call(target) == "circuit_open"


@BOTH
def test_fewer_failures_than_that_leave_it_closed(keep: None, target: str) -> None:
    # Given / When four of ten fail
    went = [fail(target) if number % 5 < 2 else call(target) for number in range(100)]
    # Then
    assert "circuit_open" not in went


@BOTH
def test_failures_that_are_older_than_the_window_do_not_count(keep: None, target: str) -> None:
    # Given
    policy = BreakerPolicy(window=0.6)
    assert [fail(target, policy) for _ in range(4)] == ["failed"] * 4
    # When
    time.sleep(0.65)
    # Then
    assert [fail(target, policy) for _ in range(6)] == ["failed"] * 5 + ["circuit_open"]


@BOTH
def test_a_probe_that_succeeds_closes_it_and_one_that_fails_does_not(
    keep: None, target: str
) -> None:
    # Given an open breaker
    policy = BreakerPolicy(reset=0.6)
    for _ in range(5):
        fail(target, policy)
    time.sleep(0.65)
    # When the probe fails
    went = [fail(target, policy), call(target, policy)]
    # Then
    assert went == ["failed", "circuit_open"]
    # When the next one succeeds
    time.sleep(0.65)
    went = [call(target, policy), call(target, policy), fail(target, policy)]
    # Then nothing is held against it any more
    assert went == ["probe", "ok", "failed"]
    assert call(target, policy) == "ok"


@BOTH
def test_one_call_at_a_time_is_the_probe(keep: None, target: str) -> None:
    # Given
    policy = BreakerPolicy(reset=0.1, lease=5.0)
    for _ in range(5):
        fail(target, policy)
    time.sleep(0.15)
    # When
    with passing(target, policy) as probe:
        others = [call(target, policy) for _ in range(8)]
    # Then
    assert probe.probe
    assert others == ["circuit_open"] * 8
    assert call(target, policy) == "ok"


@BOTH
def test_a_prober_that_is_late_no_longer_decides(keep: None, target: str) -> None:
    # Given a probe that takes longer than its lease
    policy = BreakerPolicy(reset=0.1, lease=0.2)
    for _ in range(5):
        fail(target, policy)
    time.sleep(0.15)
    with passing(target, policy) as late:
        time.sleep(0.25)
        # When another takes its place
        with passing(target, policy) as next_probe:
            pass
        late.failed()
    # Then
    assert (late.probe, next_probe.probe) == (True, True)
    assert call(target, policy) == "ok"


@BOTH
def test_a_refusal_of_the_target_is_no_failure(keep: None, target: str) -> None:
    # Given / When
    refusals: list[DatapunkError] = [ConflictError(), TooManyRequestsError()]
    went = [call(target, error=refusals[number % 2]) for number in range(30)]
    # Then
    assert went == ["failed"] * 30
    assert call(target) == "ok"


@BOTH
def test_a_caller_that_is_stopped_says_nothing_of_the_target(keep: None, target: str) -> None:
    # Given
    policy = BreakerPolicy(failures=1, reset=0.1)
    # When
    with pytest.raises(KeyboardInterrupt), passing(target, policy):
        raise KeyboardInterrupt
    # Then
    assert call(target, policy) == "ok"
    # When it was the probe, its place is free at once
    fail(target, policy)
    time.sleep(0.15)
    with pytest.raises(KeyboardInterrupt), passing(target, policy):
        raise KeyboardInterrupt
    # Then
    assert call(target, policy) == "probe"


@BOTH
def test_a_failure_that_is_no_exception_is_said(keep: None, target: str) -> None:
    # Given / When
    for _ in range(5):
        with passing(target) as passage:
            passage.failed()
    # Then
    assert call(target) == "circuit_open"


@BOTH
def test_a_bulkhead_lets_so_many_in_and_gives_slots_back(keep: None, target: str) -> None:
    # Given
    policy = BreakerPolicy(concurrency=3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(passing(target, policy))
        # When / Then
        assert [call(target, policy) for _ in range(4)] == ["bulkhead_full"] * 4
    assert call(target, policy) == "ok"


@BOTH
def test_a_full_bulkhead_takes_no_probe(keep: None, target: str) -> None:
    # Given a breaker that opened while a call goes on
    policy = BreakerPolicy(concurrency=1, failures=1, reset=0.1)
    wider = BreakerPolicy(concurrency=2, failures=1, reset=0.1)
    with passing(target, policy):
        assert fail(target, wider) == "failed"
        time.sleep(0.15)
        # When / Then
        assert call(target, policy) == "bulkhead_full"
    assert call(target, policy) == "probe"


def test_it_is_open_for_sixty_seconds_and_then_one_may_try(
    target: str, server: redis.Redis
) -> None:
    # Given
    for _ in range(5):
        fail(target)
    key = circuits._keys(target)[0]
    # When 59 s have gone by
    server.hincrby(key, "until", -59_000)
    # Then
    with pytest.raises(CircuitOpenError) as refused, passing(target):
        pass
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    assert refused.value.dependency == target
    # When 61 have
    server.hincrby(key, "until", -2_000)
    # Then
    assert call(target) == "probe"


def test_the_default_is_the_specification_s() -> None:
    # Given / When / Then
    assert (DEFAULT.failures, DEFAULT.reset, DEFAULT.window) == (5, 60.0, 60.0)


def test_a_healthy_call_costs_one_round_trip(target: str, server: redis.Redis) -> None:
    # Given a target that is known already
    call(target)
    before = server.info("commandstats")["cmdstat_evalsha"]["calls"]
    # When
    for _ in range(10):
        call(target)
    # Then
    assert server.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 10


def test_a_state_can_be_seen(target: str) -> None:
    # Given
    policy = BreakerPolicy(concurrency=9)
    with passing(target, policy):
        call(target, policy)
        fail(target, policy)
        # When
        closed = state_of(target)
        for _ in range(5):
            fail(target, policy)
        opened = state_of(target)
    # Then
    assert (closed.state, closed.calls, closed.failures, closed.busy) == ("closed", 3, 1, 1)
    assert closed.error_percent == pytest.approx(33.3)
    assert (opened.state, opened.failures_in_a_row, opened.refused) == ("open", 5, 1)
    assert 59 < opened.retry_after <= 60
    assert opened.opened_at is not None
    assert abs(opened.opened_at - time.time()) < 30


def test_the_state_table_has_half_open(target: str) -> None:
    # Given
    policy = BreakerPolicy(failures=1, reset=0.05)
    fail(target, policy)
    time.sleep(0.1)
    # When / Then
    assert state_of(target).state == "half_open"
    with passing(target, policy):
        assert state_of(target).state == "half_open"
    assert state_of(target).state == "closed"


def test_a_fallback_answers_for_a_target_that_is_ill_and_for_no_mistake(target: str) -> None:
    # Given
    def be_ill() -> str:
        raise UnavailableError(target)

    def refuse() -> str:
        raise ConflictError

    # When
    answers = [
        protected(target, be_ill, fallback=lambda error: type(error).__name__) for _ in range(6)
    ]
    # Then
    assert answers == ["UnavailableError"] * 5 + ["CircuitOpenError"]
    with pytest.raises(ConflictError):
        protected("other", refuse, fallback=lambda _: "never")


def _metrics(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if '"_aws"' in line]


def test_transitions_and_refusals_are_counted(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    policy = BreakerPolicy(reset=0.6)
    # When
    for _ in range(7):
        fail(target, policy)
    time.sleep(0.65)
    call(target, policy)
    # Then
    lines = _metrics(capsys.readouterr().out)
    refused = [line for line in lines if "breaker_refused_total" in line]
    changes = [line["state"] for line in lines if "breaker_transitions_total" in line]
    assert [line["reason"] for line in refused] == ["open", "open"]
    assert {line["target"] for line in lines} == {target}
    assert changes == ["open", "closed"]


def test_what_redis_said_is_remembered_when_it_is_gone(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    for _ in range(5):
        fail(target)
    # When
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    settings.cache_clear()
    cache.forget()
    # Then
    assert call(target) == "circuit_open"


def test_a_redis_that_comes_back_is_asked_again(
    target: str, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    with monkeypatch.context() as patch:
        patch.setenv("REDIS_URL", NOWHERE)
        settings.cache_clear()
        assert [fail(target) for _ in range(6)] == ["failed"] * 5 + ["circuit_open"]
    settings.cache_clear()
    # When the pause is over
    circuits._pause.end()
    # Then
    assert call(target) == "ok"
    assert state_of(target).calls == 1
