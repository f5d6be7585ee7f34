"""Files stay small, tests can fail, and nothing is switched off."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.samples import PROJECT, python_files

MOST_LINES = 400
GENERATED = PROJECT / "layers" / "common" / "datapunk" / "mesh" / "generated"
FILES = sorted(file for file in python_files() if file.parent != GENERATED)
TESTS = [file for file in FILES if file.name.startswith("test_") and "tests" in file.parts]


def _id(file: Path) -> str:
    return str(file.relative_to(PROJECT))


def test_the_project_is_found() -> None:
    # Given / When / Then
    assert len(FILES) > 100
    assert len(TESTS) > 20


@pytest.mark.parametrize("file", FILES, ids=_id)
def test_a_file_has_at_most_400_lines(file: Path) -> None:
    # Given / When
    lines = file.read_text().count("\n")
    # Then
    assert lines <= MOST_LINES


def _tests(file: Path) -> list[ast.FunctionDef]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return [n for n in nodes if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]


def _helpers(file: Path) -> dict[str, ast.FunctionDef]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return {
        n.name: n
        for n in nodes
        if isinstance(n, ast.FunctionDef) and not n.name.startswith("test_")
    }


def _checks(function: ast.FunctionDef, helpers: dict[str, ast.FunctionDef], depth: int = 3) -> bool:
    """Tell whether a function asserts something, itself or through helpers of its file."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in ("raises", "eventually") or name.startswith("assert_"):
            return True
        if name in helpers and depth and _checks(helpers[name], helpers, depth - 1):
            return True
    return False


@pytest.mark.parametrize("file", TESTS, ids=_id)
def test_every_test_can_fail(file: Path) -> None:
    # Given
    tests, helpers = _tests(file), _helpers(file)
    # When
    idle = [test.name for test in tests if not _checks(test, helpers)]
    # Then
    assert tests
    assert idle == []


@pytest.mark.parametrize("file", TESTS, ids=_id)
def test_no_test_is_switched_off(file: Path) -> None:
    # Given
    tree = ast.parse(file.read_text())
    # When
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    off = {
        name
        for name in names
        if name.rpartition(".")[2] in ("skip", "skipif", "xfail", "importorskip")
    }
    # Then
    assert off == set()
