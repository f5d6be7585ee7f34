"""stream.store_event: every event once, as it was sent."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.support.invoking import Invoker
from tests.support.samples import rmq_event
from tests.unit.stream.conftest import Store

OPERATION = "stream.store_event"


def _stored(invoke: Invoker, **changes: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = invoke(
        "stream.list_events", query={"order": "asc"}, **changes
    ).json["items"]
    return items


def test_the_sample_is_stored(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given / When
    outcomes = invoke.sample(OPERATION)
    # Then
    assert outcomes == {"done": 1, "retry": 0, "dead": 0, "duplicate": 0}
    (event,) = _stored(invoke)
    assert (event["type"], event["data"]) == ("com.example.reading", {"ppm": 421.3})


@pytest.mark.parametrize(
    "data",
    [
        None,
        0,
        "",
        "text\x00with nul",
        [],
        {},
        [1, 2.5, None, True, {"a": []}],
        {"b": 1, "a": 2},
        123456789012345678901234567890,
        1.7976931348623157e308,
        "\U0001f4a3",
    ],
)
def test_data_comes_back_as_it_was(store: Store, invoke: Invoker, data: Any) -> None:
    # Given / When
    outcomes = store({"id": "1", "data": data})
    # Then
    assert outcomes["done"] == 1
    (event,) = _stored(invoke)
    assert event.get("data") == data


def test_all_attributes_come_back(store: Store, invoke: Invoker) -> None:
    # Given
    sent = {
        "id": "1",
        "source": "/s",
        "type": "t.u",
        "subject": "s",
        "time": "2026-11-21T08:00:00.123456Z",
        "datacontenttype": "application/octet-stream",
        "dataschema": "https://example.com/schema",
        "data_base64": "AP8=",
        "custom": "x",
        "number": 7,
        "flag": True,
    }
    # When
    store(sent)
    # Then
    (event,) = _stored(invoke)
    assert {name: event[name] for name in sent} == sent


def test_an_event_that_comes_again_is_stored_once(store: Store, invoke: Invoker) -> None:
    # Given
    store({"id": "1"}, {"id": "2"})
    # When
    outcomes = store({"id": "1"}, {"id": "2"}, {"id": "3"}, {"id": "3"}, redelivered=True)
    # Then
    assert (outcomes["done"], outcomes["duplicate"]) == (1, 3)
    assert [event["id"] for event in _stored(invoke)] == ["1", "2", "3"]


def test_the_same_event_under_another_message_id_is_stored_once(
    store: Store, invoke: Invoker
) -> None:
    # Given a publisher without message ids
    store({"id": "1"})
    message = {"body": b'{"specversion":"1.0","id":"1","source":"/s","type":"t"}'}
    # When
    invoke.event(OPERATION, rmq_event(OPERATION, [message]))
    # Then
    assert len(_stored(invoke)) == 1


def test_tenants_keep_their_events_apart(store: Store, invoke: Invoker) -> None:
    # Given
    store({"id": "1", "subject": "ours"}, tenant="acme")
    # When
    outcomes = store({"id": "1", "subject": "theirs"}, tenant="other")
    # Then the same source and id, and so the same message id, is another event of another tenant
    assert outcomes["done"] == 1
    assert [event["subject"] for event in _stored(invoke, tenant="acme")] == ["ours"]
    assert [event["subject"] for event in _stored(invoke, tenant="other")] == ["theirs"]
    assert _stored(invoke) == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"id": "1"}', b'{"source": "\\u0000"}']
)
def test_what_is_no_event_is_given_up_with_the_reason(
    database: str, no_broker: None, invoke: Invoker, body: bytes
) -> None:
    # Given
    event = rmq_event(OPERATION, [{"body": body, "message_id": "m"}])
    # When
    outcomes = invoke.event(OPERATION, event)
    # Then
    assert outcomes["dead"] == 1
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT exchange, headers, body FROM platform.outbox").fetchone()
    assert row is not None
    assert row[0] == "service.dead"
    assert row[1]["dead-reason"].startswith("invalid message")
    assert bytes(row[2]) == body


def test_an_empty_batch_is_nothing(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given / When
    outcomes = invoke.event(OPERATION, rmq_event(OPERATION, []))
    # Then
    assert set(outcomes.values()) == {0}
