"""stream.check_health: up while PostgreSQL and RabbitMQ answer."""

from __future__ import annotations

import pytest

from tests.support.invoking import Invoker
from tests.support.services import Broker

OPERATION = "stream.check_health"


def test_the_sample_is_up(database: str, broker: Broker, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["status"]) == (200, "up")
    assert [check["name"] for check in answer.json["checks"]] == [
        "postgresql",
        "rabbitmq",
        "redis",
    ]


def test_without_a_broker_it_is_down(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["status"]) == (503, "down")
    assert [check["status"] for check in answer.json["checks"]] == ["up", "down", "up"]


@pytest.mark.parametrize("probe", ["live", "startup"])
def test_other_probes_need_no_broker(
    database: str, no_broker: None, invoke: Invoker, probe: str
) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"probe": probe})
    # Then
    assert (answer.status, answer.json["status"]) == (200, "up")
