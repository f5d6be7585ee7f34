"""One name through everything: an operation, its handler, its sample, its test."""

from __future__ import annotations

import pytest

from tests.support.samples import EVENTS, PROJECT, handler_file, operations

TESTS = PROJECT / "tests" / "unit"
MODULES = sorted({operation.partition(".")[0] for operation in operations()})


def test_every_operation_has_its_sample_and_the_other_way_round() -> None:
    # Given
    samples = {f"{file.parent.name}.{file.stem}" for file in EVENTS.glob("*/*.json")}
    # When / Then
    assert samples == set(operations())


def test_every_operation_has_its_test_and_the_other_way_round() -> None:
    # Given
    tests = {
        f"{module}.{file.stem.removeprefix('test_')}"
        for module in MODULES
        for file in (TESTS / module).glob("test_*.py")
    }
    # When / Then
    assert tests == set(operations())


@pytest.mark.parametrize("operation", operations())
def test_a_handler_says_what_it_is(operation: str) -> None:
    # Given
    file = handler_file(operation)
    source = file.read_text()
    # When
    lines = source.splitlines()
    # Then
    assert source.startswith('"""')
    # The face of a protocol has a route for each of its requests.
    assert len(lines) <= (300 if file.stem == "app" else 70)
    assert "handler" in source
    if "http_function(" in source or "_function(" in source:
        assert f'"{operation}"' in source


def test_a_module_has_its_domain_package() -> None:
    # Given
    layer = PROJECT / "layers" / "common" / "datapunk"
    # When
    missing = [module for module in MODULES if not (layer / module / "__init__.py").is_file()]
    # Then
    assert missing == []
