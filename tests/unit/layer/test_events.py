"""CloudEvents 1.0.2: what an event may hold, and what it carries on its way."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as StockEvent
from datapunk.context import Trace, WorkContext, working
from datapunk.events import CloudEvent, event_message
from datapunk.identity import Caller
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
TYPES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True)
NAMES = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(
    lambda name: name not in CloudEvent.model_fields
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | PRINTABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.fixed_dictionaries(
    {"id": PRINTABLE, "source": PRINTABLE, "type": TYPES},
    optional={"subject": PRINTABLE, "data": JSON},
)


@given(EVENTS, st.dictionaries(NAMES, PRINTABLE | st.booleans() | st.integers(-(2**31), 2**31 - 1)))
def test_an_event_goes_round_through_json(
    event: dict[str, Any], extensions: dict[str, Any]
) -> None:
    # Given
    original = CloudEvent.model_validate({**event, **extensions})
    # When
    read = CloudEvent.model_validate_json(original.to_json())
    # Then
    assert read == original
    assert read.extensions == extensions
    assert read.message_id == original.message_id


@given(EVENTS)
def test_the_stock_library_and_ours_read_each_other(event: dict[str, Any]) -> None:
    # Given
    data = event.pop("data", None)
    stock = StockEvent({"specversion": "1.0", **event}, {"value": data})
    # When
    ours = CloudEvent.model_validate_json(JSONFormat().write(stock))
    back = JSONFormat().read(None, ours.to_json())
    # Then
    for name, value in event.items():
        assert back.get_attributes()[name] == value
    assert back.get_data() == {"value": data}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": ""},
        {"type": "white space"},
        {"type": ".begins.with.dot"},
        {"type": "x" * 201},
        {"type": "a#"},
        {"source": ""},
        {"source": "a\x00b"},
        {"id": ""},
        {"id": "line\nbreak"},
        {"id": "x" * 1025},
        {"subject": ""},
        {"subject": "\x1f"},
        {"time": "2026-11-21T08:00:00"},
        {"time": "yesterday"},
        {"specversion": "0.3"},
        {"data": 1, "data_base64": "AA=="},
        {"Upper": "x"},
        {"under_score": "x"},
        {"x" * 21: "x"},
        {"extension": {"nested": 1}},
        {"extension": 1.5},
        {"extension": None},
        {"extension": "a\x00b"},
        {"datacontenttype": ""},
    ],
)
def test_what_is_no_event_is_refused(wrong: dict[str, Any]) -> None:
    # Given
    event = {"id": "1", "source": "/s", "type": "t", **wrong}
    # When / Then
    with pytest.raises(ValidationError):
        CloudEvent.model_validate(event)


@pytest.mark.parametrize("member", ["datacontenttype", "dataschema", "data_base64"])
def test_what_postgresql_cannot_hold_is_refused(member: str) -> None:
    # Given
    event = {"id": "1", "source": "/s", "type": "t", member: "a\x00b"}
    # When / Then
    with pytest.raises(ValidationError):
        CloudEvent.model_validate(event)


@pytest.mark.parametrize("content", ["not base64", "A", "AA=", "\u00e4"])
def test_binary_data_must_be_base64(content: str) -> None:
    # Given
    event = {"id": "1", "source": "/s", "type": "t", "data_base64": content}
    # When / Then
    with pytest.raises(ValidationError):
        CloudEvent.model_validate(event)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
@pytest.mark.parametrize("data", ["{}", "[1, {}]", '{{"a": [{{"b": {}}}]}}'])
def test_numbers_json_cannot_write_are_refused(number: str, data: str) -> None:
    # Given
    text = f'{{"id": "1", "source": "/s", "type": "t", "data": {data.format(number)}}}'
    # When / Then
    with pytest.raises(ValidationError):
        CloudEvent.model_validate_json(text)


def test_source_and_id_identify_an_event_together() -> None:
    # Given
    def digest(source: str, event_id: str) -> str:
        return CloudEvent(source=source, id=event_id, type="t").message_id

    # When / Then
    assert digest("/s", "1") == digest("/s", "1")
    assert len({digest("/s", "1"), digest("/s", "2"), digest("/t", "1"), digest("/s/1", "1")}) == 4


def test_the_same_event_of_another_tenant_is_another_message() -> None:
    # Given
    event = CloudEvent(source="/s", id="1", type="t")
    # When
    ids = {event.signed_by(Caller("ada", tenant)).message_id for tenant in ("acme", "other")}
    # Then
    assert len(ids) == 2


def test_nobody_publishes_for_another_tenant() -> None:
    # Given
    event = CloudEvent.model_validate(
        {"source": "/s", "type": "t", "tenant": "victim", "principal": "root", "kept": "yes"}
    )
    # When
    signed = event.signed_by(Caller("ada", "acme"))
    # Then
    assert signed.extensions == {"tenant": "acme", "principal": "ada", "kept": "yes"}
    assert event.extensions["tenant"] == "victim"


def test_an_event_carries_trace_and_correlation_unless_it_has_its_own() -> None:
    # Given
    work = WorkContext("a.b", "order-1", Trace("a" * 32, "b" * 16), time.monotonic() + 9)
    own = CloudEvent.model_validate({"source": "/s", "type": "t", "correlationid": "mine"})
    # When
    with working(work):
        signed = own.signed_by(Caller())
    # Then
    assert signed.extensions["traceparent"] == work.trace.header()
    assert signed.extensions["correlationid"] == "mine"


def test_the_message_of_an_event_is_routed_by_its_type() -> None:
    # Given
    event = CloudEvent(source="/s", type="lake.records.inserted", id="1", data={"n": 1})
    # When
    signed = event.signed_by(Caller("ada", "acme"))
    message = event_message(signed)
    # Then
    assert (message.exchange, message.routing_key) == ("service.events", "lake.records.inserted")
    assert message.content_type == "application/cloudevents+json"
    assert message.message_id == signed.message_id
    assert message.headers == {"tenant": "acme", "principal": "ada"}
    document = json.loads(message.body)
    assert document["data"] == {"n": 1}
    assert "subject" not in document
