"""lake.get_dataset: what was created, for its tenant only."""

from __future__ import annotations

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
