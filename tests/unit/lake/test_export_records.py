"""lake.export_records: what a query finds, whole and of one tenant, in a file without protected values."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import psycopg
import pytest
import requests
from datapunk.aws import STORE, client_of
from datapunk.lake import exporting

from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import ANN, BOB, DEFINITION, PLANTED, row
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION, MEGABYTE = "lake.export_records", 1_000_000
ROWS: list[dict[str, Any]] = [
    {"id": 1, "label": 'a, "b"\nc', "ppm": 1.5, "day": "2026-01-01"},
    {"id": 2, "label": "Köln %s", "ppm": None, "day": "2026-01-02"},
    {"id": 3, "label": None, "ppm": -1.0, "day": "2026-02-01"},
]
COLUMNS = {"id": "integer", "label": "text", "ppm": "number", "day": "date"}

Export = Callable[..., Answer]


@pytest.fixture
def export(database: str, bucket: str, no_broker: None, invoke: Invoker) -> Export:
    """Return `export("t", "csv", select="id", ...)`."""

    def ask(
        dataset: str, form: str = "ndjson", *, tenant: str | None = None, **query: Any
    ) -> Answer:
        body = {"format": form, **query}
        return invoke(OPERATION, path={"dataset": dataset}, body=body, tenant=tenant)

    return ask


@pytest.fixture
def three_rows(make_dataset: MakeDataset, insert: Insert) -> None:
    """Make the dataset `t` of three rows."""
    make_dataset("t", ["id"], **COLUMNS)
    assert insert("t", ROWS).status == 201


@pytest.fixture
def large(make_dataset: MakeDataset, insert: Insert) -> list[dict[str, Any]]:
    """Make the dataset `large`, of more bytes than two parts have, and return its rows."""
    make_dataset("large", ["id"], id="integer", text="text")
    rows = [{"id": number, "text": f"{number:02}" * (MEGABYTE // 2)} for number in range(18)]
    for start in range(0, len(rows), 3):
        assert insert("large", rows[start : start + 3]).status == 201
    return rows


@pytest.fixture
def on_part() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Return `on_part(act)`: has something happen whenever a part is on its way to S3."""
    events = client_of(STORE).meta.events
    registered: list[Callable[..., None]] = []

    def register(act: Callable[[], None]) -> None:
        registered.append(lambda **_: act())
        events.register("before-call.s3.UploadPart", registered[-1])

    yield register
    for handler in registered:
        events.unregister("before-call.s3.UploadPart", handler)


def _key(exported: dict[str, Any]) -> str:
    return unquote(urlsplit(exported["url"]).path).lstrip("/").removeprefix("datapunk/")


def _file(answer: Answer) -> bytes:
    """Return the file as whoever has the link reads it, after a look at what was said of it."""
    assert answer.status == 201, answer.body
    read = requests.get(answer.json["url"], timeout=10)
    assert (read.status_code, len(read.content)) == (200, answer.json["bytes"])
    assert answer.json["sha256"] == hashlib.sha256(read.content).hexdigest()
    return read.content


def _left() -> tuple[list[str], list[str]]:
    """Return the keys of all objects, and of all uploads that are neither finished nor aborted."""
    found = client_of(STORE).list_objects_v2(Bucket="datapunk").get("Contents", [])
    begun = client_of(STORE).list_multipart_uploads(Bucket="datapunk").get("Uploads", [])
    return [item["Key"] for item in found], [item["Key"] for item in begun]


def _events(database: str) -> list[dict[str, Any]]:
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT body FROM platform.outbox ORDER BY id").fetchall()
    events = [json.loads(body) for (body,) in found]
    return [event for event in events if event["type"] == exporting.RECORDS_EXPORTED]


def test_the_sample_is_answered(export: Export, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    invoke("lake.insert_records")
    # When
    answer = invoke(OPERATION)
    # Then
    first, *lines = _file(answer).decode().rstrip().split("\r\n")
    assert (first, answer.json["rows"], len(lines)) == ("week,ppm", 3, 3)
    assert lines == sorted(lines, reverse=True)


@pytest.mark.usefixtures("three_rows")
@pytest.mark.parametrize(
    ("form", "media_type"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")]
)
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"order": "day.desc"},
        {"select": "n:count(),most:ppm.max()"},
        {"select": "id,name:label", "filters": {"id": ["gt.1", "lte.3"], "day": "gte.2026-01-02"}},
        {"filters": {"label": "eq.Köln %s"}, "select": "id"},
    ],
)
def test_a_file_has_what_the_query_answers(
    export: Export, invoke: Invoker, form: str, media_type: str, query: dict[str, Any]
) -> None:
    # Given
    parameters = {name: query[name] for name in ("select", "order") if name in query}
    asked = invoke(
        "lake.query_records",
        path={"dataset": "t"},
        query=parameters | query.get("filters", {}),
        headers={"Accept": media_type},
    )
    assert asked.status == 200
    # When
    answer = export("t", form, **query)
    # Then
    assert _file(answer).decode() == asked.body
    served = requests.get(answer.json["url"], timeout=10).headers
    assert served["Content-Type"].startswith(media_type)
    assert served["Content-Disposition"] == f'attachment; filename="t.{form}"'


@pytest.mark.usefixtures("three_rows")
def test_a_limit_ends_the_file_and_without_one_no_page_does(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("DATAPUNK_PAGE_LIMIT", "1")
    # When
    first, whole = export("t", limit=2), export("t")
    # Then
    assert [json.loads(line)["id"] for line in _file(first).splitlines()] == [1, 2]
    assert [json.loads(line) for line in _file(whole).splitlines()] == ROWS


@pytest.mark.usefixtures("three_rows")
@pytest.mark.parametrize(("form", "content"), [("csv", b"id,label\r\n"), ("ndjson", b"")])
def test_nothing_found_is_a_file_too(export: Export, form: str, content: bytes) -> None:
    # When
    answer = export("t", form, select="id,label", filters={"id": "gt.3"})
    # Then
    assert (_file(answer), answer.json["rows"]) == (content, 0)


@pytest.mark.usefixtures("three_rows")
def test_the_link_is_signed_for_a_quarter_of_an_hour(export: Export) -> None:
    # When
    exported = export("t").json
    # Then
    query = parse_qs(urlsplit(exported["url"]).query)
    assert (query["X-Amz-Expires"], query["X-Amz-Algorithm"]) == (["900"], ["AWS4-HMAC-SHA256"])
    left = datetime.fromisoformat(exported["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    assert _key(exported).startswith("exports/public/t/")


@pytest.mark.usefixtures("three_rows")
def test_an_export_is_told_and_recorded(export: Export, database: str, invoke: Invoker) -> None:
    # When
    exported = export("t", filters={"label": "is.not_null"}).json
    # Then
    (event,) = _events(database)
    facts = {name: exported[name] for name in ("dataset", "version", "format", "bytes", "sha256")}
    assert event["data"] == facts | {"count": 2}
    assert (event["subject"], event["tenant"]) == ("t", "public")
    records = invoke("nexus.list_audit", query={"action": OPERATION}).json["items"]
    (done,) = records
    assert (done["outcome"], done["resource"]) == ("done", "dataset/t")
    assert done["detail"] == {
        "format": "ndjson",
        "rows": 2,
        "bytes": exported["bytes"],
        "sha256": exported["sha256"],
        "object": _key(exported),
    }


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("roles", ["admin", "editor"])
def test_planted_personal_data_is_not_in_the_file(
    export: Export,
    database: str,
    invoke: Invoker,
    insert: Insert,
    capfd: pytest.CaptureFixture[str],
    form: str,
    roles: str,
) -> None:
    # Given
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    assert insert("patients", [row(1, ANN), row(2, BOB), row(3, ANN)]).status == 201
    # When one asks who is shown all of it elsewhere, and who finds rows by it
    body = {"format": form, "filters": {"email": f"in.({PLANTED[0]},{PLANTED[1]})"}}
    path = {"dataset": "patients"}
    answer = invoke(OPERATION, path=path, body=body, tenant="public", roles=roles)
    # Then it is in none of the bytes, and neither in what encrypted cells hold
    text = _file(answer).decode()
    records = (
        list(csv.DictReader(io.StringIO(text)))
        if form == "csv"
        else [json.loads(line) for line in text.splitlines()]
    )
    assert [(str(item["id"]), item["ward"]) for item in records] == [(n, "A") for n in "123"]
    cells = [item[name] for item in records for name in ("email", "iban", "born", "weight")]
    known = "\n".join([text, *(bytes.fromhex(cell).decode("latin-1") for cell in cells)])
    told = known + json.dumps(_events(database)) + "".join(capfd.readouterr())
    assert not [value for value in [*PLANTED, "1815-12-10", "61.5"] if value in told]
    # and the cells are those of the table
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE lake_owner")
        connection.execute("SET datapunk.tenant = 'public'")
        (table,) = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'lake_data'"
            " AND tablename LIKE 'patients_%' ORDER BY length(tablename) LIMIT 1"
        ).fetchone() or ("",)
        stored = connection.execute(
            f"SELECT encode(iban, 'hex') FROM lake_data.{table} ORDER BY id"
        ).fetchall()
    assert [item["iban"] for item in records] == [cell for (cell,) in stored]


def test_masks_hold_in_files(
    export: Export, database: str, invoke: Invoker, insert: Insert
) -> None:
    # Given
    mask = {"roles": {"admin": "clear", "editor": "partial"}, "others": "full"}
    sealed = {"type": "text", "protection": "encrypted", "masking": mask}
    columns = [
        {"name": "id", "type": "integer"},
        {"name": "card", "type": "text", "masking": mask},
        {"name": "email", **sealed},
    ]
    definition = {"name": "cards", "key": ["id"], "columns": columns}
    assert invoke("lake.create_dataset", body=definition).status == 201
    card = {"id": 1, "card": "4111 1111 1111 1111", "email": "ann@example.com"}
    assert insert("cards", [card]).status == 201
    path = {"dataset": "cards"}
    # When
    shown = {}
    for roles in ("admin", "editor", "viewer"):
        body = {"format": "ndjson"}
        answer = invoke(OPERATION, path=path, body=body, tenant="public", roles=roles)
        shown[roles] = json.loads(_file(answer))
    # Then
    assert {roles: item["card"] for roles, item in shown.items()} == {
        "admin": "4111 1111 1111 1111",
        "editor": "**** **** **** 1111",
        "viewer": None,
    }
    assert shown["viewer"]["email"] is None
    assert bytes.fromhex(shown["editor"]["email"]) == bytes.fromhex(shown["admin"]["email"])


def test_another_tenants_rows_are_never_in_the_file(
    export: Export, three_rows: None, invoke: Invoker
) -> None:
    # Given a dataset of the same name, and one that only the other tenant has
    for name in ("t", "theirs"):
        columns = [{"name": "id", "type": "integer"}, {"name": "label", "type": "text"}]
        definition = {"name": name, "columns": columns, "key": ["id"]}
        assert invoke("lake.create_dataset", body=definition, tenant="acme").status == 201
        inserted = invoke(
            "lake.insert_records",
            path={"dataset": name},
            body=[{"id": 7, "label": "secret of acme"}],
            content_type="application/json",
            tenant="acme",
        )
        assert inserted.status == 201
    # When
    ours, absent, theirs = export("t"), export("theirs"), export("t", tenant="acme")
    # Then
    assert [json.loads(line) for line in _file(ours).splitlines()] == ROWS
    assert (absent.status, absent.fields) == (404, {"dataset": "not_found"})
    assert [json.loads(line)["id"] for line in _file(theirs).splitlines()] == [7]
    assert _key(theirs.json).startswith("exports/acme/t/")


def test_what_is_larger_than_a_part_is_put_together(
    export: Export, large: list[dict[str, Any]]
) -> None:
    # When
    answer = export("large")
    # Then
    content = _file(answer)
    assert [json.loads(line) for line in content.splitlines()] == large
    found = boto3.client("s3").head_object(Bucket="datapunk", Key=_key(answer.json))
    assert found["ETag"].strip('"').endswith("-3")  # as S3 marks objects of three parts
    assert found["ContentType"] == "application/x-ndjson"
    assert _left() == ([_key(answer.json)], [])


@pytest.mark.usefixtures("large")
def test_an_upload_is_aborted_when_the_database_goes(
    export: Export, on_part: Any, database: str, invoke: Invoker
) -> None:
    # Given
    parts = []

    def end_connections() -> None:
        parts.append(_left()[1])
        with psycopg.connect(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    on_part(end_connections)
    # When
    answer = export("large")
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "postgresql")
    assert len(parts) == len(parts[0]) == 1  # it had begun
    assert (_left(), _events(database)) == (([], []), [])
    records = invoke("nexus.list_audit", query={"action": OPERATION}).json["items"]
    assert [record["outcome"] for record in records] == ["failed"]


@pytest.mark.usefixtures("large")
def test_an_upload_is_aborted_when_the_time_is_over(
    export: Export, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    taken = iter([29.0, 20.0, 10.0])
    monkeypatch.setattr(exporting, "remaining_seconds", lambda: next(taken, 1.0))
    # When
    answer = export("large")
    # Then
    assert answer.status == 504
    assert "export fewer at once" in answer.json["detail"]
    assert (_left(), _events(database)) == (([], []), [])


@pytest.mark.usefixtures("three_rows")
def test_nothing_is_told_where_storage_does_not_take_it(
    export: Export, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    boto3.client("s3").delete_bucket(Bucket="datapunk")
    # When
    answer = export("t")
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "s3")
    assert _events(database) == []


@pytest.mark.usefixtures("three_rows")
@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"form": "xlsx"}, {"format": "enum"}),
        ({"select": "id,nothing"}, {"select": "unknown_column"}),
        ({"order": "nothing"}, {"order": "unknown_column"}),
        ({"filters": {"nothing": "eq.1"}}, {"nothing": "unknown_column"}),
        ({"filters": {"limit": "1"}}, {"limit": "unknown_column"}),
        ({"filters": {"id": "eq.x"}}, {"id": "value"}),
        ({"limit": 0}, {"limit": "greater_than_equal"}),
        ({"where": "1=1"}, {"where": "extra_forbidden"}),
    ],
)
def test_what_cannot_be_asked_is_refused_and_leaves_nothing(
    export: Export, query: dict[str, Any], fields: dict[str, str]
) -> None:
    # When
    answer = export("t", **query)
    # Then
    assert (answer.status, answer.fields) == (422, fields)
    assert _left() == ([], [])
