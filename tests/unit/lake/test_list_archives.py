"""lake.list_archives: the months in storage, page by page."""

from __future__ import annotations

import pytest

from tests.support.archiving import Archives, months, rows_of
from tests.support.invoking import Invoker

OPERATION = "lake.list_archives"
pytestmark = pytest.mark.usefixtures("no_broker")


def test_a_page_at_a_time_the_latest_month_first(
    database: str, bucket: str, invoke: Invoker
) -> None:
    # Given three months in storage
    archives = Archives(invoke, bucket, database)
    archives.create(retention_months=10)
    wanted = months()[:3]
    for month in wanted:
        archives.insert(rows_of(month, 2))
    assert archives.run()["months"] == 3
    # When
    path = {"dataset": "readings"}
    first = invoke(OPERATION, path=path, query={"limit": "2"}).json
    second = invoke(OPERATION, path=path, query={"cursor": first["next_cursor"]}).json
    # Then
    listed = [item["month"] for item in [*first["items"], *second["items"]]]
    assert listed == [f"{month:%Y-%m}" for month in reversed(wanted)]
    assert second["next_cursor"] is None
    assert {item["state"] for item in first["items"]} == {"archived"}
    assert all(item["object"] in archives.objects() for item in first["items"])


def test_of_no_dataset_and_with_a_foreign_cursor(
    database: str, bucket: str, invoke: Invoker
) -> None:
    # Given
    Archives(invoke, bucket, database).create()
    path = {"dataset": "readings"}
    # When / Then
    assert invoke(OPERATION, path={"dataset": "none"}).status == 404
    assert invoke(OPERATION, path=path, query={"cursor": "WyJ4Il0"}).status == 422
    assert invoke(OPERATION, path=path).json == {"items": [], "next_cursor": None}
