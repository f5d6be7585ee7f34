"""lake.delete_dataset: a dataset with its rows, unless something refers to it."""

from __future__ import annotations

import json

import psycopg

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.delete_dataset"


def test_the_sample_is_deleted_and_told_of(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.body) == (204, "")
    assert invoke("lake.get_dataset").status == 404
    assert invoke(OPERATION).status == 404
    with psycopg.connect(database) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'lake_data'"
        ).fetchone()
        ((body,),) = connection.execute("SELECT body FROM platform.outbox").fetchall()
    assert tables == (0,)
    event = json.loads(body)
    assert event["type"] == "lake.dataset.deleted"
    assert event["data"] == {"dataset": "co2_weekly", "version": 1}


def test_its_name_is_free_again(
    no_broker: None, make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", a="text")
    # When
    invoke(OPERATION, path={"dataset": "t"})
    # Then
    assert make_dataset("t", b="integer")["version"] == 1


def test_what_is_referred_to_stays(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", key=["id"], id="integer")
    child = {
        "name": "child",
        "columns": [{"name": "t_id", "type": "integer"}],
        "references": [{"columns": ["t_id"], "dataset": "t"}],
    }
    assert invoke("lake.create_dataset", body=child).status == 201
    # When
    refused = invoke(OPERATION, path={"dataset": "t"})
    child_gone = invoke(OPERATION, path={"dataset": "child"})
    taken = invoke(OPERATION, path={"dataset": "t"})
    # Then
    assert (refused.status, refused.fields) == (409, {"dataset": "referenced"})
    assert (child_gone.status, taken.status) == (204, 204)


def test_a_dataset_that_refers_to_itself_goes(
    no_broker: None, invoke: Invoker, database: str
) -> None:
    # Given
    columns = [{"name": "id", "type": "integer"}, {"name": "parent", "type": "integer"}]
    links = [{"columns": ["parent"], "dataset": "nodes"}]
    body = {"name": "nodes", "columns": columns, "key": ["id"], "references": links}
    assert invoke("lake.create_dataset", body=body).status == 201
    # When / Then
    assert invoke(OPERATION, path={"dataset": "nodes"}).status == 204


def test_only_the_state_that_was_read_is_deleted(
    no_broker: None, invoke: Invoker, database: str
) -> None:
    # Given
    created = invoke("lake.create_dataset")
    # When
    stale = invoke(OPERATION, headers={"If-Match": '"1-0"'})
    fresh = invoke(OPERATION, headers={"If-Match": created.headers["etag"]})
    # Then
    assert (stale.status, fresh.status) == (412, 204)


def test_another_tenants_dataset_stays(no_broker: None, invoke: Invoker, database: str) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    answer = invoke(OPERATION, tenant="acme")
    # Then
    assert answer.status == 404
    assert invoke("lake.get_dataset").status == 200
