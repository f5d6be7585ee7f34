"""Columns of vectors: declared, written and answered on every path; their indexes, and that they serve."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from datapunk.database import Transaction
from psycopg import sql

from tests.support.invoking import Answer, Invoker
from tests.support.rest import Rest

pytestmark = pytest.mark.usefixtures("no_broker")
POINTS: dict[str, Any] = {
    "name": "points",
    "columns": [
        {"name": "id", "type": "integer"},
        {"name": "note", "type": "text", "full_text": "english"},
        {"name": "at", "type": "vector", "vector": {"dimension": 3}},
    ],
    "key": ["id"],
}
PATH = {"dataset": "points"}


@pytest.fixture
def points(database: str, invoke: Invoker) -> str:
    """Make the dataset; return its table's name."""
    assert invoke("lake.create_dataset", body=POINTS).status == 201
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        row = connection.execute("SELECT table_name FROM lake.datasets").fetchone()
    assert row is not None
    return str(row[0])


def _insert(invoke: Invoker, body: Any, media_type: str = "application/json") -> Answer:
    return invoke("lake.insert_records", path=PATH, body=body, content_type=media_type)


def _indexes(database: str, table: str) -> set[str]:
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", (table,))
        return {str(row[0]).partition(" USING ")[2] for row in rows}


def test_vectors_are_written_and_answered_on_every_path(points: str, invoke: Invoker) -> None:
    # When
    assert _insert(invoke, [{"id": 1, "at": [0.1, 2, -3e-2]}, {"id": 2, "at": None}]).status == 201
    lines = '{"id": 3, "at": [1, 2, 3]}\n'
    assert _insert(invoke, lines, "application/x-ndjson").status == 201
    assert _insert(invoke, 'id,at\n4,"[4, 5, 6.5]"\n5,\n', "text/csv").status == 201
    rest = Rest()
    answer = rest.post("points", [{"id": 6, "at": [6, 0, 0]}])
    assert (answer.status, answer.json[0]["at"]) == (201, [6, 0, 0])
    csv = {"Content-Type": "text/csv"}
    assert rest.write("POST", "points", 'id,at\n7,"[7,0,0]"\n', headers=csv).status == 201
    answer = rest.patch("points", {"at": [7, 7, 7]}, id="eq.7")
    assert (answer.status, answer.json[0]["at"]) == (200, [7, 7, 7])
    # Then
    expected = [[0.1, 2, -0.03], None, [1, 2, 3], [4, 5, 6.5], None, [6, 0, 0], [7, 7, 7]]
    query: dict[str, Any] = {"order": "id", "select": "id,at"}
    answer = invoke("lake.query_records", path=PATH, query=query)
    assert [row["at"] for row in answer.json["items"]] == expected
    assert [row["at"] for row in rest("points", **query).json] == expected
    assert rest("points", select="at->1", id="eq.3").json == [{"at": 2}]
    assert rest("points", at="eq.[1,2,3]").status == 400
    some = invoke("lake.query_records", path=PATH, query={"at": "is.null", "select": "id"})
    assert [row["id"] for row in some.json["items"]] == [2, 5]
    groups = {"select": "at,count()", "limit": "2"}
    page = invoke("lake.query_records", path=PATH, query=groups).json
    more = invoke("lake.query_records", path=PATH, query=groups | {"cursor": page["next_cursor"]})
    assert len(more.json["items"]) == 2
    # And what was answered as CSV can be written again
    texts = invoke("lake.query_records", path=PATH, query=query, headers={"Accept": "text/csv"})
    assert invoke("lake.delete_dataset", path=PATH).status == 204
    assert invoke("lake.create_dataset", body=POINTS).status == 201
    assert _insert(invoke, texts.body, "text/csv").status == 201
    again = invoke("lake.query_records", path=PATH, query=query)
    assert [row["at"] for row in again.json["items"]] == expected


@pytest.mark.parametrize(
    "value", [[1, 2], [1, 2, 3, 4], [0, 0, 0], [1, 2, "3"], [1, 2, True], [1, 2, 1e16], 5, []]
)
def test_other_vectors_are_refused(value: Any, points: str, invoke: Invoker) -> None:
    # When
    by_json = _insert(invoke, [{"id": 1, "at": [1, 2, 3]}, {"id": 2, "at": value}])
    text = str(value).replace("'", '""').replace("True", "true")
    by_csv = _insert(invoke, f'id,at\n1,"[1,2,3]"\n2,"{text}"\n', "text/csv")
    # Then
    for answer in (by_json, by_csv):
        assert answer.status == 422, answer.body
        assert answer.json["errors"][0]["field"].startswith("records.1.at")


@pytest.mark.parametrize(
    "change",
    [
        {"columns": [{"name": "id", "type": "integer"}, {"name": "at", "type": "vector"}]},
        {"columns": [{"name": "id", "type": "integer", "vector": {"dimension": 3}}]},
        {"columns": [{"name": "id", "type": "integer", "full_text": "english"}]},
        {"columns": [{"name": "id", "type": "text", "full_text": "klingon"}]},
        {"columns": [POINTS["columns"][0], POINTS["columns"][2] | {"default": [1, 2, 3]}]},
        {"columns": [POINTS["columns"][0], POINTS["columns"][2] | {"vector": {"dimension": 2001}}]},
        {"key": ["at"]},
        {"indexes": [["at"]]},
    ],
)
def test_declarations_that_make_no_sense_are_refused(
    change: dict[str, Any], database: str, invoke: Invoker
) -> None:
    # When
    answer = invoke("lake.create_dataset", body=POINTS | change)
    # Then
    assert answer.status == 422, answer.body


def test_indexes_follow_the_columns(points: str, database: str, invoke: Invoker) -> None:
    # Given
    before = _indexes(database, points)
    assert "hnsw (at vector_cosine_ops)" in before
    assert sum(index.startswith("gin") for index in before) == 1
    # When
    title = {"name": "title", "type": "text", "full_text": "simple"}
    other = {"name": "other", "type": "vector", "vector": {"dimension": 2, "distance": "euclidean"}}
    changes = [{"op": "add_column", "column": column} for column in (title, other)]
    answer = invoke("lake.change_dataset", path=PATH, body={"changes": changes})
    assert answer.status == 200, answer.body
    # Then
    after = _indexes(database, points)
    assert "hnsw (other vector_l2_ops)" in after
    (gin,) = (index for index in after if index.startswith("gin"))
    assert "note" in gin
    assert "title" in gin
    row = {"id": 1, "note": "a b", "title": "carbon", "other": [1, 2]}
    assert _insert(invoke, [row]).status == 201
    body = {"queries": [{"text": "carbon"}]}
    found = invoke("lake.search_records", path=PATH, body=body).json["results"][0]["items"]
    assert [hit["record"]["id"] for hit in found] == [1]


def test_words_beyond_an_index_are_refused(points: str, invoke: Invoker) -> None:
    # When
    answer = _insert(invoke, [{"id": 1, "note": " ".join(f"word{n}" for n in range(100_000))}])
    # Then
    assert answer.status == 422, answer.body
    assert "too large" in answer.json["errors"][0]["message"]


def test_a_search_walks_the_indexes(
    points: str, database: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    rows = "".join(f'{n},word{n % 1000},"[{n % 7 + 1},{n % 11},{n % 13}]"\n' for n in range(3_000))
    assert _insert(invoke, f"id,note,at\n{rows}", "text/csv").status == 201
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE lake_owner")
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("lake_data", points)))
    plans: list[str] = []
    read = Transaction.all

    def explained(tx: Transaction, statement: Any, parameters: Any = None) -> Any:
        if isinstance(statement, sql.Composed) and isinstance(parameters, dict):
            explain = sql.SQL("EXPLAIN {}").format(statement)
            plans.append("\n".join(row["QUERY PLAN"] for row in read(tx, explain, parameters)))
        return read(tx, statement, parameters)

    monkeypatch.setattr(Transaction, "all", explained)
    # When
    body = {"queries": [{"vector": [1, 2, 3]}, {"text": "word77"}]}
    answer = invoke("lake.search_records", path=PATH, body=body)
    # Then
    assert answer.status == 200, answer.body
    assert "Index Scan using" in plans[0]
    assert "<=>" in plans[0]
    assert "_words" in plans[1]
    assert len(answer.json["results"][1]["items"]) == 3
