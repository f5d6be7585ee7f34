"""lake.measure_changed: what was written is measured a little later, once, where the rules say so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from datapunk.errors import DeadlineExceededError
from datapunk.lake.quality import service

from tests.support.invoking import Invoker, run
from tests.support.samples import rmq_event
from tests.support.services import Broker
from tests.unit.lake.conftest import MakeDataset

OPERATION = "lake.measure_changed"
T = {"dataset": "t"}
RULE = {"name": "r", "check_type": "completeness", "column": "n", "severity": "error"}
MERGE = {"Prefer": "resolution=merge-duplicates"}


@pytest.fixture
def watched(broker: Broker, make_dataset: MakeDataset, invoke: Invoker) -> None:
    """Make a dataset `t` whose rule is measured after changes."""
    make_dataset("t", key=["id"], id="integer!", n="integer")
    _rules(invoke, on_change=True)


def _rules(invoke: Invoker, **more: Any) -> None:
    body = {"rules": [RULE], **more}
    assert invoke("lake.put_quality_rules", path=T, body=body).json == {
        "rules": [{**RULE, "threshold": 1.0}],
        "on_change": more.get("on_change", False),
    }


def _deliver(broker: Broker) -> dict[str, int]:
    """Hand over all that waits in the queue as one batch, as the mapping does."""
    messages = [
        {"body": body, "message_id": properties.message_id, "headers": properties.headers}
        for properties, body in broker.take(OPERATION)
    ]
    outcome: dict[str, int] = run(OPERATION, rmq_event(OPERATION, messages))
    return outcome


def _scores(invoke: Invoker, **caller: Any) -> list[float]:
    answer = invoke("lake.get_quality", path=T, **caller).json
    return [score["score"] for score in answer["history"]["items"]]


def test_each_kind_of_change_is_measured(watched: None, broker: Broker, invoke: Invoker) -> None:
    # Given / When / Then
    changes: list[tuple[str, dict[str, Any], float]] = [
        ("POST", {"query": {}, "body": [{"id": 1, "n": None}, {"id": 2, "n": 2}]}, 0.5),
        ("PATCH", {"query": {"id": "eq.1"}, "body": {"n": 1}}, 1.0),
        ("POST", {"query": {}, "body": [{"id": 2, "n": None}], "headers": MERGE}, 0.5),
        ("DELETE", {"query": {"id": "eq.2"}}, 1.0),
    ]
    for place, (method, request, score) in enumerate(changes, 1):
        answer = invoke("lake.write_rest", path=T, method=method, **request)
        assert answer.status < 300, answer.body
        assert _deliver(broker)["done"] == 1
        assert (_scores(invoke)[0], len(_scores(invoke))) == (score, place)


def test_changes_that_come_together_are_measured_once(
    watched: None, broker: Broker, invoke: Invoker
) -> None:
    # Given
    for number in range(5):
        body = [{"id": number, "n": None if number else 1}]
        answer = invoke("lake.insert_records", path=T, body=body, content_type="application/json")
        assert answer.status == 201
    # When
    outcome = _deliver(broker)
    # Then it has seen all of them
    assert outcome["done"] == 5
    assert _scores(invoke) == [0.2]
    # And tells of what got worse
    assert [event["type"] for event in _told(broker)].count(service.QUALITY_DEGRADED) == 1


def _told(broker: Broker) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in broker.take("stream.store_event")]


def test_rules_wait_for_the_hour_unless_they_say_otherwise(
    broker: Broker, make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", id="integer!", n="integer")
    _rules(invoke)
    body = [{"id": 1}]
    assert (
        invoke("lake.insert_records", path=T, body=body, content_type="application/json").status
        == 201
    )
    # When / Then
    assert _deliver(broker)["done"] == 1
    assert _scores(invoke) == []
    # When they do say otherwise, and do no longer
    for on_change, scores in ((True, [0.0]), (False, [0.0])):
        _rules(invoke, on_change=on_change)
        invoke("lake.insert_records", path=T, body=body, content_type="application/json")
        _deliver(broker)
        # Then
        assert _scores(invoke) == scores
        assert invoke("lake.get_quality", path=T).json["on_change"] is on_change


def test_another_tenants_dataset_of_the_name_is_left_alone(
    watched: None, broker: Broker, invoke: Invoker
) -> None:
    # Given
    definition = {"name": "t", "columns": [{"name": "n", "type": "integer"}]}
    assert invoke("lake.create_dataset", body=definition, tenant="acme").status == 201
    rows: dict[str, Any] = {"path": T, "body": [{"n": None}], "content_type": "application/json"}
    assert invoke("lake.insert_records", tenant="acme", **rows).status == 201
    # When
    _deliver(broker)
    # Then
    assert _scores(invoke) == []
    assert _scores(invoke, tenant="acme") == []


def test_what_is_gone_or_takes_too_long_keeps_no_queue_waiting(
    watched: None, broker: Broker, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a table that cannot be measured in time
    def slow(*_: Any) -> None:
        raise DeadlineExceededError("it takes too long")

    monkeypatch.setattr(service, "check_quality", slow)
    rows: dict[str, Any] = {"path": T, "body": [{"id": 1}], "content_type": "application/json"}
    assert invoke("lake.insert_records", **rows).status == 201
    # When / Then
    assert _deliver(broker) == {"done": 1, "retry": 0, "dead": 0, "duplicate": 0}
    # Given one that is deleted before its turn
    rows["body"] = [{"id": 2}]
    assert invoke("lake.insert_records", **rows).status == 201
    assert invoke("lake.delete_dataset", path=T).status == 204
    # When / Then
    assert _deliver(broker)["done"] == 1
