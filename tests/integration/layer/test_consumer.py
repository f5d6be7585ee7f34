"""Messages are decided one by one: done once, tried again, or given up with the reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest
from datapunk.errors import UnavailableError

from tests.support import trial
from tests.support.lambda_context import LambdaContext
from tests.support.mapping import KilledError, QueueMapping, drain, in_own_process
from tests.support.services import Broker, eventually

GOOD = 97


def _run(event: dict[str, Any]) -> dict[str, int]:
    outcomes: dict[str, int] = trial.handler(event, LambdaContext())
    return outcomes


@pytest.fixture
def mapping(database: str, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> QueueMapping:
    """Return a mapping of the trial's queue."""
    broker.declare(trial.SUBSCRIPTION)
    with psycopg.connect(database) as connection:
        connection.execute(trial.TABLE)
    monkeypatch.setattr(trial, "progress", trial.Progress())
    return QueueMapping(broker, trial.QUEUE)


def _effects(database: str) -> Counter[int]:
    with psycopg.connect(database) as connection:
        return Counter(row[0] for row in connection.execute("SELECT id FROM effects").fetchall())


def _dead(mapping: QueueMapping) -> dict[str, Any]:
    """Take what was given up: reason by message id."""
    taken = mapping.broker.take(f"{trial.QUEUE}.dead")
    reasons = {properties.message_id: properties.headers["dead-reason"] for properties, _ in taken}
    assert len(reasons) == len(taken), "a message was given up twice"
    return reasons


def _publish_batch(mapping: QueueMapping) -> None:
    """Send a hundred messages, three of which are poison in three ways."""
    for number in range(GOOD):
        mapping.publish({"id": number}, message_id=f"good-{number}")
        if number == 10:
            mapping.publish(b"{no json", message_id="no-json")
        if number == 50:
            mapping.publish({"id": "x"}, message_id="no-task")
        if number == 90:
            mapping.publish({"id": 1000, "kind": "poison"}, message_id="refused")


def _assert_all_decided(database: str, mapping: QueueMapping) -> None:
    assert _effects(database) == Counter(range(GOOD))
    reasons = _dead(mapping)
    assert set(reasons) == {"no-json", "no-task", "refused"}
    assert reasons["refused"] == "invalid_input: Task 1000 can never be done."
    assert reasons["no-task"].startswith("invalid message: id:")
    assert reasons["no-json"].startswith("invalid message:")
    # The broker counts acknowledged messages a moment later.
    assert eventually(lambda: mapping.broker.count(trial.QUEUE) == 0)


def test_poison_harms_no_other_message(database: str, mapping: QueueMapping) -> None:
    # Given
    _publish_batch(mapping)
    # When
    outcomes = mapping.poll(_run)
    # Then
    assert outcomes == {"done": GOOD, "retry": 0, "dead": 3, "duplicate": 0}
    _assert_all_decided(database, mapping)


@pytest.mark.parametrize("kill_after", [0, 1, 49, 96])
def test_a_function_that_is_killed_midway_changes_nothing(
    database: str, mapping: QueueMapping, kill_after: int
) -> None:
    # Given
    _publish_batch(mapping)
    with pytest.raises(KilledError):
        mapping.poll(in_own_process(kill_after=kill_after))
    with pytest.raises(KilledError):
        mapping.poll(in_own_process(kill_after=kill_after // 2))
    # When
    drain(mapping, _run, until=lambda: mapping.broker.count(trial.QUEUE) == 0)
    # Then
    _assert_all_decided(database, mapping)


def test_a_function_that_is_killed_at_any_moment_changes_nothing(
    database: str, mapping: QueueMapping
) -> None:
    # Given
    _publish_batch(mapping)
    for _ in range(3):
        try:
            mapping.poll(in_own_process(kill_within=0.4))
        except KilledError:
            continue
    # When
    drain(mapping, _run, until=lambda: mapping.broker.count(trial.QUEUE) == 0)
    # Then
    _assert_all_decided(database, mapping)


def test_a_message_that_ends_its_function_each_time_is_given_up(
    database: str, mapping: QueueMapping
) -> None:
    # Given
    for number in range(5):
        mapping.publish({"id": number}, message_id=f"good-{number}")
    mapping.publish({"id": 1000, "kind": "killer"}, message_id="killer")
    for number in range(5, 10):
        mapping.publish({"id": number}, message_id=f"good-{number}")
    # When
    killed = 0
    while mapping.broker.count(trial.QUEUE):
        try:
            mapping.poll(in_own_process())
        except KilledError:
            killed += 1
            assert killed < 10
    # Then
    assert killed == 4
    assert _effects(database) == Counter(range(10))
    assert "ended" in _dead(mapping)["killer"]


def test_a_redelivery_is_a_no_op(database: str, mapping: QueueMapping) -> None:
    # Given
    _publish_batch(mapping)
    events: list[dict[str, Any]] = []

    def remember_and_fail(event: dict[str, Any]) -> dict[str, int]:
        events.append(event)
        _run(event)
        raise ConnectionError("the answer is lost on its way")

    with pytest.raises(ConnectionError):
        mapping.poll(remember_and_fail)
    # When
    outcomes = mapping.poll(_run)
    # Then
    assert outcomes == {"done": 0, "retry": 0, "dead": 0, "duplicate": 100}
    _assert_all_decided(database, mapping)


def test_the_same_message_twice_in_a_batch_is_done_once(
    database: str, mapping: QueueMapping
) -> None:
    # Given
    for _ in range(3):
        mapping.publish({"id": 1}, message_id="same")
    # When
    outcomes = mapping.poll(_run)
    # Then
    assert outcomes is not None
    assert (outcomes["done"], outcomes["duplicate"]) == (1, 2)
    assert _effects(database) == Counter([1])


def test_what_fails_is_tried_again_later_and_in_the_end_given_up(
    database: str, mapping: QueueMapping
) -> None:
    # Given tasks that fail twice, always, because a service is gone, and by a value SQL refuses
    mapping.publish({"id": 1, "failures": 2}, message_id="twice")
    mapping.publish({"id": 2, "failures": 99}, message_id="always")
    mapping.publish({"id": 3, "kind": "gone"}, message_id="gone")
    mapping.publish({"id": 4, "kind": "broken"}, message_id="broken")
    mapping.publish({"id": 5}, message_id="good")
    given_up: dict[str, Any] = {}

    def finished() -> bool:
        given_up.update(_dead(mapping))
        return len(given_up) == 3

    # When
    drain(mapping, _run, until=finished)
    # Then
    assert given_up.keys() == {"always", "gone", "broken"}
    assert given_up["always"] == "RuntimeError after retries"
    assert given_up["broken"] == "invalid_input: The database refuses a value."
    assert trial.progress.attempts == {1: 3, 2: 4, 3: 4, 4: 1, 5: 1}
    assert _effects(database) == Counter([1, 5])


def test_a_given_up_message_keeps_what_it_was(database: str, mapping: QueueMapping) -> None:
    # Given
    headers = {"tenant": "acme", "principal": "ada", "number": 7}
    mapping.publish({"id": 1, "kind": "poison"}, message_id="p", headers=headers)
    # When
    mapping.poll(_run)
    # Then
    ((properties, body),) = mapping.broker.take(f"{trial.QUEUE}.dead")
    assert {name: properties.headers[name] for name in headers} == headers
    assert body == b'{"id": 1, "kind": "poison"}'
    assert properties.headers["dead-consumer"] == trial.QUEUE
    assert properties.headers["dead-attempts"] == 1
    assert len(properties.headers["dead-stack-digest"]) == 16


def test_a_message_acts_for_its_tenant_only(database: str, mapping: QueueMapping) -> None:
    # Given
    for number, tenant in enumerate(["acme", "other", "acme"]):
        mapping.publish({"id": number}, message_id=str(number), headers={"tenant": tenant})
    # When
    mapping.poll(_run)
    # Then
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT id, tenant FROM effects ORDER BY id").fetchall()
    assert rows == [(0, "acme"), (1, "other"), (2, "acme")]


def test_without_a_database_the_batch_comes_back_whole(
    database: str, mapping: QueueMapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    _publish_batch(mapping)
    from datapunk.settings import settings

    with monkeypatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
        settings.cache_clear()
        # When
        with pytest.raises(UnavailableError):
            mapping.poll(_run)
    settings.cache_clear()
    # Then
    drain(mapping, _run, until=lambda: mapping.broker.count(trial.QUEUE) == 0)
    _assert_all_decided(database, mapping)


def test_without_a_broker_the_decisions_wait(
    database: str, mapping: QueueMapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    from datapunk import outbox
    from datapunk.broker import connection
    from datapunk.settings import settings

    _publish_batch(mapping)
    with monkeypatch.context() as patch:
        patch.setenv("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/%2F")
        settings.cache_clear()
        # When
        outcomes = mapping.poll(_run)
    settings.cache_clear()
    connection.reset()
    # Then
    assert outcomes is not None
    assert outcomes["dead"] == 3
    assert _dead(mapping) == {}
    assert outbox.relay() == 3
    _assert_all_decided(database, mapping)
