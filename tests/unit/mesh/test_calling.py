"""call_service: what travels with a call, what is tried again, and when it is not even tried."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from datapunk.context import Trace, WorkContext, working
from datapunk.errors import (
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    DatapunkError,
    DeadlineExceededError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    TooManyRequestsError,
    UnavailableError,
    UnsupportedMediaTypeError,
    error_classes,
)
from datapunk.identity import Caller
from datapunk.mesh import acall_service, call_service, calling
from datapunk.mesh.breaker import BreakerPolicy
from datapunk.mesh.generated.lake_pb2 import Dataset, GetDatasetRequest, InsertRecordsResponse
from datapunk.retry import DEFAULT, RetryPolicy
from datapunk.settings import settings

from tests.support.callee import Callee, answering

QUICK = RetryPolicy(initial=0.01)
ANN = Caller("user:ann", "acme", ("editor",), ("read", "write"), ("client:app",))
FOUND = Dataset(name="co2", version=3).SerializeToString()
STORED = InsertRecordsResponse(dataset="co2", inserted=2).SerializeToString()
ILL = UnavailableError("postgresql")
RECORDS = {"dataset": "co2", "records": b"[]"}


@pytest.fixture(autouse=True)
def fresh_caller(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Become an environment that has called nobody, with breakers of the test's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("SERVICES", "*=lambda:test-{service}-serve_rpc")
    # Other tests call a service of this name too, and it fails there.
    run = uuid.uuid4().hex
    monkeypatch.setattr("datapunk.mesh.circuits.quote", lambda name, **_: f"{name}-{run}")
    calling.forget()
    yield
    calling.forget()


@pytest.fixture
def work() -> Iterator[WorkContext]:
    """Be at work for Ann, with a minute left."""
    found = WorkContext(
        operation="stream.relay",
        correlation_id="order-1",
        trace=Trace("1" * 32, "2" * 16),
        deadline=time.monotonic() + 60,
        caller=ANN,
    )
    with working(found):
        yield found


def _point_at(callee: Callee, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", callee.url)
    settings.cache_clear()


def _get(**more: Any) -> Any:
    return call_service("lake", "get_dataset", {"dataset": "co2"}, retry=QUICK, **more)


def _insert(**more: Any) -> Any:
    return call_service("lake", "insert_records", {"dataset": "co2"}, retry=QUICK, **more)


def _metrics(text: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if f'"{name}":' in line]


def test_a_call_carries_who_asks_the_trace_and_the_time(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    with answering(FOUND) as callee:
        _point_at(callee, monkeypatch)
        # When
        found = call_service("lake", "get_dataset", GetDatasetRequest(dataset="co2"))
        arrived = time.time()
    # Then
    assert (found.name, found.version) == ("co2", 3)
    (event,) = callee.events
    assert callee.functions == ["test-lake-serve_rpc"]
    assert event["path"] == "/datapunk.lake.v1.LakeService/GetDataset"
    assert event["rpc"]["caller"] == {
        "principal": "user:ann",
        "tenant": "acme",
        "roles": ["editor"],
        "scopes": ["read", "write"],
        "actors": ["client:app", "service:stream"],
    }
    assert event["headers"]["traceparent"] == f"00-{'1' * 32}-{'2' * 16}-01"
    assert event["headers"]["x-correlation-id"] == "order-1"
    assert 20_000 < int(event["headers"]["connect-timeout-ms"]) <= 30_000
    assert 15 < event["rpc"]["deadline"] - arrived <= 30


def test_a_service_s_own_time_is_the_most_a_call_gets(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    with answering(b"") as callee:
        _point_at(callee, monkeypatch)
        # When
        call_service("stream", "list_events", {})
        call_service("lake", "list_datasets", {}, timeout=1.5)
    # Then
    given = [int(value or 0) for value in callee.header("connect-timeout-ms")]
    assert 4_500 < given[0] <= 5_000
    assert 1_000 < given[1] <= 1_500


def test_a_safe_call_that_fails_twice_is_tried_three_times(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    with answering(ILL, ILL, FOUND) as callee:
        _point_at(callee, monkeypatch)
        # When
        found = _get()
    # Then
    assert found.name == "co2"
    assert len(callee.events) == 3
    # One trace, and each attempt has less time.
    assert len(set(callee.header("traceparent"))) == 1
    times = [int(value or 0) for value in callee.header("connect-timeout-ms")]
    assert times == sorted(times, reverse=True)
    outcomes = [line["outcome"] for line in _metrics(capsys.readouterr().out, "mesh_calls_total")]
    assert outcomes == ["unavailable", "unavailable", "ok"]


@pytest.mark.parametrize(("key", "attempts"), [(None, 1), ("order-1", 3)])
def test_a_call_that_changes_something_is_repeated_only_under_a_key(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch, key: str | None, attempts: int
) -> None:
    # Given
    with answering(ILL) as callee:
        _point_at(callee, monkeypatch)
        # When
        with pytest.raises(UnavailableError) as raised:
            _insert(key=key)
    # Then
    assert raised.value.dependency == "postgresql"
    assert callee.header("idempotency-key") == [key] * attempts


@pytest.mark.parametrize("error", [ConflictError(), ForbiddenError(), InvalidInputError()])
def test_a_refusal_is_not_repeated(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch, error: DatapunkError
) -> None:
    # Given
    with answering(error) as callee:
        _point_at(callee, monkeypatch)
        # When
        with pytest.raises(type(error)):
            _get()
    # Then
    assert len(callee.events) == 1


def test_the_default_is_three_attempts_one_second_apart() -> None:
    # Given / When / Then
    assert (DEFAULT.attempts, DEFAULT.initial, DEFAULT.factor) == (3, 1.0, 2.0)
    assert DEFAULT.jitter


def test_every_attempt_passes_the_breaker(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    with answering(ILL) as callee:
        _point_at(callee, monkeypatch)
        # When three calls would be nine attempts
        errors = [_error(_get) for _ in range(3)]
    # Then five reach the target, and nobody waits for one that is left alone
    assert len(callee.events) == 5
    assert errors == [UnavailableError, CircuitOpenError, CircuitOpenError]


def _error(act: Any) -> type[Exception]:
    try:
        act()
    except DatapunkError as error:
        return type(error)
    raise AssertionError("nothing was raised")


def test_retries_end_with_their_budget(work: WorkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a breaker that never opens
    never = BreakerPolicy(failures=1000, volume=1000)
    with answering(ILL) as callee:
        _point_at(callee, monkeypatch)
        # When
        for _ in range(20):
            _error(lambda: _get(breaker=never))
    # Then 20 calls have the retries that were there and a fifth of one each, not 40
    assert 20 + 10 <= len(callee.events) <= 20 + 14


def test_who_is_told_to_wait_waits(work: WorkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    with answering(TooManyRequestsError(retry_after=1), FOUND) as callee:
        _point_at(callee, monkeypatch)
        started = time.monotonic()
        # When
        _get()
    # Then
    assert len(callee.events) == 2
    assert time.monotonic() - started >= 1


def test_nobody_waits_longer_than_the_deadline(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a callee that hangs
    with answering(3.0) as callee:
        _point_at(callee, monkeypatch)
        started = time.monotonic()
        # When
        with pytest.raises(DeadlineExceededError):
            _get(timeout=0.3)
        elapsed = time.monotonic() - started
    # Then
    assert elapsed < 1.5
    assert len(callee.events) == 1


def test_without_time_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    late = WorkContext("stream.x", "c", Trace("1" * 32, "2" * 16), time.monotonic() + 0.05, ANN)
    with answering(FOUND) as callee:
        _point_at(callee, monkeypatch)
        # When
        with working(late), pytest.raises(DeadlineExceededError):
            _get()
    # Then
    assert callee.events == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_function_that_cannot_be_invoked_is_unavailable(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    # Given
    with answering(status) as callee:
        _point_at(callee, monkeypatch)
        # When
        with pytest.raises(UnavailableError) as raised:
            _insert()
    # Then
    assert raised.value.dependency == "lake"


def test_where_the_binary_form_is_not_served_json_is_and_it_is_counted(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    with answering(UnsupportedMediaTypeError(), b'{"dataset": "co2", "inserted": "2"}') as callee:
        _point_at(callee, monkeypatch)
        # When a call that may not be repeated was refused unread
        stored = _insert()
    # Then
    assert stored.inserted == 2
    assert callee.header("content-type") == ["application/proto", "application/json"]
    counted = _metrics(capsys.readouterr().out, "mesh_fallbacks_total")
    assert [line["service"] for line in counted] == ["lake"]


def test_errors_arrive_as_they_were_raised(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given every kind of error
    fields = [FieldError("records.0.ppm", "is no number", "float_parsing")]
    raised: list[DatapunkError] = [
        InvalidInputError("Not valid: records.0.ppm.", errors=fields),
        ForbiddenError("Not yours.", scope="write"),
        TooManyRequestsError("Too many.", retry_after=60),
        CircuitOpenError("postgresql", "Left alone.", retry_after=42),
    ]
    known = {type(error) for error in raised}
    dependent = [cls for cls in error_classes() if issubclass(cls, UnavailableError)]
    raised += [cls("redis", "Gone.") for cls in dependent if cls not in known]
    raised += [cls("What.") for cls in error_classes() if cls not in {*known, *dependent}]
    raised = [error for error in raised if error.status != 415]
    never = BreakerPolicy(failures=1000, volume=1000)
    with answering(*raised) as callee:
        _point_at(callee, monkeypatch)
        # When
        got = [_caught(lambda: _insert(breaker=never)) for _ in raised]
    # Then
    assert [_facts(error) for error in got] == [_facts(error) for error in raised]


def _caught(act: Any) -> DatapunkError:
    with pytest.raises(DatapunkError) as raised:
        act()
    return raised.value


def _facts(error: DatapunkError) -> tuple[Any, ...]:
    more = [getattr(error, name, None) for name in ("retry_after", "dependency", "scope")]
    return (type(error), error.detail, error.errors, *more)


@pytest.mark.parametrize(
    ("service", "operation", "message", "kind"),
    [
        ("nobody", "get_dataset", {}, ConfigurationError),
        ("lake", "drop_everything", {}, ConfigurationError),
        ("lake", "get_dataset", {"dataset": 5}, InvalidInputError),
        ("lake", "get_dataset", {"table": "x"}, InvalidInputError),
        ("lake", "get_dataset", Dataset(), InvalidInputError),
    ],
)
def test_what_no_contract_has_is_not_sent(
    work: WorkContext, service: str, operation: str, message: Any, kind: type[DatapunkError]
) -> None:
    # Given / When / Then
    with pytest.raises(kind):
        call_service(service, operation, message)


def test_a_script_says_for_whom_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given no work in hand
    with answering(FOUND) as callee:
        _point_at(callee, monkeypatch)
        # When
        with pytest.raises(ConfigurationError):
            _get()
        _get(caller=ANN)
    # Then
    assert callee.events[0]["rpc"]["caller"]["actors"] == ["client:app"]


def test_a_program_with_an_event_loop_waits_for_its_answer(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    with answering(STORED) as callee:
        _point_at(callee, monkeypatch)
        # When the members are Python's own values
        asked = acall_service("lake", "insert_records", RECORDS, key="k")
        # In a thread of its own: this one may have a loop of an ASGI adapter's.
        with ThreadPoolExecutor(1) as pool:
            stored = pool.submit(contextvars.copy_context().run, asyncio.run, asked).result(10)
    # Then for Ann still
    assert stored.inserted == 2
    assert callee.events[0]["rpc"]["caller"]["principal"] == "user:ann"


@pytest.mark.parametrize("services", ["", "nexus=lambda:x", "lake=gopher://x"])
def test_a_service_that_is_nowhere_is_the_operator_s_matter(
    work: WorkContext, monkeypatch: pytest.MonkeyPatch, services: str
) -> None:
    # Given
    monkeypatch.setenv("SERVICES", services)
    settings.cache_clear()
    # When / Then
    with pytest.raises(ConfigurationError, match="SERVICES"):
        _get()
