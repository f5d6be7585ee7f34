"""What the linters of `make check` do not ask of the templates, and what the layers' requirements are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def test_suppressions_have_a_reason_and_stand_at_a_resource() -> None:
    # Given every line that switches a rule off
    for path in (PROJECT / "template.yaml", *(PROJECT / "infrastructure").glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if "ignore_checks" not in line:
                continue
            # When
            before = lines[number - 1].strip()
            # Then it is indented below a resource, and a comment before it says why
            assert line.startswith(" " * 6), f"{path.name}:{number + 1}"
            assert before.startswith("#"), f"{path.name}:{number + 1}"


def test_requirements_of_the_layers_are_those_of_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    from infrastructure.build import requirements

    monkeypatch.setattr(sys, "argv", ["requirements", "--check"])
    # When / Then
    assert requirements.main() == 0
