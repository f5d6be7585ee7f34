"""Quarantine: exactly the rows that do not fit are kept aside, whole; the others are stored."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from datapunk.context import WorkContext, continue_correlation, continue_trace, working
from datapunk.database import transaction
from datapunk.identity import Caller
from datapunk.lake import staging
from datapunk.lake.datasets import find_dataset
from datapunk.lake.ingest import Ingest, ingest_records
from datapunk.lake.receipts import OnError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.support.invoking import Answer, Invoker
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.list_quarantine"
CSV, JSON, NDJSON = "text/csv", "application/json", "application/x-ndjson"
ASIDE = {"on_error": "quarantine"}


def _kept(invoke: Invoker, dataset: str = "t", **query: str) -> list[dict[str, Any]]:
    answer = invoke(OPERATION, path={"dataset": dataset}, query={"limit": "1000", **query})
    assert answer.status == 200, answer.body
    items: list[dict[str, Any]] = answer.json["items"]
    return sorted(items, key=lambda item: int(item["position"]))


def _ids(invoke: Invoker, dataset: str = "t") -> list[int]:
    query = {"order": "id", "select": "id", "limit": "1000"}
    answer = invoke("lake.query_records", path={"dataset": dataset}, query=query)
    return [row["id"] for row in answer.json["items"]]


def test_the_sample_lists_what_did_not_fit(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    body = "week,year,ppm\n1958-03-29,1958,x\n1958-04-05,1958,317.3\n"
    receipt = invoke("lake.insert_records", body=body, query=ASIDE).json
    # When
    (row,) = invoke(OPERATION).json["items"]
    # Then
    assert (receipt["inserted"], receipt["quarantined"]) == (1, 1)
    assert receipt["reasons"] == {"float_parsing": 1}
    assert row["content"] == {"week": "1958-03-29", "year": "1958", "ppm": "x"}
    assert (row["position"], row["rule"], row["version"]) == (1, "float_parsing", 1)
    assert row["batch"] == receipt["batch"]
    assert [error["field"] for error in row["errors"]] == ["ppm"]
    path = {"dataset": "co2_weekly", "row": row["id"]}
    shown = invoke(OPERATION, path=path, resource="/v1/lake/datasets/{dataset}/quarantine/{row}")
    assert shown.json == row


def test_a_file_with_one_bad_row_in_a_hundred_keeps_exactly_those(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given rows that are bad in the body (no number), and some that only the table knows (a key twice)
    make_dataset("t", key=["id"], id="integer", value="number")
    texts = [f"{number},{number / 2}" for number in range(10_000)]
    bad = range(50, 10_000, 100)
    for place in bad:
        texts[place] = f"{place},oops" if place % 200 == 50 else f"{place - 1},0"
    # When
    receipt = insert("t", "id,value\n" + "\n".join(texts), CSV, query=ASIDE).json
    # Then
    assert (receipt["inserted"], receipt["quarantined"]) == (9_900, 100)
    assert receipt["reasons"] == {"float_parsing": 50, "unique": 50}
    assert [row["position"] for row in _kept(invoke)] == [place + 1 for place in bad]


@pytest.mark.parametrize(
    ("media_type", "body", "positions", "rules"),
    [
        (CSV, "id,n\n1,a\nx,b\n3\n4,c\n", [2, 3], ["int_parsing", "width"]),
        (JSON, '[{"id": 1}, {"id": "2"}, 7, {"id": 4, "z": 1}, {"id": 5}]', [2, 3, 4], None),
        (JSON, '[{"id": 1}, {"id": 2, "a\\u0000": 1}, {"id": 3}]', [2], ["extra_forbidden"]),
        (NDJSON, '{"id": 1}\n{"id"\n\n{}\n{"id": 4}', [2, 3], ["json_invalid", "missing"]),
    ],
)
def test_every_format_is_sifted(
    make_dataset: MakeDataset,
    insert: Insert,
    invoke: Invoker,
    media_type: str,
    body: str,
    positions: list[int],
    rules: list[str] | None,
) -> None:
    # Given
    make_dataset("t", id="integer!", n="text")
    # When
    receipt = insert("t", body, media_type, query=ASIDE).json
    # Then
    rows = _kept(invoke)
    assert [row["position"] for row in rows] == positions
    assert receipt["inserted"] == 2
    if rules:
        assert [row["rule"] for row in rows] == rules


@pytest.mark.parametrize(
    "body", ["", "{}", "[1", "[{}] x", "[{},]", '[{"id": 1} {"id": 2}]', "[" * 9_000]
)
def test_what_is_no_array_is_refused_whole(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, body: str
) -> None:
    # Given
    make_dataset("t", id="integer")
    # When / Then
    assert insert("t", body, JSON, query=ASIDE).status == 400
    assert (_ids(invoke), _kept(invoke)) == ([], [])


def test_a_reference_may_lead_to_a_row_further_down(
    no_broker: None, invoke: Invoker, insert: Insert, database: str
) -> None:
    # Given
    columns = [{"name": "id", "type": "integer"}, {"name": "parent", "type": "integer"}]
    links = [{"columns": ["parent"], "dataset": "t"}]
    definition = {"name": "t", "columns": columns, "key": ["id"], "references": links}
    assert invoke("lake.create_dataset", body=definition).status == 201
    # When the last row names none, so that all of them cannot be stored at once
    receipt = insert("t", "id,parent\n1,3\n2,1\n3,\n4,9\n", CSV, query=ASIDE).json
    # Then
    assert _ids(invoke) == [1, 2, 3]
    assert receipt["reasons"] == {"reference": 1}
    (row,) = _kept(invoke)
    assert row["errors"][0]["field"] == "parent"


def test_a_body_of_bad_rows_alone_is_refused(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    make_dataset("t", id="integer")
    monkeypatch.setattr(staging, "MOST_REFUSED", 3)
    # When
    refused = insert("t", "id\n1\na\nb\nc\nd\n", CSV, query=ASIDE)
    # Then
    assert (refused.status, refused.fields) == (422, {"body": "too_many"})
    assert (_ids(invoke), _kept(invoke)) == ([], [])


def test_another_tenant_sees_none(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", id="integer")
    insert("t", "id\nx\n", CSV, query=ASIDE)
    # When / Then
    assert invoke(OPERATION, path={"dataset": "t"}, tenant="acme").status == 404
    assert len(_kept(invoke)) == 1


def test_pages_lead_through_all_and_filters_choose(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", id="integer")
    insert("t", "id\nx\ny\nz\n", CSV, query=ASIDE)
    batch = insert("t", '[{"id": 1, "b": 2}]', query=ASIDE).json["batch"]
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    # When
    while True:
        page: Answer = invoke(OPERATION, path={"dataset": "t"}, query=query)
        seen += [item["id"] for item in page.json["items"]]
        if page.json["next_cursor"] is None:
            break
        query["cursor"] = page.json["next_cursor"]
    # Then
    assert len(seen) == len(set(seen)) == 4
    assert len(_kept(invoke, batch=batch)) == 1
    assert len(_kept(invoke, rule="int_parsing")) == 3
    foreign = invoke(
        OPERATION, path={"dataset": "t"}, query={"cursor": query["cursor"], "rule": "x"}
    )
    assert foreign.fields == {"cursor": "cursor"}


@pytest.fixture
def keyed(make_dataset: MakeDataset) -> None:
    """Make a dataset with a key, for all examples; each takes away what it wrote."""
    make_dataset("t", key=["id"], id="integer", n="text")


good = st.builds(
    lambda key, text: {"id": key, "n": text},
    st.integers(0, 9),
    st.none()
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5),
)
bad = st.sampled_from(
    [{"n": "a"}, {"id": None}, {"id": "1"}, {"id": 1, "z": 2}, 3, None, {"id": 2**70}]
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(good | bad, max_size=12),
    media_type=st.sampled_from([JSON, NDJSON]),
    conflict=st.sampled_from(list(staging.OnConflict)),
)
def test_every_row_is_stored_merged_or_kept(
    keyed: None,
    rows: list[Any],
    media_type: str,
    conflict: staging.OnConflict,
) -> None:
    """What becomes of any rows is what a dictionary makes of them."""
    # Given
    texts = [json.dumps(row) for row in rows]
    body = f"[{','.join(texts)}]" if media_type == JSON else "\n".join(texts)
    table: dict[int, Any] = {}
    aside = 0
    for row in rows:
        fits = isinstance(row, dict) and type(row.get("id")) is int and row["id"] < 10
        if not fits or set(row) - {"id", "n"}:
            aside += 1
        elif row["id"] not in table or conflict is staging.OnConflict.UPDATE:
            table[row["id"]] = row.get("n")
        elif conflict is staging.OnConflict.ERROR:
            aside += 1
    work = WorkContext(
        operation=OPERATION,
        correlation_id=continue_correlation(""),
        trace=continue_trace(None, None),
        deadline=time.monotonic() + 60,
        caller=Caller("user:tester"),
    )
    with working(work), transaction() as tx:
        dataset = find_dataset(tx, "t", hold=True)
        sent = Ingest(media_type, "utf-8", body.encode(), OnError.QUARANTINE, conflict)
        # When
        receipt = ingest_records(tx, dataset, sent, most=100)
        found = tx.all(sql.SQL("SELECT id, n FROM {}").format(dataset.table))
        kept = tx.all("SELECT content FROM lake.quarantine")
        for table_of in (dataset.table, sql.Identifier("lake", "quarantine")):
            tx.execute(sql.SQL("DELETE FROM {}").format(table_of))
    # Then
    assert {row["id"]: row["n"] for row in found} == table
    assert (receipt.inserted, receipt.quarantined) == (len(table), aside)
    assert receipt.inserted + receipt.updated + receipt.skipped + aside == len(rows)
    assert len(kept) == aside
    assert all(row["content"] in texts for row in kept)
