"""lake.insert_records: all rows or none, and an event that tells of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from backports import zstd
from datapunk.settings import settings

from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Invoker
from tests.support.rules import OFF, ON, boolean, other, rule, write
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.insert_records"
CSV = "text/csv"
NDJSON = "application/x-ndjson"


def _waiting(database: str) -> list[Any]:
    """Return the events in the outbox."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT body FROM platform.outbox ORDER BY id").fetchall()
    return [json.loads(body) for (body,) in rows]


def _count(invoke: Invoker, dataset: str) -> int:
    answer = invoke("lake.query_records", path={"dataset": dataset}, query={"select": "count()"})
    return int(answer.json["items"][0]["count"])


def test_the_sample_is_inserted(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["inserted"]) == (201, 3)
    (event,) = _waiting(database)
    assert event["id"] == answer.json["event_id"]
    assert (event["type"], event["subject"]) == ("lake.records.inserted", "co2_weekly")
    assert event["data"] == {"dataset": "co2_weekly", "count": 3, "version": 1}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '[{"id": 1, "label": "a"}, {"id": 2}]'),
        (NDJSON, '{"id": 1, "label": "a"}\n{"id": 2}\n'),
        (CSV, "id,label\n1,a\n2,\n"),
        ("text/csv; charset=utf-16", "id,label\n1,a\n2,\n".encode("utf-16")),
        (CSV, 'label,id\r\n"a",1\r\n"",2\r\n'),
        (CSV, "id;label\n1;a\n2;\n"),
        (CSV, "id\tlabel\n1\ta\n2\t\n"),
        (CSV, "'label'|'id'\n'a'|1\n''|2\n"),
    ],
)
def test_every_format_is_taken(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, content_type: str, body: Any
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    # When
    answer = insert("t", body, content_type)
    # Then
    assert answer.status == 201, answer.body
    records = invoke("lake.query_records", path={"dataset": "t"}, query={"order": "id"}).json
    assert records["items"] == [{"id": 1, "label": "a"}, {"id": 2, "label": None}]


@pytest.mark.parametrize(("content_type", "body"), [("application/json", "[]"), (CSV, "id\n")])
def test_no_rows_are_no_event(
    database: str, make_dataset: MakeDataset, insert: Insert, content_type: str, body: str
) -> None:
    # Given
    make_dataset("t", id="integer")
    # When
    answer = insert("t", body, content_type)
    # Then
    assert (answer.json["inserted"], answer.json["event_id"]) == (0, None)
    assert _waiting(database) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '[{"id": 3}, {"id": 1}, {"id": 4}]'),
        (NDJSON, '{"id": 3}\n{"id": 1}'),
        (CSV, "id\n3\n1\n4\n"),
    ],
)
def test_a_key_that_exists_names_the_row_and_stores_nothing(
    database: str,
    make_dataset: MakeDataset,
    insert: Insert,
    invoke: Invoker,
    content_type: str,
    body: str,
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer")
    insert("t", [{"id": 1}])
    # When
    answer = insert("t", body, content_type)
    # Then
    assert answer.status == 409
    assert any(field.startswith("records.1") for field in answer.fields)
    assert _count(invoke, "t") == 1
    assert len(_waiting(database)) == 1


@pytest.mark.parametrize(
    ("content_type", "body", "status", "field"),
    [
        ("application/json", '[{"id": 1}', 400, "body"),
        (NDJSON, '{"id": 1}\n{', 400, "body"),
        (CSV, 'id,label\n1,"a', 400, "body"),
        (CSV, b"id,label\n1,\xff\n", 400, "body"),
        ("text/csv; charset=nonsense", "id\n1", 400, "body"),
        (CSV, "", 400, "body"),
        ("application/json", '{"id": 1}', 422, None),
        ("application/json", '[{"id": 1}, {"id": "x"}]', 422, "records.1.id"),
        ("application/json", '[{"id": 1, "nothing": 2}]', 422, "records.0.nothing"),
        ("application/json", '[{"label": "a"}]', 422, "records.0.id"),
        ("application/json", '[{"id": null}]', 422, "records.0.id"),
        ("application/json", '[{"id": 9223372036854775808}]', 422, "records.0.id"),
        ("application/json", '[{"id": 1, "label": "a\\u0000"}]', 422, "records.0.label"),
        (CSV, "id,nothing\n1,2\n", 422, "nothing"),
        (CSV, "label\na\n", 422, "id"),
        (CSV, "id,label\n1,a\n,b\n", 422, "records.1.id"),
        (CSV, "id,label\n1,a\n2\n", 422, "records.1"),
        ("text/plain", "id\n1", 415, "content-type"),
        ("application/xml", "<a/>", 415, "content-type"),
        ("", "id\n1", 415, "content-type"),
    ],
)
def test_bad_input_names_the_field_and_stores_nothing(
    make_dataset: MakeDataset,
    insert: Insert,
    invoke: Invoker,
    content_type: str,
    body: Any,
    status: int,
    field: str | None,
) -> None:
    # Given
    make_dataset("t", id="integer!", label="text")
    # When
    answer = insert("t", body, content_type)
    # Then
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert field is None or field in answer.fields
    assert _count(invoke, "t") == 0


def test_an_oversized_body(make_dataset: MakeDataset, insert: Insert) -> None:
    # Given
    make_dataset("t", label="text")
    # When
    answer = insert("t", "label\n" + "x" * (6 * 1024 * 1024), CSV)
    # Then
    assert (answer.status, answer.fields) == (413, {"body": "payload_too_large"})


def test_an_unknown_dataset(database: str, insert: Insert) -> None:
    # Given / When
    answer = insert("nothing_here", [{"id": 1}])
    # Then
    assert answer.status == 404


def test_a_value_only_the_database_refuses_names_row_and_column(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given the calendars of Python and PostgreSQL agree, but numeric has its end
    make_dataset("t", id="integer", amount="decimal")
    rows = [{"id": 1, "amount": "1"}, {"id": 2, "amount": "1e131073"}]
    # When
    answer = insert("t", rows)
    # Then
    assert answer.status == 422
    assert "records.1.amount" in answer.fields
    assert _count(invoke, "t") == 0


def test_sql_in_a_value_is_a_value(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", label="text!")
    good = [text for text in METACHARACTERS if "\x00" not in text]
    # When
    refused = insert("t", [{"label": "\x00"}])
    answer = insert("t", [{"label": text} for text in good])
    # Then
    assert (refused.status, answer.status) == (422, 201)
    page = invoke("lake.query_records", path={"dataset": "t"}, query={}).json
    assert [item["label"] for item in page["items"]] == good


def test_sql_in_a_column_name_is_refused(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", label="text")
    for text in METACHARACTERS:
        # When
        statuses = {
            insert("t", [{text: "a"}]).status,
            insert("t", f"{text}\na\n", CSV).status,
            insert(text, [{"label": "a"}]).status,
        }
        # Then
        assert statuses <= {400, 404, 422}, text
    assert _count(invoke, "t") == 0


def test_a_large_body_is_copied_whole(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer", ppm="number")
    body = "id,ppm\n" + "".join(f"{number},{number / 7}\n" for number in range(100_000))
    # When
    answer = insert("t", body, CSV)
    # Then
    assert answer.json["inserted"] == _count(invoke, "t") == 100_000


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Path:
    """Return the file of feature flags."""
    path = tmp_path / "flags.json"
    monkeypatch.setenv("FEATURE_FLAGS", f"file:{path}")
    settings.cache_clear()
    return path


def test_an_operator_pauses_one_tenant(invoke: Invoker, no_broker: None, rules: Path) -> None:
    # Given
    paused = rule(OFF, ("tenant", "EQUALS", "acme"))
    write(rules, {"lake.ingest": boolean(ON, acme=paused)})
    for tenant in ("acme", "other"):
        assert invoke("lake.create_dataset", tenant=tenant).status == 201
    # When
    answers = {tenant: invoke(OPERATION, tenant=tenant) for tenant in ("acme", "other")}
    read = invoke("lake.query_records", tenant="acme")
    # Then
    refused = answers["acme"]
    assert (refused.status, refused.json["code"]) == (503, "paused")
    assert refused.headers["retry-after"] == "60"
    assert answers["other"].status == 201
    assert (read.status, read.json["items"]) == (200, [])


def test_an_operator_limits_the_rows_of_a_request_to_one_dataset(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, rules: Path
) -> None:
    # Given
    small = rule(2, ("dataset", "EQUALS", "small"))
    write(rules, {"lake.rows_per_insert": other(1_000, small=small)})
    for name in ("small", "large"):
        make_dataset(name, id="integer!")
    rows = [{"id": number} for number in range(3)]
    # When
    refused, taken, fitting = (
        insert("small", rows),
        insert("large", rows),
        insert("small", rows[:2]),
    )
    # Then
    assert (refused.status, refused.json["code"]) == (413, "payload_too_large")
    assert "2 rows" in refused.json["detail"]
    assert (taken.status, fitting.status) == (201, 201)
    assert (_count(invoke, "small"), _count(invoke, "large")) == (2, 3)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b'[{"id": 1}]'), (NDJSON, b'{"id": 1}'), (CSV, b"id\n1\n")],
)
def test_compressed_bodies_are_taken(
    make_dataset: MakeDataset,
    no_broker: None,
    invoke: Invoker,
    encoding: str,
    content_type: str,
    body: bytes,
) -> None:
    # Given
    make_dataset("t", id="integer")
    packed = gzip.compress(body) if encoding == "gzip" else zstd.compress(body)
    # When
    answer = invoke(
        OPERATION,
        path={"dataset": "t"},
        body=packed,
        content_type=content_type,
        headers={"Content-Encoding": encoding},
    )
    # Then
    assert (answer.status, answer.json["inserted"]) == (201, 1)


def test_a_key_makes_one_effect_of_two_requests(
    database: str, make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given a request that is refused, which leaves its key free
    make_dataset("t", id="integer")
    keyed = {"Idempotency-Key": "load-17"}
    refused = insert("t", "id\nx\n", CSV, headers=keyed)
    # When
    first = insert("t", "id\n1\n2\n", CSV, headers=keyed)
    again = insert("t", "id\n1\n2\n", CSV, headers=keyed)
    other = insert("t", "id\n1\n3\n", CSV, headers=keyed)
    # Then
    assert (refused.status, first.status, again.status) == (422, 201, 201)
    assert again.json == first.json
    assert (other.status, other.fields) == (409, {"idempotency-key": "key"})
    assert _count(invoke, "t") == 2
    assert len(_waiting(database)) == 1


@pytest.mark.parametrize("on_error", ["reject", "quarantine"])
@pytest.mark.parametrize(
    ("on_conflict", "counts", "rows"),
    [
        ("update", {"inserted": 1, "updated": 1, "skipped": 1}, {1: ("n", None), 2: ("y", None)}),
        ("skip", {"inserted": 1, "updated": 0, "skipped": 2}, {1: ("old", 1), 2: ("x", None)}),
    ],
)
def test_rows_are_merged_by_their_key(
    make_dataset: MakeDataset,
    insert: Insert,
    invoke: Invoker,
    on_error: str,
    on_conflict: str,
    counts: dict[str, int],
    rows: dict[int, tuple[str, int | None]],
) -> None:
    # Given a row that is there, and a body that has another one twice and leaves a column out
    make_dataset("t", key=["id"], id="integer", label="text", number="integer")
    insert("t", [{"id": 1, "label": "old", "number": 1}])
    # When
    query = {"on_conflict": on_conflict, "on_error": on_error}
    answer = insert("t", "label,id\nx,2\nn,1\ny,2\n", CSV, query=query)
    # Then
    assert answer.status == 201, answer.body
    assert {name: answer.json[name] for name in counts} == counts
    found = invoke("lake.query_records", path={"dataset": "t"}, query={"order": "id"}).json["items"]
    assert {row["id"]: (row["label"], row["number"]) for row in found} == rows


def test_without_a_key_nothing_is_merged(make_dataset: MakeDataset, insert: Insert) -> None:
    # Given
    make_dataset("t", id="integer")
    # When
    answer = insert("t", [{"id": 1}], query={"on_conflict": "update"})
    # Then
    assert (answer.status, answer.fields) == (422, {"on_conflict": "key"})
