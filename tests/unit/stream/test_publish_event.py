"""stream.publish_event: events the stock client sends reach the queue, in all three modes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloudevents.core.bindings import http as binding
from cloudevents.core.v1.event import CloudEvent as StockEvent
from datapunk import audit
from datapunk.database import Transaction, transaction
from datapunk.identity import Caller
from datapunk.outbox import relay, waiting

from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Answer, Invoker
from tests.support.samples import load_sample
from tests.support.services import Broker

# Nothing is published that the audit trail does not tell of.
pytestmark = pytest.mark.usefixtures("database")
OPERATION = "stream.publish_event"
QUEUE = "stream.store_event"
BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"


def _stock(**changes: Any) -> StockEvent:
    attributes = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", **changes}
    return StockEvent(attributes, {"ppm": 1.5})


def _recorded() -> list[str]:
    """Return the outcomes that the audit trail has of the sample's sender, oldest first."""
    with transaction(Caller("user:auditor", "public")) as tx:
        rows = tx.all(
            "SELECT outcome FROM nexus.audit WHERE action = %s ORDER BY sequence", [OPERATION]
        )
    return [str(row["outcome"]) for row in rows]


def _send(invoke: Invoker, message: Any) -> Answer:
    # In binary mode the library leaves the content type to whoever sends JSON.
    headers = {"content-type": "application/json", **message.headers}
    return invoke(OPERATION, body=message.body, headers=headers)


def test_the_sample_is_taken(broker: Broker, invoke: Invoker) -> None:
    # Given
    sent = json.loads(load_sample(OPERATION)["body"])
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json) == (202, {"accepted": 1, "ids": [sent["id"]]})
    ((properties, body),) = broker.take(QUEUE)
    document = json.loads(body)
    assert {name: document[name] for name in sent} == sent
    assert properties.delivery_mode == 2
    assert properties.headers["tenant"] == "public"


@pytest.mark.parametrize("mode", ["to_structured_event", "to_binary_event"])
def test_what_the_stock_client_sends_arrives(broker: Broker, invoke: Invoker, mode: str) -> None:
    # Given
    event = _stock(subject="K\u00f6ln S\u00fcd", custom="x")
    # When
    answer = _send(invoke, getattr(binding, mode)(event))
    # Then
    assert answer.status == 202, answer.body
    ((_, body),) = broker.take(QUEUE)
    document = json.loads(body)
    assert (document["subject"], document["custom"]) == ("K\u00f6ln S\u00fcd", "x")
    assert document["data"] == {"ppm": 1.5}


def test_a_batch_arrives_in_order(broker: Broker, invoke: Invoker) -> None:
    # Given
    batch = [
        json.loads(binding.to_structured_event(_stock(id=str(number))).body) for number in range(20)
    ]
    # When
    answer = invoke(OPERATION, body=batch, content_type=BATCH)
    # Then
    assert answer.json["accepted"] == 20
    assert [json.loads(body)["id"] for _, body in broker.take(QUEUE)] == answer.json["ids"]


def test_bytes_stay_bytes(broker: Broker, invoke: Invoker) -> None:
    # Given
    headers = {"ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0"}
    # When
    answer = invoke(OPERATION, body=b"{}", content_type="application/json", headers=headers)
    # Then
    assert answer.status == 202
    ((_, body),) = broker.take(QUEUE)
    assert json.loads(body)["data"] == {}


def test_an_event_carries_trace_correlation_and_caller(broker: Broker, invoke: Invoker) -> None:
    # Given
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    # When
    invoke(
        OPERATION,
        tenant="acme",
        principal="user:ada",
        headers={"X-Correlation-Id": "order-1", "traceparent": trace},
    )
    # Then
    ((properties, _),) = broker.take(QUEUE)
    assert properties.headers["traceparent"].split("-")[1] == "a" * 32
    assert properties.headers["correlationid"] == "order-1"
    assert (properties.headers["tenant"], properties.headers["principal"]) == ("acme", "user:ada")


def test_nobody_publishes_for_another_tenant(broker: Broker, invoke: Invoker) -> None:
    # Given
    own = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    event = {**own, "tenant": "victim", "principal": "root"}
    # When
    answer = invoke(
        OPERATION, body=event, content_type=STRUCTURED, tenant="acme", principal="user:ada"
    )
    # Then
    assert answer.status == 202
    ((properties, body),) = broker.take(QUEUE)
    document = json.loads(body)
    assert (document["tenant"], document["principal"]) == ("acme", "user:ada")
    assert properties.headers["tenant"] == "acme"


def test_an_empty_batch_is_taken(broker: Broker, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, body=[], content_type=BATCH)
    # Then
    assert (answer.status, answer.json["accepted"]) == (202, 0)
    assert broker.take(QUEUE) == []


@pytest.mark.parametrize(
    ("body", "content_type", "status", "field"),
    [
        ("{", STRUCTURED, 400, "body"),
        ("", STRUCTURED, 400, "body"),
        ("[{", BATCH, 400, "body"),
        ('{"id": "1", "source": "/s"}', STRUCTURED, 422, "type"),
        ('{"source": "", "type": "t"}', STRUCTURED, 422, "source"),
        ('[{"source": "/s", "type": "t"}, {"source": "/s"}]', BATCH, 422, "1.type"),
        ('{"source": "/s", "type": "t"}', BATCH, 422, None),
        ("[]", STRUCTURED, 422, None),
        ('{"source": "/s", "type": "t", "Bad": 1}', STRUCTURED, 422, None),
        ("<event/>", "application/xml", 415, "content-type"),
    ],
)
def test_bad_input_names_the_field_and_publishes_nothing(
    broker: Broker, invoke: Invoker, body: str, content_type: str, status: int, field: str | None
) -> None:
    # Given / When
    answer = invoke(OPERATION, body=body, content_type=content_type)
    # Then
    assert answer.status == status, answer.body
    assert field is None or field in answer.fields
    assert broker.take(QUEUE) == []


def test_any_text_is_taken_or_refused(broker: Broker, invoke: Invoker) -> None:
    # Given
    events: list[dict[str, Any]] = []
    for text in METACHARACTERS:
        events += [
            {"id": text, "source": "/s", "type": "t"},
            {"id": "1", "source": text, "type": "t"},
            {"id": "1", "source": "/s", "type": text},
            {"id": "1", "source": "/s", "type": "t", "subject": text},
            {"id": "1", "source": "/s", "type": "t", "extension": text},
            {"id": "1", "source": "/s", "type": "t", "data": text},
            {"id": "1", "source": "/s", "type": "t", text[:15]: "x"},
        ]
    for event in events:
        # When
        answer = invoke(OPERATION, body=event, content_type=STRUCTURED)
        # Then
        assert answer.status in (202, 422), answer.body


def test_without_a_broker_it_waits_with_its_record(no_broker: None, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 202
    assert waiting()[0] == 1
    assert _recorded() == ["done"]


def test_without_a_queue_it_waits_until_there_is_one(broker: Broker, invoke: Invoker) -> None:
    # Given
    with broker.channel() as channel:
        channel.queue_delete(QUEUE)
    # When
    answer = invoke(OPERATION)
    # Then an event nobody would get is not lost
    assert answer.status == 202
    assert waiting()[0] == 1
    broker.declare()
    assert relay() == 1
    ((_, body),) = broker.take(QUEUE)
    assert [json.loads(body)["id"]] == answer.json["ids"]


@pytest.mark.parametrize("lost", ["record", "commit"])
def test_what_cannot_be_recorded_is_not_published(
    broker: Broker, invoke: Invoker, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    # Given a database that dies under the record, or before it has committed it
    append = audit.Watch.before_commit

    def die(watch: audit.Watch, ending: Transaction) -> None:
        if lost == "commit":
            append(watch, ending)
        ending.connection.close()

    monkeypatch.setattr(audit.Watch, "before_commit", die)
    # When
    answer = invoke(OPERATION)
    monkeypatch.undo()
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "postgresql")
    assert (waiting()[0], _recorded(), broker.take(QUEUE)) == (0, ["failed"], [])


def test_a_batch_larger_than_a_relay_is_published_at_once(broker: Broker, invoke: Invoker) -> None:
    # Given
    batch = [json.loads(binding.to_structured_event(_stock(id=str(n))).body) for n in range(150)]
    # When
    answer = invoke(OPERATION, body=batch, content_type=BATCH)
    # Then
    assert answer.json["accepted"] == 150
    assert len(broker.take(QUEUE)) == 150
    assert _recorded() == ["done"]
