"""lake.archive_partitions: which months are due, and that a dataset which fails stops no other."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from datapunk.errors import UnavailableError
from datapunk.lake.archives import moving, writing

from tests.support.archiving import Archives, months, rows_of
from tests.support.invoking import Invoker

OPERATION = "lake.archive_partitions"
pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.mark.parametrize(
    ("today", "kept", "first"),
    [
        ("2026-11-28", 12, "2025-11-01"),
        ("2026-11-01", 12, "2025-11-01"),
        ("2026-12-31", 1, "2026-11-01"),
        ("2026-01-31", 1, "2025-12-01"),
        ("2024-02-29", 1200, "1924-02-01"),
    ],
)
def test_a_month_is_due_when_all_of_it_is_older(today: str, kept: int, first: str) -> None:
    # Given / When / Then
    assert moving.first_kept(dt.date.fromisoformat(today), kept) == dt.date.fromisoformat(first)


def test_a_dataset_that_fails_stops_no_other(
    database: str, bucket: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two datasets with a month that is due, and one that keeps its rows
    datasets = [Archives(invoke, bucket, database, name) for name in ("first", "second", "third")]
    for dataset in datasets:
        dataset.create(**({"retention_months": None} if dataset.name == "third" else {}))
        dataset.insert(rows_of(months()[0], 2))
    copy = moving._drop

    def failing(caller: Any, dataset: Any, *arguments: Any) -> None:
        if dataset.name == "first":
            raise UnavailableError("s3")
        copy(caller, dataset, *arguments)

    monkeypatch.setattr(moving, "_drop", failing)
    # When
    outcome = datasets[0].run()
    # Then
    assert outcome == {"months": 1, "rows": 2, "removed": 1, "left": {"unavailable": 1}}
    assert [len(dataset.listed()) for dataset in datasets] == [0, 1, 0]
    assert [len(dataset.records(months()[0])) for dataset in datasets] == [2, 0, 2]
    # When there is little time
    monkeypatch.setattr(moving, "_drop", copy)
    # Then nothing is begun, and what was left comes with the next run
    assert invoke.sample(OPERATION)["left"] == {"time": 1}
    assert datasets[0].run()["months"] == 1


@pytest.mark.parametrize("wrong", ["time", "value"])
def test_a_month_that_cannot_be_copied_stays(
    wrong: str, database: str, bucket: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two rows, of which each is an archive, and what is wrong when the first is there
    archives = Archives(invoke, bucket, database)
    archives.create()
    archives.insert(rows_of(months()[0], 2))
    for limit in ("PART_ROWS", "_FIRST_ROWS", "_MOST_ROWS"):
        monkeypatch.setattr(writing, limit, 1)
    manifest = writing._write_manifest

    def failing(*arguments: Any) -> None:
        manifest(*arguments)
        raise ValueError("not a time")

    # When
    with monkeypatch.context() as patch:
        if wrong == "time":
            patch.setattr(writing, "COPY_SECONDS", -1.0)
        else:
            patch.setattr(writing, "_write_manifest", failing)
        outcome = archives.run()
    # Then
    assert outcome["left"] == {{"time": "deadline_exceeded", "value": "internal"}[wrong]: 1}
    assert archives.objects() == []
    assert len(archives.records(months()[0])) == 2


def test_how_long_rows_are_kept_is_declared_and_changed(
    database: str, bucket: str, invoke: Invoker
) -> None:
    # Given a dataset without an event time
    plain = {"name": "plain", "columns": [{"name": "id", "type": "integer"}], "key": ["id"]}
    # When / Then
    refused = invoke("lake.create_dataset", body={**plain, "retention_months": 12})
    assert refused.status == 422
    assert "event_time" in refused.body
    for months_kept in (0, 1201, 1.5):
        wrong = {**plain, "event_time": "id", "retention_months": months_kept}
        assert invoke("lake.create_dataset", body=wrong).status == 422
    assert invoke("lake.create_dataset", body=plain).status == 201
    change = {"changes": [{"op": "set_retention", "months": 12}]}
    answer = invoke("lake.change_dataset", path={"dataset": "plain"}, body=change)
    assert answer.status == 422
    assert answer.fields == {"changes.0.months": "event_time"}
    # Given one with an event time
    readings = Archives(invoke, bucket, database)
    readings.create(retention_months=None)
    # When
    readings.change({"op": "set_retention", "months": 24})
    # Then it is a version of its own
    path = {"dataset": "readings"}
    found = invoke("lake.get_dataset", path=path, query={}).json
    assert (found["version"], found["retention_months"]) == (2, 24)
    newest, first = invoke("lake.list_versions", path=path, query={}).json["items"]
    assert newest["changes"] == [{"op": "set_retention", "months": 24}]
    assert first["definition"]["retention_months"] is None
    # When it is taken back
    readings.change({"op": "set_retention", "months": None})
    # Then
    assert invoke("lake.get_dataset", path=path, query={}).json["retention_months"] is None
