"""lake.discard_quarantined: a row that nobody wants is gone."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import Aside, MakeDataset

OPERATION = "lake.discard_quarantined"


def test_the_sample_names_no_row_that_is_there(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    # When / Then
    assert invoke(OPERATION).status == 404


def test_one_row_is_discarded_and_the_others_stay(
    make_dataset: MakeDataset, aside: Aside, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", id="integer")
    gone, stays = (aside("t", [{"id": text}]) for text in ("a", "b"))
    # When
    answer, again = invoke(OPERATION, path=gone), invoke(OPERATION, path=gone)
    # Then
    assert (answer.status, again.status) == (204, 404)
    (left,) = invoke("lake.list_quarantine", path={"dataset": "t"}).json["items"]
    assert left["id"] == stays["row"]


def test_a_dataset_takes_its_rows_in_quarantine_with_it(
    make_dataset: MakeDataset, aside: Aside, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", id="integer")
    path = aside("t", [{"id": "a"}])
    # When
    deleted = invoke("lake.delete_dataset", path={"dataset": "t"})
    make_dataset("t", id="integer")
    # Then
    assert deleted.status == 204
    assert invoke(OPERATION, path=path).status == 404
