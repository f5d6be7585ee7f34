"""Rate limits: who is counted together, how much passes, and what happens without Redis."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from datapunk import cache, limits, scripts
from datapunk.database import transaction
from datapunk.database.connection import discard
from datapunk.identity import SYSTEM, Caller
from datapunk.limits import DEFAULT, RateState, check_rate, client_of
from datapunk.settings import settings

from tests.support.services import Instance

ROUTE = "lake.create_dataset"
HOUR = 3_600


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cache.forget()
    limits.forget()
    yield
    cache.forget()
    limits.forget()


@pytest.fixture
def caller(database: str) -> Caller:
    """Return a caller with a name of the test's own, whom nobody has counted yet."""
    return Caller(f"user:{database.rpartition('_')[2]}", "acme")


def _limit(quota: int, window: int = HOUR, **columns: str) -> None:
    values = {"tenant": "*", "subject": "", "service": "", "route": "", **columns}
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, subject, service, route, quota, window_seconds)"
            " VALUES (%(tenant)s, %(subject)s, %(service)s, %(route)s, %(quota)s, %(window)s)",
            {**values, "quota": quota, "window": window},
        )
    limits.forget()


def _passed(caller: Caller, number: int, route: str = ROUTE) -> int:
    return sum(check_rate(caller, route).allowed for _ in range(number))


def test_a_thousand_in_a_minute_is_the_default(caller: Caller) -> None:
    # Given / When
    state = check_rate(caller, ROUTE)
    # Then
    assert (state.policy, DEFAULT.quota, DEFAULT.window) == (DEFAULT, 1_000, 60)
    assert state.allowed
    assert state.remaining == 999
    assert state.headers() == {
        "RateLimit-Policy": '"default";q=1000;w=60',
        "RateLimit": '"default";r=999;t=60',
    }


def test_exactly_the_quota_passes_and_the_answer_says_when_to_come_back(caller: Caller) -> None:
    # Given
    _limit(10)
    # When
    states = [check_rate(caller, ROUTE) for _ in range(12)]
    # Then
    assert [state.allowed for state in states] == [True] * 10 + [False] * 2
    assert [state.remaining for state in states] == [*range(9, -1, -1), 0, 0]
    refused = states[-1]
    assert HOUR - 60 < refused.retry_after <= HOUR
    assert HOUR - 60 < refused.reset <= HOUR


def test_however_long_it_takes_no_more_than_the_quota_passes_in_a_window(caller: Caller) -> None:
    # Given one request each 20 ms, had they been spread out evenly
    _limit(50, 1)
    check_rate(caller, ROUTE)
    window_ends = time.monotonic() + 0.9
    # When requests come for most of the window
    passed = 1
    while time.monotonic() < window_ends:
        passed += check_rate(caller, ROUTE).allowed
    # Then
    assert passed == 50


def test_two_quotas_cannot_follow_each_other_around_the_end_of_a_window(caller: Caller) -> None:
    # Given a window that began with one request, and the rest of its quota sent at its end
    _limit(20, 2)
    assert check_rate(caller, ROUTE).allowed
    time.sleep(1.8)
    assert _passed(caller, 30) == 19
    # When the next window begins
    while not (state := check_rate(caller, ROUTE)).allowed:
        time.sleep(0.01)
    # Then only what has come back since may be sent
    assert state.remaining is not None
    assert state.remaining < 10


def test_functions_share_the_count_and_clients_do_not(caller: Caller) -> None:
    # Given
    _limit(5)
    # When / Then
    assert _passed(caller, 3) == 3
    assert _passed(caller, 9, "stream.publish_event") == 2
    assert _passed(Caller(caller.principal, "other"), 9) == 5
    assert _passed(Caller(f"{caller.principal}-2", "acme"), 9) == 5


def test_the_most_specific_limit_counts(caller: Caller) -> None:
    # Given
    _limit(9)
    _limit(7, service="lake")
    _limit(5, route=ROUTE)
    _limit(6, tenant="other", route=ROUTE)
    _limit(3, subject=caller.principal, route=ROUTE)
    stranger = Caller(f"{caller.principal}-2", "acme")
    neighbour = Caller(f"{caller.principal}-2", "other")
    # When / Then
    assert _passed(caller, 20) == 3
    assert _passed(stranger, 20) == 5
    assert _passed(neighbour, 20) == 6
    assert _passed(stranger, 20, "lake.get_dataset") == 7
    assert _passed(stranger, 20, "stream.list_events") == 9


def test_a_client_is_its_key_its_principal_or_its_address() -> None:
    # Given / When / Then
    assert client_of(Caller("user:1", actors=("service:a", "key:dp_1")), "192.0.2.1") == "key:dp_1"
    assert client_of(Caller("user:1", actors=("service:a",)), "192.0.2.1") == "user:1"
    assert client_of(Caller(), "192.0.2.1") == "address:192.0.2.1"


def _hammer(environment: dict[str, str], caller: Caller, start: Any, passed: Any) -> None:
    os.environ.update(environment)
    start.wait(60)
    own = sum(check_rate(caller, ROUTE).allowed for _ in range(30))
    with passed.get_lock():
        passed.value += own


def test_exactly_the_quota_passes_under_fifty_processes(
    caller: Caller, database: str, instance: Instance
) -> None:
    # Given a quota that does not come back while the test runs
    _limit(1_000, 86_400)
    context = multiprocessing.get_context("fork")
    environment = {"DATABASE_URL": database, "REDIS_URL": instance.url("redis")}
    start, passed = context.Barrier(50), context.Value("i", 0)
    # A connection that a fork takes along would be shared.
    cache.forget()
    discard()
    processes = [
        context.Process(target=_hammer, args=(environment, caller, start, passed))
        for _ in range(50)
    ]
    # When 1,500 requests come at once
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    # Then
    assert [process.exitcode for process in processes] == [0] * 50
    assert passed.value == 1_000


def _metrics(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if '"_aws"' in line]


def test_without_redis_all_pass_and_a_metric_says_so(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()
    # When
    states = [check_rate(caller, ROUTE) for _ in range(3)]
    # Then
    assert all(state.allowed for state in states)
    assert states[0].headers() == {"RateLimit-Policy": '"default";q=1000;w=60'}
    counted = _metrics(capsys.readouterr().out)
    assert [line["rate_limiter_unavailable_total"] for line in counted] == [1, 1, 1]
    assert counted[0]["service"] == "lake"


def test_a_redis_that_was_gone_is_left_alone_and_then_asked_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server that takes connections and never answers
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(scripts, "PAUSE", 30.0)
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with monkeypatch.context() as patch:
            patch.setenv("REDIS_URL", url)
            settings.cache_clear()
            # When
            first = check_rate(caller, ROUTE)
            silent.close()
            others = [check_rate(caller, ROUTE) for _ in range(50)]
        settings.cache_clear()
    # Then nobody asked: there is a server now, and it would have counted
    assert all(state.remaining is None for state in (first, *others))
    assert check_rate(caller, ROUTE).remaining is None
    # and once the pause is over it is asked again
    limits._pause.end()
    assert check_rate(caller, ROUTE).remaining == 999


def test_limits_known_once_go_on_to_count_when_the_database_is_gone(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    _limit(5)
    assert check_rate(caller, ROUTE).policy.quota == 5
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    discard()
    # When what is known has become old
    for known in limits._known.values():
        known.until = 0.0
    state: RateState = check_rate(caller, ROUTE)
    # Then
    assert (state.policy.quota, state.remaining) == (5, 3)


def test_a_script_the_server_forgot_is_sent_again(caller: Caller) -> None:
    # Given
    assert check_rate(caller, ROUTE).allowed
    cache.client().script_flush()
    # When / Then
    assert check_rate(caller, ROUTE).remaining == 998
