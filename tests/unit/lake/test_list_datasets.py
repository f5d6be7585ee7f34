"""lake.list_datasets: every dataset once, by name, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Invoker

OPERATION = "lake.list_datasets"


def _create(invoke: Invoker, *names: str, **changes: Any) -> None:
    for name in names:
        body = {"name": name, "columns": [{"name": "a", "type": "text"}]}
        assert invoke("lake.create_dataset", body=body, **changes).status == 201


def test_the_sample_lists_nothing_at_first(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert answer.json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_hold_every_dataset_once_in_order(database: str, invoke: Invoker, limit: int) -> None:
    # Given
    names = ["a", "a_b", "ab", "b", "c1"]
    _create(invoke, *reversed(names))
    # When
    found, cursor, pages = [], None, 0
    while cursor is not None or pages == 0:
        query = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
        page = invoke(OPERATION, query=query).json
        found += [item["name"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    # Then
    assert found == sorted(names)
    assert pages == -(-len(names) // limit)


def test_a_tenant_lists_its_own(database: str, invoke: Invoker) -> None:
    # Given
    _create(invoke, "ours", tenant="acme")
    _create(invoke, "theirs", tenant="other")
    # When
    page = invoke(OPERATION, tenant="acme").json
    # Then
    assert [item["name"] for item in page["items"]] == ["ours"]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1.5", ""])
def test_a_limit_out_of_range_is_refused(database: str, invoke: Invoker, limit: str) -> None:
    # Given / When
    answer = invoke(OPERATION, query={"limit": limit})
    # Then
    assert answer.status == 422
    assert "limit" in answer.fields


def test_a_cursor_that_is_none_is_refused(database: str, invoke: Invoker) -> None:
    # Given
    for cursor in [*METACHARACTERS, "eyJhIjoxfQ", "W10"]:
        # When
        answer = invoke(OPERATION, query={"cursor": cursor})
        # Then
        assert answer.status == 422, cursor
        assert "cursor" in answer.fields
