"""stream.list_events: stored events by type, source or subject, page by page."""

from __future__ import annotations

import pytest

from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Invoker
from tests.unit.stream.conftest import Store

OPERATION = "stream.list_events"


def test_the_sample_is_answered(store: Store, invoke: Invoker) -> None:
    # Given
    store({"id": "1", "type": "com.example.reading"}, {"id": "2", "type": "other"})
    # When
    answer = invoke(OPERATION)
    # Then
    assert [event["id"] for event in answer.json["items"]] == ["1"]
    assert answer.json["items"][0]["specversion"] == "1.0"
    assert answer.json["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["3", "2", "1"]),
        ({"order": "asc"}, ["1", "2", "3"]),
        ({"type": "a"}, ["2", "1"]),
        ({"source": "/y"}, ["3", "2"]),
        ({"subject": "s"}, ["1"]),
        ({"type": "a", "source": "/y"}, ["2"]),
        ({"type": "nothing"}, []),
    ],
)
def test_filters(store: Store, invoke: Invoker, query: dict[str, str], ids: list[str]) -> None:
    # Given
    store(
        {"id": "1", "type": "a", "source": "/x", "subject": "s"},
        {"id": "2", "type": "a", "source": "/y"},
        {"id": "3", "type": "b", "source": "/y"},
    )
    # When
    answer = invoke(OPERATION, query=query)
    # Then
    assert [event["id"] for event in answer.json["items"]] == ids


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_hold_every_event_once(store: Store, invoke: Invoker, order: str) -> None:
    # Given
    store(*({"id": str(number)} for number in range(7)))
    found: list[int] = []
    cursor: str | None = ""
    # When
    while cursor is not None:
        query = {"limit": "3", "order": order, **({"cursor": cursor} if cursor else {})}
        page = invoke(OPERATION, query=query).json
        found += [int(event["id"]) for event in page["items"]]
        cursor = page["next_cursor"]
    # Then
    assert found == sorted(range(7), reverse=order == "desc")


def test_new_events_disturb_no_paging(store: Store, invoke: Invoker) -> None:
    # Given
    store({"id": "1"}, {"id": "2"})
    cursor = invoke(OPERATION, query={"limit": "1"}).json["next_cursor"]
    # When
    store({"id": "3"})
    # Then
    rest = invoke(OPERATION, query={"limit": "9", "cursor": cursor}).json
    assert [event["id"] for event in rest["items"]] == ["1"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"order": "up"}, "order"),
        ({"cursor": "x"}, "cursor"),
        ({"type": ""}, "type"),
        ({"subject": "a\x00"}, "subject"),
    ],
)
def test_what_is_wrong_is_named(
    database: str, invoke: Invoker, query: dict[str, str], field: str
) -> None:
    # Given / When
    answer = invoke(OPERATION, query=query)
    # Then
    assert answer.status == 422
    assert field in answer.fields


def test_a_cursor_is_good_for_its_order_only(store: Store, invoke: Invoker) -> None:
    # Given
    store({"id": "1"}, {"id": "2"})
    cursor = invoke(OPERATION, query={"limit": "1"}).json["next_cursor"]
    # When
    answer = invoke(OPERATION, query={"order": "asc", "cursor": cursor})
    # Then
    assert answer.status == 422


def test_sql_anywhere_stays_text(store: Store, invoke: Invoker) -> None:
    # Given
    store({"id": "1"})
    names = ("type", "source", "subject", "order", "limit", "cursor")
    for text in METACHARACTERS:
        for name in names:
            # When
            answer = invoke(OPERATION, query={name: text})
            # Then
            assert (answer.status, answer.json.get("items", [])) in ((200, []), (422, []))
    assert len(invoke(OPERATION, query={}).json["items"]) == 1
