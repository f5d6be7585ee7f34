"""lake.check_health: up while PostgreSQL answers."""

from __future__ import annotations

import pytest

from tests.support.invoking import Invoker
from tests.support.services import Broker

OPERATION = "lake.check_health"


def test_the_sample_is_up(database: str, broker: Broker, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["status"], answer.json["service"]) == (200, "up", "lake")
    assert [(check["name"], check["required"]) for check in answer.json["checks"]] == [
        ("postgresql", True),
        ("redis", False),
        ("rabbitmq", False),
    ]
    assert answer.headers["cache-control"] == "no-store"


def test_without_postgresql_it_is_down(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, invoke: Invoker
) -> None:
    # Given
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["status"]) == (503, "down")
    (check,) = [check for check in answer.json["checks"] if check["status"] == "down"]
    assert (check["name"], check["required"]) == ("postgresql", True)
    assert "nothing" not in answer.body


@pytest.mark.parametrize(
    ("variable", "url", "name"),
    [
        ("REDIS_URL", "redis://:nothing@127.0.0.1:1/0", "redis"),
        ("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/%2F", "rabbitmq"),
    ],
)
def test_without_what_it_can_do_without_it_is_degraded_and_serves(
    database: str,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    invoke: Invoker,
    variable: str,
    url: str,
    name: str,
) -> None:
    # Given
    monkeypatch.setenv(variable, url)
    # When
    answer = invoke(OPERATION)
    created = invoke("lake.create_dataset")
    # Then
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    (check,) = [check for check in answer.json["checks"] if check["status"] == "down"]
    assert (check["name"], check["required"]) == (name, False)
    assert created.status == 201


def test_it_lives_without_anything(environment: None, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"probe": "live"})
    # Then
    assert (answer.status, answer.json["status"], answer.json["checks"]) == (200, "up", [])


@pytest.mark.parametrize("probe", ["", "other", "READY", "ready'--"])
def test_another_probe_is_refused(environment: None, invoke: Invoker, probe: str) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"probe": probe})
    # Then
    assert answer.status in (404, 422)
