"""lake.get_dataset: what was created, for its tenant only."""

from __future__ import annotations

import json

import psycopg
import pytest
from datapunk import cache
from datapunk.cache.namespaces import LAKE_DATASET, Place
from datapunk.cache.reading import forget

from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Invoker

OPERATION = "lake.get_dataset"


def test_the_sample_is_found(database: str, invoke: Invoker) -> None:
    # Given
    created = invoke("lake.create_dataset")
    # When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 200
    assert answer.json == created.json
    assert answer.headers["etag"] == created.headers["etag"]


def test_an_unknown_dataset(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"dataset": "nothing_here"})
    # Then
    assert (answer.status, answer.fields) == (404, {"dataset": "not_found"})


def test_another_tenants_dataset_does_not_exist(database: str, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset", tenant="acme")
    # When
    statuses = [invoke(OPERATION, tenant=tenant).status for tenant in ("acme", "other", None)]
    # Then
    assert statuses == [200, 404, 404]


def test_sql_in_the_name_finds_nothing(database: str, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    for text in METACHARACTERS:
        # When
        answer = invoke(OPERATION, path={"dataset": text})
        # Then
        assert answer.status in (404, 422), text
    assert invoke(OPERATION).status == 200


def test_it_says_who_answered_and_how_new_that_is(database: str, invoke: Invoker) -> None:
    # Given
    created = invoke("lake.create_dataset")
    # When
    answers = [invoke(OPERATION)]
    forget()
    answers += [invoke(OPERATION), invoke(OPERATION)]
    # Then
    assert [answer.headers["x-cache"] for answer in answers] == ["hit-l1", "hit-l2", "hit-l1"]
    positions = {answer.headers["x-freshness"] for answer in (created, *answers)}
    assert len(positions) == 1
    assert {answer.body for answer in answers} == {created.body}
    assert "table_name" not in created.body


def test_a_position_that_a_write_gave_is_honoured(database: str, invoke: Invoker) -> None:
    # Given a cache that has not heard of a write yet
    invoke("lake.create_dataset")
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        connection.execute("UPDATE lake.datasets SET description = 'changed'")
        (version,) = connection.execute(
            "UPDATE platform.cache_writes SET version = version + 1 RETURNING version"
        ).fetchone() or (0,)
    # When
    relaxed = invoke(OPERATION)
    strict = invoke(OPERATION, headers={"X-Freshness": f"{version:x}"})
    # Then
    assert relaxed.json["description"] != "changed"
    assert strict.json["description"] == "changed"
    assert strict.headers["x-cache"] == "bypass"
    assert strict.headers["x-freshness"] == f"{version:x}"


def test_each_change_says_where_it_stands(database: str, invoke: Invoker) -> None:
    # Given
    created = invoke("lake.create_dataset")
    # When
    changed = invoke("lake.change_dataset", body={"changes": [], "description": "changed"})
    strict = invoke(OPERATION, headers={"X-Freshness": changed.headers["x-freshness"]})
    deleted = invoke("lake.delete_dataset")
    # Then
    assert strict.json["description"] == "changed"
    assert strict.headers["x-freshness"] == changed.headers["x-freshness"]
    positions = [int(answer.headers["x-freshness"], 16) for answer in (created, changed, deleted)]
    assert positions == sorted(set(positions))
    gone = invoke(OPERATION, headers={"X-Freshness": deleted.headers["x-freshness"]})
    assert gone.status == 404


@pytest.mark.parametrize("position", ["", "x", "-1", "f" * 15, "ffffffffffffff", "1 2"])
def test_a_position_that_is_none(database: str, invoke: Invoker, position: str) -> None:
    # Given / When
    answer = invoke(OPERATION, headers={"X-Freshness": position})
    # Then
    assert (answer.status, answer.fields) == (422, {"x-freshness": "position"})


def test_what_does_not_exist_is_remembered_for_a_short_time(database: str, invoke: Invoker) -> None:
    # Given
    invoke(OPERATION)
    forget()
    # When
    again = invoke(OPERATION)
    invoke("lake.create_dataset")
    forget()
    created = invoke(OPERATION)
    # Then
    assert (again.status, created.status) == (404, 200)
    assert created.headers["x-cache"] == "hit-l2"
    stored = str(cache.client().get(Place(LAKE_DATASET, "public", "co2_weekly").keys()[0]))
    assert json.loads(stored.partition("\n")[2])["name"] == "co2_weekly"
