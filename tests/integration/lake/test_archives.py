"""Months of rows that go to storage: whole, once, whatever happens meanwhile."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from datapunk.identity import Caller
from datapunk.lake.archives import catalogue, moving, writing
from datapunk.lake.partitions import extend_partitions

from tests.support.archiving import Archives, months, rows_of, total
from tests.support.invoking import Invoker

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def archives(database: str, bucket: str, invoke: Invoker) -> Archives:
    """Return what makes the dataset and its archives."""
    return Archives(invoke, bucket, database)


class KilledError(BaseException):
    """What ends a run as a kill does: nothing of it catches this."""


def test_the_oldest_of_fourteen_months(archives: Archives) -> None:
    # Given
    archives.fill()
    oldest, *others = months()
    before = archives.records(oldest)
    # When
    outcome = archives.run()
    # Then the month is in one file, as it was in the table
    assert outcome == {"months": 1, "rows": 40, "removed": 0, "left": {}}
    (archive,) = archives.listed()
    assert archive["month"] == f"{oldest:%Y-%m}"
    assert archive["rows"] == 40
    times = sorted(dt.datetime.fromisoformat(row["at"]) for row in before)
    told = [dt.datetime.fromisoformat(archive[name]) for name in ("first_event", "last_event")]
    assert told == [times[0], times[-1]]
    file = archives.file(archive)
    rows = file.read().to_pylist()
    assert len(rows) == 40
    assert total(rows) == total(before)
    assert {(row["id"], row["at"], row["note"]) for row in rows} == {
        (row["id"], dt.datetime.fromisoformat(row["at"]), row["note"]) for row in before
    }
    group = file.metadata.row_group(0)
    assert {group.column(place).compression for place in range(group.num_columns)} == {"ZSTD"}
    # Then what describes it is beside it
    manifest = json.loads(archives.content(archive["object"].replace(".parquet", ".json")))
    content = archives.content(archive["object"])
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest() == archive["sha256"]
    assert (manifest["rows"], manifest["bytes"], manifest["version"]) == (40, len(content), 1)
    assert [column["name"] for column in manifest["columns"]] == [
        "id",
        "at",
        "ppm",
        "flags",
        "note",
    ]
    # Then the table has the other months and no more of this one, and a second run has nothing to do
    assert archives.records(oldest) == []
    assert f"{oldest:%Y%m}" not in archives.partitions()
    assert all(len(archives.records(month)) == 40 for month in others)
    assert archives.run()["months"] == 0
    ((event,),) = archives.sql(
        "SELECT convert_from(body, 'UTF8') FROM platform.outbox"
        " WHERE routing_key LIKE '%lake.records.archived'"
    )
    assert json.loads(event)["data"] == {
        "dataset": "readings",
        "version": 1,
        "month": archive["month"],
        "count": 40,
        "archives": [archive["id"]],
    }


STEPS: list[tuple[Any, str]] = [
    (moving, "copy_month"),
    (writing, "_write"),
    (writing, "_write_manifest"),
    (writing, "_check"),
    (moving, "fingerprint"),
    (moving, "_detach"),
    (moving, "_record"),
    (moving, "_drop"),
    (catalogue, "_remove"),
]


def test_a_run_that_is_killed_behind_any_step(
    archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a month that was restored and is due again, so that all there is to do is done
    archives.fill(3)
    oldest = months()[0]
    archives.run()
    archives.restore(archives.listed()[0]["id"])
    archives.sql("UPDATE lake.archives SET restored_at = restored_at - interval '31 days'")
    before = archives.records(oldest)
    assert len(before) == 3
    for module, name in STEPS:
        # When
        with monkeypatch.context() as patch:
            patch.setattr(module, name, _killing(getattr(module, name)))
            with pytest.raises(KilledError):
                archives.run()
        # Then the rows are in the table, or in an archive that counts
        kept = archives.records(oldest)
        stored = [item for item in archives.listed() if item["state"] == "archived"]
        read = [row for item in stored for row in archives.file(item).read().to_pylist()]
        assert sorted([row["id"] for row in [*kept, *read]]) == [0, 1, 2], name
    # When somebody runs it again, an hour later
    archives.sql("UPDATE lake.archives SET begun_at = begun_at - interval '2 hours'")
    archives.run()
    # Then there is one archive, and no object of any other
    (archive,) = archives.listed()
    assert archives.objects() == sorted(
        [archive["object"], archive["object"].replace(".parquet", ".json")]
    )
    assert archives.records(oldest) == []
    archives.restore(archive["id"])
    assert archives.records(oldest) == before


def _killing(step: Callable[..., Any]) -> Callable[..., Any]:
    def killed(*arguments: Any, **named: Any) -> Any:
        step(*arguments, **named)
        raise KilledError

    return killed


def test_rows_written_while_the_month_is_copied_stay(
    archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    archives.fill(3)
    oldest = months()[0]
    copy = writing.copy_month
    more = rows_of(oldest, 1, first=99)

    def slow(*arguments: Any) -> Any:
        copied = copy(*arguments)
        with psycopg.connect(archives.database) as connection:
            _write(connection, archives, more)
        return copied

    # When
    monkeypatch.setattr(moving, "copy_month", slow)
    outcome = archives.run()
    # Then
    assert outcome["left"] == {"changed": 1}
    assert len(archives.records(oldest)) == 4
    assert archives.listed() == []
    assert archives.objects() == []
    # When somebody has written to the month and not decided yet
    monkeypatch.setattr(moving, "copy_month", copy)
    with psycopg.connect(archives.database) as connection:
        _write(connection, archives, rows_of(oldest, 1, first=100))
        # Then he is waited for, and not long
        assert archives.run()["left"] == {"contention": 1}
        connection.rollback()
    # When nobody writes / Then
    assert archives.run()["rows"] == 4


def _write(connection: psycopg.Connection, archives: Archives, rows: list[dict[str, Any]]) -> None:
    """Write rows from another connection, as another environment does."""
    ((table,),) = archives.sql("SELECT table_name FROM lake.datasets", "public")
    values = ", ".join(f"({row['id']}, '{row['at']}', {row['ppm']})" for row in rows)
    insert = f"INSERT INTO lake_data.{table} (id, at, ppm) VALUES {values}"
    connection.execute("SET ROLE lake_owner")
    connection.execute(insert.encode())


def test_two_runs_at_once_make_one_effect(
    archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run that has copied the month when another one, which no lease keeps off, does all of it
    archives.fill(3)
    caller, oldest = Caller("system", "public"), months()[0]
    drop = moving._drop
    done: list[int] = []

    def overtaken(*arguments: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(moving, "_drop", drop)
            done.append(moving.archive_month(caller, "readings", oldest))
        drop(*arguments)

    monkeypatch.setattr(moving, "_drop", overtaken)
    # When
    outcome = archives.run()
    # Then
    assert done == [3]
    assert outcome["months"] == 0
    assert outcome["left"] == {"gone": 1}
    (archive,) = archives.listed()
    assert archives.objects() == sorted(
        [archive["object"], archive["object"].replace(".parquet", ".json")]
    )


def test_a_large_month_is_several_archives(
    archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    archives.fill(40)
    oldest = months()[0]
    before = archives.records(oldest)
    monkeypatch.setattr(writing, "PART_ROWS", 15)
    monkeypatch.setattr(writing, "_FIRST_ROWS", 5)
    monkeypatch.setattr(writing, "_MOST_ROWS", 5)
    # When
    assert archives.run()["rows"] == 40
    # Then
    listed = archives.listed()
    assert sorted(item["rows"] for item in listed) == [10, 15, 15]
    for item in listed:
        archives.restore(item["id"])
    assert archives.records(oldest) == before


def test_what_others_refer_to_stays_and_stops_nobody(
    archives: Archives, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given rows of two months that rows of another dataset name, one of them without a partition of its own
    archives.fill(3)
    oldest, older, *_ = months()
    archives.change({"op": "set_retention", "months": 11})
    link = {"columns": ["reading", "at"], "dataset": "readings", "on_delete": "cascade"}
    columns = [{"name": "reading", "type": "integer"}, {"name": "at", "type": "timestamp"}]
    comments = {"name": "comments", "columns": columns, "references": [link]}
    assert invoke("lake.create_dataset", body=comments).status == 201
    named = [archives.records(month)[0] for month in (oldest, older)]
    archives.insert([{"reading": row["id"], "at": row["at"]} for row in named], "comments")
    others = Archives(archives.invoke, archives.bucket, archives.database, "samples")
    others.create()
    others.insert(rows_of(oldest, 5))
    # When
    outcome = archives.run()
    # Then
    assert outcome == {"months": 1, "rows": 5, "removed": 0, "left": {"referenced": 2}}
    assert [len(archives.records(month)) for month in (oldest, older)] == [3, 3]
    assert archives.listed() == []
    # Then nor do those go that name them, also when months are made for other reasons
    days = [dt.date(oldest.year + 1, oldest.month, 1), oldest]
    for day in days:
        extend_partitions(day)
    kept = invoke("lake.query_records", path={"dataset": "comments"}, query={"limit": "9"})
    assert len(kept.json["items"]) == 2
    # Then neither when they come so late that PostgreSQL alone sees them
    with monkeypatch.context() as patch:
        patch.setattr(moving, "is_referenced", lambda *_: False)
        assert archives.run()["left"] == {"referenced": 2}
    assert archives.objects() == [key for key in archives.objects() if "/samples/" in key]
    # When nothing refers to them any more
    assert invoke("lake.delete_dataset", path={"dataset": "comments"}).status == 204
    # Then
    assert archives.run()["rows"] == 6


def test_a_deleted_dataset_leaves_no_objects(archives: Archives, invoke: Invoker) -> None:
    # Given
    archives.fill(3)
    archives.run()
    assert len(archives.objects()) == 2
    # When
    assert invoke("lake.delete_dataset", path={"dataset": "readings"}).status == 204
    # Then
    assert archives.objects() == []
    assert archives.sql("SELECT id FROM lake.archives") == []
