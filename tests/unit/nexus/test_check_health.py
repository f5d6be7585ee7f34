"""nexus.check_health: the three services, and whether the schema is there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from datapunk import __version__
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.services import Broker, Instance

OPERATION = "nexus.check_health"


def test_the_sample_is_up(database: str, broker: Broker, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    body = answer.json
    assert (answer.status, body["status"], body["version"]) == (200, "up", __version__)
    assert set(body) == {"status", "service", "version", "time", "checks"}
    assert dt.datetime.fromisoformat(body["time"]).utcoffset() == dt.timedelta()
    assert {check["name"]: check["status"] for check in body["checks"]} == {
        "gateway_status": "up",
        "auth_service": "up",
        "postgresql": "up",
        "redis": "up",
        "rabbitmq": "up",
    }
    for check in body["checks"]:
        assert set(check) == {"name", "status", "latency_ms", "required", "detail"}


@pytest.mark.parametrize(
    ("variable", "url", "name"),
    [
        ("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none", "postgresql"),
        ("REDIS_URL", "redis://:nothing@127.0.0.1:1/0", "redis"),
        ("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/%2F", "rabbitmq"),
        ("DATABASE_URL", "", "postgresql"),
        ("REDIS_URL", "nonsense", "redis"),
        ("AMQP_URL", "nonsense", "rabbitmq"),
    ],
)
def test_one_service_that_is_gone_is_named(
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
    # Then
    assert (answer.status, answer.json["status"]) == (503, "down")
    down = [check for check in answer.json["checks"] if check["status"] == "down"]
    assert [check["name"] for check in down] == [name]
    assert down[0]["detail"]
    assert "nothing" not in answer.body


def test_a_schema_that_is_not_there_yet_holds_the_start(
    instance: Instance, broker: Broker, monkeypatch: pytest.MonkeyPatch, invoke: Invoker
) -> None:
    # Given
    url = instance.new_database(template="template1")
    monkeypatch.setenv("DATABASE_URL", url)
    # When
    answer = invoke(OPERATION, path={"probe": "startup"})
    # Then
    assert (answer.status, answer.json["status"]) == (503, "down")
    configured, schema = answer.json["checks"]
    assert (configured["name"], configured["status"]) == ("settings", "up")
    assert "0001_platform" in schema["detail"]


def test_a_whole_schema_lets_it_start(database: str, broker: Broker, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"probe": "startup"})
    # Then
    assert answer.status == 200
    assert [check["name"] for check in answer.json["checks"]] == ["settings", "schema"]


@pytest.mark.parametrize(
    ("variable", "value"), [("REDIS_URL", ""), ("AMQP_URL", ""), ("ISSUER", "nonsense")]
)
def test_a_setting_that_is_missing_or_wrong_holds_the_start(
    database: str,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    invoke: Invoker,
    variable: str,
    value: str,
) -> None:
    # Given
    monkeypatch.setenv(variable, value)
    settings.cache_clear()
    # When
    answer = invoke(OPERATION, path={"probe": "startup"})
    # Then
    assert (answer.status, answer.json["status"]) == (503, "down")
    assert variable in answer.json["checks"][0]["detail"]


def test_without_a_key_that_signs_only_the_sign_in_component_fails(
    database: str, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoker
) -> None:
    # Given
    monkeypatch.setenv("KEY_RING", f"file:{tmp_path / 'empty'}")
    settings.cache_clear()
    # When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 503
    down = [check["name"] for check in answer.json["checks"] if check["status"] == "down"]
    assert down == ["auth_service"]
