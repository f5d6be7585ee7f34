"""Every event sample is accepted by its handler, run against real services."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.answers import Answers
from tests.support.invoking import Invoker, run
from tests.support.samples import load_sample, operations
from tests.support.services import Broker

BEFORE = {
    "lake.get_dataset": ["lake.create_dataset"],
    "lake.insert_records": ["lake.create_dataset"],
    "lake.query_records": ["lake.create_dataset", "lake.insert_records"],
}
"""What must have happened for a sample to make sense."""

HTTP = [operation for operation in operations() if "httpMethod" in load_sample(operation)]
CUSTOM_RESOURCES = [o for o in operations() if "ResponseURL" in load_sample(o)]
OTHER: dict[str, dict[str, Any]] = {
    "stream.relay_outbox": {"published": 0, "waiting": 0, "forgotten": 0},
    "stream.store_event": {"done": 1, "retry": 0, "dead": 0, "duplicate": 0},
}
SECRETS = ("password", "secret", "AKIA", "localhost", "/home/")


def test_every_sample_is_tried() -> None:
    # Given / When / Then
    assert sorted([*HTTP, *CUSTOM_RESOURCES, *OTHER]) == operations()


@pytest.mark.parametrize("operation", HTTP)
def test_a_request_is_answered_well(
    operation: str, database: str, broker: Broker, invoke: Invoker
) -> None:
    # Given
    for earlier in BEFORE.get(operation, []):
        assert invoke(earlier).status < 300
    # When
    answer = invoke(operation)
    # Then
    assert 200 <= answer.status < 300, answer.body


@pytest.mark.parametrize("operation", CUSTOM_RESOURCES)
def test_a_custom_resource_succeeds(
    operation: str, database: str, broker: Broker, cloudformation: Answers
) -> None:
    # Given
    event = {**load_sample(operation), "ResponseURL": cloudformation.url}
    # When
    run(operation, event)
    # Then
    assert [document["Status"] for document in cloudformation.documents] == ["SUCCESS"]


@pytest.mark.parametrize("operation", OTHER)
def test_a_batch_or_schedule_succeeds(operation: str, database: str, broker: Broker) -> None:
    # Given / When
    outcome = run(operation, load_sample(operation))
    # Then
    assert outcome == OTHER[operation]


@pytest.mark.parametrize("operation", operations())
def test_a_sample_gives_nothing_away(operation: str) -> None:
    # Given / When
    text = json.dumps(load_sample(operation))
    # Then
    assert [word for word in SECRETS if word in text] == []
