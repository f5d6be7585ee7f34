"""lake.release_quarantined: a row that fits by now is stored and leaves quarantine, in one transaction."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import Aside, Insert, MakeDataset

OPERATION = "lake.release_quarantined"
CORRECT = "lake.correct_quarantined"


def test_the_sample_names_no_row_that_is_there(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.fields) == (404, {"row": "not_found"})


def test_a_row_is_corrected_and_released_once(
    database: str, make_dataset: MakeDataset, aside: Aside, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer", n="text")
    path = aside("t", [{"id": "1", "n": "a"}])
    still = invoke(OPERATION, path=path)
    corrected = invoke(CORRECT, path=path, body={"id": 1, "n": "a"})
    # When
    released, again = invoke(OPERATION, path=path), invoke(OPERATION, path=path)
    # Then
    assert (still.status, still.fields) == (422, {"id": "int_type"})
    assert (corrected.status, corrected.json["content"]) == (200, {"id": 1, "n": "a"})
    assert (released.status, released.json["inserted"]) == (200, 1)
    assert again.status == 404
    with psycopg.connect(database) as connection:
        ((body,),) = connection.execute("SELECT body FROM platform.outbox").fetchall()
    event = json.loads(body)
    assert (event["type"], event["id"]) == ("lake.records.inserted", released.json["event_id"])


def test_a_row_of_csv_is_read_as_it_was_sent(
    make_dataset: MakeDataset, aside: Aside, insert: Insert, invoke: Invoker
) -> None:
    # Given a row whose key was there, and is not any more
    make_dataset("t", key=["id"], id="integer", n="text")
    insert("t", "id,n\n1,a\n", "text/csv")
    path = aside("t", 'n;id\n"b;""";1\n', "text/csv")
    # When
    refused = invoke(OPERATION, path=path)
    merged = invoke(OPERATION, path=path, query={"on_conflict": "update"})
    # Then
    assert (refused.status, refused.fields) == (422, {"(row)": "unique"})
    assert (merged.status, merged.json["updated"]) == (200, 1)
    records = invoke("lake.query_records", path={"dataset": "t"}, query={"order": "id"}).json[
        "items"
    ]
    assert records == [{"id": 1, "n": 'b;"'}]


def test_a_reference_that_leads_somewhere_by_now(
    make_dataset: MakeDataset, aside: Aside, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("parents", key=["id"], id="integer")
    columns = [{"name": "parent", "type": "integer"}]
    links = [{"columns": ["parent"], "dataset": "parents"}]
    definition = {"name": "children", "columns": columns, "references": links}
    assert invoke("lake.create_dataset", body=definition).status == 201
    path = aside("children", [{"parent": 7}])
    # When
    early = invoke(OPERATION, path=path)
    insert("parents", [{"id": 7}])
    late = invoke(OPERATION, path=path)
    # Then
    assert (early.status, early.fields) == (422, {"parent": "reference"})
    assert late.status == 200


@pytest.mark.parametrize("query", [{"on_conflict": "merge"}, {"x": "1"}])
def test_other_parameters_are_refused(
    database: str, no_broker: None, invoke: Invoker, query: dict[str, str]
) -> None:
    # Given / When / Then
    assert invoke(OPERATION, query=query).status == 422
