"""What documents name exists: tests, files, and places in other documents."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.samples import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
PROVEN = (
    "reference/protocols.md",
    "reference/service-mesh.md",
    "explanation/service-interaction.md",
)
"""Pages on which every claim names its test."""
_TEST = re.compile(r"\btests/[\w/]+\.py::\w+")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@cache
def _tests(file: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))


def _exists(named: str) -> bool:
    place, _, test = named.partition("::")
    file = PROJECT / place
    return file.is_file() and test in _tests(file)


def _id(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_test_a_page_names_exists(page: Path) -> None:
    # Given
    named = _TEST.findall(page.read_text())
    # When
    missing = [name for name in named if not _exists(name)]
    # Then
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_file_a_page_leads_to_exists(page: Path) -> None:
    # Given
    text = _FENCED.sub("", page.read_text())
    places = [link.partition("#")[0] for link in _LINK.findall(text) if "://" not in link]
    # When
    missing = [place for place in places if place and not (page.parent / place).exists()]
    # Then
    assert missing == []


@pytest.mark.parametrize("name", PROVEN)
def test_every_claim_of_a_proven_page_names_a_test(name: str) -> None:
    # Given the rows of its tables, or its sections
    text = (PROJECT / "docs" / name).read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    claims = [row for row in rows if not row.startswith(("| ---", "| protocol", "| Istio"))]
    claims = claims or re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    # When
    unproven = [claim.splitlines()[0] for claim in claims if not _TEST.search(claim)]
    # Then
    assert len(claims) > 5
    assert unproven == []


def test_every_page_is_reached_from_the_readme_or_an_index() -> None:
    # Given
    links = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in _LINK.findall(page.read_text())
        if "://" not in link
    }
    # When
    lost = [_id(page) for page in PAGES[1:] if page.resolve() not in links]
    # Then
    assert lost == []
