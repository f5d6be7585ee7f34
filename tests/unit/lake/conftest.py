"""A dataset to work on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.invoking import Answer, Invoker

MakeDataset = Callable[..., dict[str, Any]]
Insert = Callable[..., Answer]
Aside = Callable[..., dict[str, str]]


@pytest.fixture
def make_dataset(database: str, invoke: Invoker) -> MakeDataset:
    """Return `make_dataset(name, key=[...], column="type", ...)`; a `!` behind a type forbids null."""

    def make(name: str, key: list[str] | None = None, **columns: str) -> dict[str, Any]:
        definition = {
            "name": name,
            "columns": [
                {"name": column, "type": kind.rstrip("!"), "nullable": not kind.endswith("!")}
                for column, kind in columns.items()
            ],
            "key": key or [],
        }
        answer = invoke("lake.create_dataset", body=definition)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.json
        return made

    return make


@pytest.fixture
def insert(no_broker: None, invoke: Invoker) -> Insert:
    """Return `insert(dataset, rows)`, for rows as JSON or as a body of a content type."""

    def rows(
        dataset: str, body: Any, content_type: str = "application/json", **others: Any
    ) -> Answer:
        path = {"dataset": dataset}
        return invoke(
            "lake.insert_records", path=path, body=body, content_type=content_type, **others
        )

    return rows


@pytest.fixture
def aside(insert: Insert, invoke: Invoker) -> Aside:
    """Return `aside(dataset, row)`: puts a row that does not fit into quarantine and names it as a path."""

    def put(dataset: str, body: Any, content_type: str = "application/json") -> dict[str, str]:
        query = {"on_error": "quarantine"}
        receipt = insert(dataset, body, content_type, query=query)
        assert receipt.json["quarantined"] == 1, receipt.body
        query = {"batch": receipt.json["batch"]}
        (row,) = invoke("lake.list_quarantine", path={"dataset": dataset}, query=query).json[
            "items"
        ]
        return {"dataset": dataset, "row": row["id"]}

    return put
