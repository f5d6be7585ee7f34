"""stream.serve_rpc: events published and listed by calls."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from datapunk.database import transaction
from datapunk.errors import InvalidInputError
from datapunk.events import CloudEvent
from datapunk.identity import Caller
from datapunk.stream.events import append_event

from tests.support.calls import caller_of, invoked
from tests.support.people import add_user
from tests.support.services import Broker

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def caller(database: str) -> Caller:
    return caller_of(add_user(), "service:lake")


def _events(*numbers: int) -> dict[str, Any]:
    events = [
        {"specversion": "1.0", "id": f"e{number}", "source": "/test", "type": "test.happened"}
        for number in numbers
    ]
    document = events[0] if len(events) == 1 else events
    return {"events": base64.b64encode(json.dumps(document).encode()).decode()}


def test_events_reach_the_broker_once_for_a_key(broker: Broker, caller: Caller) -> None:
    # Given / When
    answers = [
        invoked("stream", "publish_event", _events(1, 2), caller, key="once") for _ in range(3)
    ]
    # Then
    assert [(answer.accepted, list(answer.ids)) for answer in answers] == [(2, ["e1", "e2"])] * 3
    taken = [json.loads(body) for _, body in broker.take("stream.store_event")]
    assert [event["id"] for event in taken] == ["e1", "e2"]
    assert {event["principal"] for event in taken} == {caller.principal}


def test_without_a_broker_events_wait(no_broker: None, caller: Caller) -> None:
    # Given / When
    answer = invoked("stream", "publish_event", _events(1), caller)
    # Then
    assert answer.accepted == 1


def test_events_are_listed(broker: Broker, caller: Caller) -> None:
    # Given

    with transaction(caller) as tx:
        for number in range(3):
            append_event(tx, CloudEvent(id=f"e{number}", source="/test", type="test.happened"))
    # When
    first = invoked("stream", "list_events", {"limit": 2, "oldest_first": True}, caller)
    following = {"limit": 2, "oldest_first": True, "cursor": first.next_cursor}
    second = invoked("stream", "list_events", following, caller)
    # Then
    found = [json.loads(item)["id"] for item in [*first.items, *second.items]]
    assert found == ["e0", "e1", "e2"]
    assert second.next_cursor == ""


def test_what_is_no_event_is_refused(broker: Broker, caller: Caller) -> None:
    # Given
    wrong = {"events": base64.b64encode(b'{"id": "x"}').decode()}
    # When / Then
    with pytest.raises(InvalidInputError) as raised:
        invoked("stream", "publish_event", wrong, caller)
    assert {item.field for item in raised.value.errors} >= {"source", "type"}
