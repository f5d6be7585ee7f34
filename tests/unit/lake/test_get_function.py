"""lake.get_function: what was registered, to the tenant's members only."""

from __future__ import annotations

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import MakeDataset


def test_a_function_is_shown_as_it_was_registered(
    make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", n="integer")
    definition = {
        "description": "Numbers",
        "parameters": [
            {
                "name": "p",
                "type": "integer",
                "many": True,
                "optional": False,
                "default": [1, 2],
                "description": "Which",
            }
        ],
        "dataset": "t",
        "query": {"n": ["in.{p}", "gt.0"]},
        "returns": "single",
    }
    invoke("lake.put_function", path={"function": "f"}, body=definition)
    # When
    answer = invoke("lake.get_function", path={"function": "f"})
    # Then
    assert answer.status == 200
    shown = answer.json
    made = {name: shown.pop(name) for name in ("created_by", "created_at", "updated_by")}
    assert shown.pop("updated_at") == made["created_at"]
    assert made["created_by"] == made["updated_by"]
    assert shown == {"name": "f", **definition}


def test_there_is_no_function_of_another_tenant(make_dataset: MakeDataset, invoke: Invoker) -> None:
    # Given
    make_dataset("t", n="integer")
    invoke("lake.put_function", path={"function": "f"}, body={"dataset": "t"})
    # When
    answer = invoke("lake.get_function", path={"function": "f"}, tenant="acme")
    # Then
    assert (answer.status, answer.fields) == (404, {"function": "not_found"})
