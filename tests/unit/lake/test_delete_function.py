"""lake.delete_function: afterwards nobody can call it; another tenant deletes nothing."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import MakeDataset


def test_a_deleted_function_is_gone(make_dataset: MakeDataset, invoke: Invoker) -> None:
    # Given
    make_dataset("t", n="integer")
    path = {"function": "f"}
    invoke("lake.put_function", path=path, body={"dataset": "t"})
    # When
    foreign = invoke("lake.delete_function", path=path, tenant="acme")
    before = invoke("lake.call_function", path=path, body={}, query={})
    deleted = invoke("lake.delete_function", path=path)
    after = invoke("lake.call_function", path=path, body={}, query={})
    again = invoke("lake.delete_function", path=path)
    # Then
    assert (foreign.status, before.status, deleted.status) == (404, 200, 204)
    assert (after.status, after.json["code"]) == (404, "PGRST202")
    assert (again.status, again.fields) == (404, {"function": "not_found"})
