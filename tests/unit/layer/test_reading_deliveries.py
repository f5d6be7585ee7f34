"""Messages out of an `aws:rmq` event."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from datapunk.consumer import read_deliveries
from datapunk.identity import Caller
from hypothesis import given
from hypothesis import strategies as st

from tests.support.samples import load_sample, rmq_event


def _one(**message: Any) -> Any:
    (delivery,) = read_deliveries(rmq_event("q", [{"body": b"{}", **message}]))
    return delivery


def test_the_sample_is_read() -> None:
    # Given
    sample = load_sample("stream.store_event")
    # When
    (delivery,) = read_deliveries(sample)
    # Then
    assert delivery.queue == "stream.store_event"
    assert delivery.content_type == "application/cloudevents+json"
    assert delivery.headers["tenant"] == "public"
    assert delivery.redelivered is False
    assert delivery.body.startswith(b'{"specversion"')


def test_the_virtual_host_is_no_part_of_the_queue() -> None:
    # Given
    event = rmq_event("orders::of", [{"body": b"1"}])
    # When / Then
    assert [item.queue for item in read_deliveries(event)] == ["orders::of"]


def test_a_message_without_an_id_is_known_by_its_body() -> None:
    # Given / When
    first, again, other = _one(), _one(), _one(body=b"[]")
    # Then
    assert first.message_id == again.message_id != other.message_id


@pytest.mark.parametrize(
    ("value", "attempt"), [(3, 3), ("2", 2), (0, 1), (-4, 1), ("x", 1), (None, 1), (True, 1)]
)
def test_an_attempt_counts_from_one(value: Any, attempt: int) -> None:
    # Given
    headers = {} if value is None else {"attempt": value}
    # When / Then
    assert _one(headers=headers).attempt == attempt


def test_headers_are_plain_and_what_is_no_scalar_is_left_out() -> None:
    # Given
    event = rmq_event(
        "q", [{"body": b"", "headers": {"tenant": "acm\u00e9", "n": 1, "t": {"a": 1}}}]
    )
    # When
    (delivery,) = read_deliveries(event)
    # Then
    assert delivery.headers == {"tenant": "acm\u00e9", "n": 1}


def test_javas_signed_bytes_are_read() -> None:
    # Given the real mapping writes bytes above 127 as negative numbers
    event = rmq_event("q", [{"body": b"", "headers": {"tenant": {"bytes": [-61, -87]}}}])
    # When
    (delivery,) = read_deliveries(event)
    # Then
    assert delivery.headers == {"tenant": "\u00e9"}


def test_a_message_acts_for_its_publisher() -> None:
    # Given / When / Then
    assert _one(headers={"tenant": "acme", "principal": "ada"}).caller == Caller("ada", "acme")
    assert _one().caller == Caller("service", "public")


@given(st.lists(st.binary(max_size=20), max_size=5), st.booleans())
def test_bodies_keep_their_bytes_and_order(bodies: list[bytes], redelivered: bool) -> None:  # noqa: FBT001
    # Given
    messages = [{"body": body, "message_id": str(i)} for i, body in enumerate(bodies)]
    # When
    read = list(read_deliveries(rmq_event("q", messages, redelivered=redelivered)))
    # Then
    assert [item.body for item in read] == bodies
    assert all(item.redelivered is redelivered for item in read)


@pytest.mark.parametrize("event", [{}, {"rmqMessagesByQueue": None}, {"rmqMessagesByQueue": {}}])
def test_an_empty_event_has_no_messages(event: dict[str, Any]) -> None:
    # Given / When / Then
    assert list(read_deliveries(event)) == []


def test_a_record_without_properties_is_read() -> None:
    # Given
    record = {"data": base64.b64encode(b"x").decode()}
    # When
    (delivery,) = read_deliveries({"rmqMessagesByQueue": {"q::/": [record]}})
    # Then
    assert (delivery.body, delivery.headers, delivery.attempt) == (b"x", {}, 1)
