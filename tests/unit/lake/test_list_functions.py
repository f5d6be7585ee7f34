"""lake.list_functions: by name, page by page, of one dataset where that is asked."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import MakeDataset


def test_functions_are_listed_by_name_and_dataset(
    make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given
    for dataset in ("t", "u"):
        make_dataset(dataset, n="integer")
    for name, dataset in (("b", "t"), ("a", "u"), ("c", "t")):
        invoke("lake.put_function", path={"function": name}, body={"dataset": dataset})
    # When
    first = invoke("lake.list_functions", query={"limit": "2"}).json
    second = invoke(
        "lake.list_functions", query={"limit": "2", "cursor": first["next_cursor"]}
    ).json
    of_t = invoke("lake.list_functions", query={"dataset": "t"}).json
    others = invoke("lake.list_functions", tenant="acme").json
    foreign = invoke("lake.list_functions", query={"cursor": "x"})
    # Then
    assert [item["name"] for item in first["items"]] == ["a", "b"]
    assert [item["name"] for item in second["items"]] == ["c"]
    assert second["next_cursor"] is None
    assert [item["name"] for item in of_t["items"]] == ["b", "c"]
    assert others["items"] == []
    assert foreign.status == 422
