"""lake.list_versions: every definition a dataset had, newest first."""

from __future__ import annotations

import pytest

from tests.support.invoking import Invoker

OPERATION = "lake.list_versions"


@pytest.fixture
def changed(database: str, no_broker: None, invoke: Invoker) -> None:
    """Make a dataset with three versions."""
    invoke("lake.create_dataset")
    assert invoke("lake.change_dataset").status == 200
    assert invoke("lake.change_dataset", body={"description": "third"}).status == 200


def test_the_sample_lists_every_version(changed: None, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    items = answer.json["items"]
    assert [item["version"] for item in items] == [3, 2, 1]
    assert [len(item["changes"]) for item in items] == [0, 2, 0]
    names = [column["name"] for column in items[2]["definition"]["columns"]]
    assert "ppm" in names
    assert items[0]["changed_by"].startswith("user:")


def test_pages_lead_to_the_first_version(changed: None, invoke: Invoker) -> None:
    # Given
    seen: list[int] = []
    cursor = None
    # When
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = invoke(OPERATION, query=query).json
        seen += [item["version"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    # Then
    assert seen == [3, 2, 1]


def test_a_version_is_found_by_its_number(changed: None, invoke: Invoker) -> None:
    # Given
    current = invoke("lake.get_dataset").json
    # When
    first = invoke("lake.get_dataset", query={"version": "1"}).json
    third = invoke("lake.get_dataset", query={"version": "3"}).json
    never = invoke("lake.get_dataset", query={"version": "4"})
    # Then
    assert "ppm" in [column["name"] for column in first["columns"]]
    assert (first["version"], first["name"]) == (1, current["name"])
    assert third == current
    assert (never.status, never.fields) == (404, {"version": "not_found"})


def test_another_tenants_versions_are_not_listed(changed: None, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, tenant="acme")
    # Then
    assert (answer.status, answer.fields) == (404, {"dataset": "not_found"})
