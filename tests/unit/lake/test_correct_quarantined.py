"""lake.correct_quarantined: a new content, which must fit the columns."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import Aside, MakeDataset

OPERATION = "lake.correct_quarantined"


def test_the_sample_names_no_row_that_is_there(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    # When / Then
    assert invoke(OPERATION).status == 404


def test_what_was_wrong_and_who_corrected_it_stay_known(
    make_dataset: MakeDataset, aside: Aside, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", id="integer", n="text")
    path = aside("t", "id,n\nx,a\n", "text/csv")
    # When
    answer = invoke(OPERATION, path=path, body={"id": 5, "n": "a"})
    # Then
    assert answer.status == 200
    found = answer.json
    assert (found["rule"], found["position"]) == ("int_parsing", 1)
    assert found["content"] == {"id": 5, "n": "a"}
    assert found["media_type"] == "application/json"
    assert found["corrected_by"].startswith("user:")
    assert found["corrected_at"] > found["quarantined_at"]


@pytest.mark.parametrize("body", [{"id": "x"}, {"other": 1}, [], "{", '"a"', '{"id": "\\ud800"}'])
def test_what_does_not_fit_changes_nothing(
    make_dataset: MakeDataset, aside: Aside, invoke: Invoker, body: Any
) -> None:
    # Given
    make_dataset("t", id="integer!")
    path = aside("t", [{"id": None}])
    # When
    refused = invoke(OPERATION, path=path, body=body)
    # Then
    assert refused.status in (400, 422)
    (row,) = invoke("lake.list_quarantine", path={"dataset": "t"}).json["items"]
    assert (row["content"], row["corrected_by"]) == ({"id": None}, None)
