"""Contracts: their code is fresh, and every operation in them is answered, allowed to somebody, and known."""

from __future__ import annotations

import importlib
import json

import pytest
from datapunk.mesh.contract import methods_of

from infrastructure.contracts.__main__ import PROTOS, stale
from infrastructure.policies.sources import DATA
from tests.support.samples import operations

SHARED = {"mesh"}
SERVICES = sorted({file.stem for file in PROTOS.glob("*.proto")} - SHARED)
OPERATIONS = set(operations())


def test_the_generated_code_is_what_the_contracts_say() -> None:
    # Given / When / Then
    assert stale() == []


def test_a_service_with_a_contract_has_its_function_and_the_other_way_round() -> None:
    # Given / When
    functions = {name.partition(".")[0] for name in OPERATIONS if name.endswith(".serve_rpc")}
    # Then
    assert functions == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_a_contract_is_answered_and_has_a_rule(service: str) -> None:
    # Given
    methods = methods_of(service)
    actions = json.loads(DATA.read_text())["access"]["actions"]
    # When
    answered = importlib.import_module(f"datapunk.{service}.service").SERVICE
    # Then
    assert answered.name == service
    assert set(answered.operations) == {method.operation for method in methods}
    assert {method.name for method in methods} <= set(actions)


@pytest.mark.parametrize("service", SERVICES)
def test_an_operation_of_a_contract_has_the_name_of_its_door(service: str) -> None:
    # Given / When
    names = {method.name for method in methods_of(service)}
    # Then
    assert names <= OPERATIONS
