"""Archived rows back in the table: once, in the columns there are now, and nothing of who was erased."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from datapunk.lake.archives import restoring

from tests.support.archiving import Archives, months, rows_of
from tests.support.invoking import Invoker
from tests.support.people_rows import everything_stored

pytestmark = pytest.mark.usefixtures("no_broker")
ANN, BOB = "p-1", "p-2"
PLANTED = ["ann.lovelace@example.com", "DE89370400440532013000", "bob.babbage@example.org"]
IN_CLEAR = "+44 20 7946 0018"
PROTECTED: dict[str, Any] = {"sensitivity": "personal", "protection": "encrypted"}
VISITS: dict[str, Any] = {
    "columns": [
        {"name": "id", "type": "integer"},
        {"name": "at", "type": "date"},
        {"name": "person", "type": "text"},
        {"name": "email", "type": "text", "searchable": True, **PROTECTED},
        {"name": "iban", "type": "text", **PROTECTED},
        {"name": "phone", "type": "text", "sensitivity": "personal"},
        {"name": "weight", "type": "decimal", "searchable": True, **PROTECTED},
    ],
    "key": ["id", "at"],
    "event_time": "at",
    "subject": "person",
    "retention_months": 1,
}


@pytest.fixture
def archives(database: str, bucket: str, invoke: Invoker) -> Archives:
    """Return what makes the dataset and its archives."""
    return Archives(invoke, bucket, database)


def test_restored_once_and_at_rest_for_a_month(archives: Archives) -> None:
    # Given
    archives.fill()
    oldest = months()[0]
    before = archives.records(oldest)
    archives.run()
    (archive,) = archives.listed()
    # When somebody has stored a row with a key of the archive meanwhile
    archives.insert([{**rows_of(oldest, 1)[0], "note": "newer"}])
    restored = archives.restore(archive["id"])
    # Then that one is left alone
    assert restored == {
        "archive": archive["id"],
        "dataset": "readings",
        "month": f"{oldest:%Y-%m}",
        "restored": 39,
        "left_alone": 1,
        "dropped": [],
        "already": False,
    }
    after = archives.records(oldest)
    assert after[1:] == before[1:]
    assert after[0]["note"] == "newer"
    # When it is restored again
    again = archives.restore(archive["id"])
    # Then nothing was to be done
    assert (again["restored"], again["left_alone"], again["already"]) == (0, 1, True)
    assert archives.records(oldest) == after
    # Then it stays for 30 days, and is archived after them
    assert archives.run() == {"months": 0, "rows": 0, "removed": 0, "left": {}}
    archives.sql("UPDATE lake.archives SET restored_at = restored_at - interval '30 days 1 second'")
    assert archives.run()["rows"] == 40
    # Then the old archive has a row that the new one has not, and stays
    assert sorted(item["state"] for item in archives.listed()) == ["archived", "restored"]


def test_an_archive_whose_object_is_not_what_was_written(archives: Archives) -> None:
    # Given
    archives.fill(3)
    oldest = months()[0]
    archives.run()
    (archive,) = archives.listed()
    content = archives.content(archive["object"])
    store = boto3.client("s3")
    # When
    for damaged in (content[:-1], content[:50] + b"x" + content[51:]):
        store.put_object(Bucket=archives.bucket, Key=archive["object"], Body=damaged)
        # Then
        assert archives.restore(archive["id"], 500)["code"] == "damaged_archive"
        assert archives.records(oldest) == []
    # When it is gone
    store.delete_object(Bucket=archives.bucket, Key=archive["object"])
    # Then
    assert archives.restore(archive["id"], 500)["code"] == "damaged_archive"
    # When it is whole again
    store.put_object(Bucket=archives.bucket, Key=archive["object"], Body=content)
    # Then
    assert archives.restore(archive["id"])["restored"] == 3


def test_into_the_columns_that_there_are_now(archives: Archives) -> None:
    # Given
    archives.fill(7)
    oldest = months()[0]
    before = archives.records(oldest)
    archives.run()
    (archive,) = archives.listed()
    # When columns are renamed, added and dropped, and one takes the name of one that was dropped
    archives.change(
        {"op": "rename_column", "column": "ppm", "name": "co2"},
        {"op": "add_column", "column": {"name": "site", "type": "text", "default": "mlo"}},
        {"op": "deprecate_column", "column": "note", "reason": "nobody reads it"},
    )
    archives.change({"op": "drop_column", "column": "note"})
    archives.change({"op": "add_column", "column": {"name": "note", "type": "integer"}})
    archives.change({"op": "rename_column", "column": "co2", "name": "ppm"})
    archives.change({"op": "widen_column", "column": "ppm", "type": "text"})
    archives.change({"op": "deprecate_column", "column": "flags", "reason": "others are meant"})
    archives.change(
        {"op": "drop_column", "column": "flags"},
        {"op": "add_column", "column": {"name": "flags", "type": "json"}},
    )
    restored = archives.restore(archive["id"])
    # Then
    assert (restored["restored"], restored["dropped"]) == (7, ["flags", "note"])
    assert archives.records(oldest) == [
        {**row, "ppm": f"{row['id']}.10", "site": "mlo", "note": None, "flags": None}
        for row in before
    ]


def test_rows_that_do_not_fit_any_more(archives: Archives) -> None:
    # Given rows that break a rule which came when they were in storage
    archives.create()
    oldest = months()[0]
    archives.insert(rows_of(oldest, 3))
    archives.run()
    (archive,) = archives.listed()
    archives.change({"op": "set_checks", "column": "id", "checks": {"minimum": 1}})
    # When
    problem = archives.restore(archive["id"], 409)
    # Then
    assert [item["field"] for item in problem["errors"]] == ["id"]
    assert archives.records(oldest) == []
    archives.change({"op": "set_checks", "column": "id", "checks": None})
    assert archives.restore(archive["id"])["restored"] == 3


def test_persons_in_archives(
    archives: Archives, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given visits of two persons, long ago
    archives.name = "visits"
    archives.create(**VISITS)
    month = months()[3]
    day = f"{month:%Y-%m}-05"
    archives.insert(
        [
            {"id": 1, "at": day, "person": ANN, "email": PLANTED[0], "iban": PLANTED[1]}
            | {"phone": IN_CLEAR, "weight": "61.50"},
            {"id": 2, "at": day, "person": BOB, "email": PLANTED[2], "phone": "12345678"},
        ]
    )
    before = archives.records(month)
    # When
    assert archives.run()["rows"] == 2
    # Then no object says what is encrypted, nor has what could confirm a guess
    (archive,) = archives.listed()
    for key in archives.objects():
        content = archives.content(key)
        assert [text for text in PLANTED if text.encode() in content] == []
    names = archives.file(archive).schema_arrow.names
    assert names == ["id", "at", "person", "email", "iban", "phone", "weight"]
    # When one is erased while her rows are in storage
    erased = invoke("lake.erase_person", body={"subject": ANN}).json
    # Then
    assert erased["datasets"] == [
        {"dataset": "visits", "rows": 0, "emptied": ["phone"], "left": [], "archives": 1}
    ]
    # When an erasure would begin while rows come back, it waits, since it could not see them
    store, waits = restoring._Restoration._store, list[Any]()

    def asked(restoration: Any) -> int:
        ((free,),) = archives.sql(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('lake.erasures public', 0))"
        )
        waits.append(not free)
        return store(restoration)

    monkeypatch.setattr(restoring._Restoration, "_store", asked)
    restored = archives.restore(archive["id"])
    assert waits == [True]
    # Then the other is back and found by his values; of her there are key and person alone
    assert restored["restored"] == 2
    ann, bob = archives.records(month)
    assert bob == before[1]
    assert ann == {
        **dict.fromkeys(before[0]),
        "id": 1,
        "at": day,
        "person": ANN,
    }
    found = invoke(
        "lake.query_records", path={"dataset": "visits"}, query={"email": f"eq.{PLANTED[2]}"}
    )
    assert [row["id"] for row in found.json["items"]] == [2]
    lost = invoke("lake.query_records", path={"dataset": "visits"}, query={"weight": "eq.61.5"})
    assert lost.json["items"] == []
    stored = everything_stored(archives.database)
    assert [text for text in (*PLANTED, IN_CLEAR) if text in stored] == []


def test_another_tenants_archives(archives: Archives, invoke: Invoker) -> None:
    # Given
    archives.fill(3)
    archives.run()
    (archive,) = archives.listed()
    definition = {**rows_definition(), "name": "readings"}
    assert invoke("lake.create_dataset", body=definition, tenant="acme").status == 201
    # When / Then a dataset of the same name has archives of its own
    assert archives.listed(tenant="acme") == []
    path = {"dataset": "readings", "archive": archive["id"]}
    assert invoke("lake.restore_archive", path=path, tenant="acme").status == 404
    assert archives.sql("SELECT id FROM lake.archives", "acme") == []
    assert len(archives.sql("SELECT id FROM lake.archives", "public")) == 1


def rows_definition() -> dict[str, Any]:
    """Return a definition with a key and nothing else."""
    return {"columns": [{"name": "id", "type": "integer"}], "key": ["id"]}


def test_values_of_every_type(archives: Archives, invoke: Invoker) -> None:
    # Given rows without a key, whose values have digits to lose
    archives.name = "kinds"
    kinds = ["text", "integer", "number", "decimal", "boolean", "date", "timestamp", "uuid", "json"]
    kinds += ["integer_range", "decimal_range", "date_range", "timestamp_range"]
    columns: list[dict[str, Any]] = [{"name": f"c_{kind}", "type": kind} for kind in kinds]
    columns += [{"name": "near", "type": "vector", "vector": {"dimension": 3}}]
    columns += [{"name": "at", "type": "timestamp"}]
    archives.create(columns=columns, key=[], retention_months=1)
    month = months()[0]
    full = {
        "c_text": "\\N \t,\"'\n",
        "c_integer": -(2**63),
        "c_number": 0.1 + 0.2,
        "c_decimal": "-12345678901234567890123456789012345678901.000",
        "c_boolean": False,
        "c_date": "0999-12-31",
        "c_timestamp": "9999-12-31T23:59:59.999999Z",
        "c_uuid": "5f0c8a1e-2b7d-4c39-8e64-9a1b2c3d4e5f",
        "c_json": {"a": [1, None, "\\"], "b": "\u2028"},
        "c_integer_range": "[1,5)",
        "c_decimal_range": "(,1.50]",
        "c_date_range": "[2024-02-29,)",
        "c_timestamp_range": "empty",
        "near": [0.1, -1e-8, 16777217],
        "at": f"{month:%Y-%m}-01T00:00:00Z",
    }
    archives.insert([full, {"at": full["at"]}, full])
    query = {"order": "c_integer"}
    before = archives.records(month, **query)
    assert len(before) == 3
    # When
    archives.run()
    assert archives.records(month, **query) == []
    archives.restore(archives.listed()[0]["id"])
    # Then
    assert archives.records(month, **query) == before
    # Then new rows get numbers of their own
    archives.insert([full])
    assert len(archives.records(month, **query)) == 4


def test_places(geo_database: str, bucket: str, invoke: Invoker) -> None:
    # Given
    archives = Archives(invoke, bucket, geo_database, "places")
    columns = [{"name": "at", "type": "date"}, {"name": "place", "type": "geo", "geo": {}}]
    archives.create(columns=columns, key=["at"])
    month = months()[0]
    shape = {"type": "LineString", "coordinates": [[-155.576, 19.536], [0.1, -89.999999999]]}
    archives.insert([{"at": f"{month:%Y-%m}-05", "place": shape}])
    before = archives.records(month, order="at")
    assert before[0]["place"] == shape
    # When
    assert archives.run()["rows"] == 1
    archives.restore(archives.listed()[0]["id"])
    # Then
    assert archives.records(month, order="at") == before
