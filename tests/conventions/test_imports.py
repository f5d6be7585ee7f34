"""Imports point one way: functions, domain packages, the shared layer, drivers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.samples import FUNCTIONS, PROJECT

LAYER = PROJECT / "layers" / "common"
DOMAINS = ("lake", "nexus", "stream")
EDGES = (
    "asgi",
    "authorizer",
    "http",
    "consumer",
    "schedule",
    "deployment",
    "passthrough",
    "probes",
    "problems",
    "proxy",
    "rpc",
    "mesh.answering",
    "mesh.grpc_server",
)
EDGES_KNOW = {
    "answering",
    "asgi",
    "authorizer",
    "consumer",
    "deployment",
    "grpc_server",
    "http",
    "passthrough",
    "probes",
    "proxy",
    "rpc",
    "schedule",
}
DRIVERS = ("boto3", "botocore", "pika", "psycopg", "redis")
COMPOSING = ("psycopg.sql", "psycopg.types")
"""What domain code may use of its driver: composing statements and wrapping JSON."""

LATE = ("boto3", "botocore", "redis", "aws_xray_sdk", "urllib3", "grpc")
"""Too slow to import before they are needed."""

ASSETS = {"nexus/documents.py": "aws_lambda_powertools.event_handler.openapi"}
"""Swagger UI's files ship inside Powertools; nothing of its code is used."""


def _imports(file: Path, *, top_only: bool = False) -> Iterator[str]:
    """Yield every imported name, `module.name` for what a `from` takes out of a module."""
    tree = ast.parse(file.read_text())
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file} has a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


LAYER_FILES = _files(LAYER / "datapunk")
DOMAIN_FILES = [
    file for file in LAYER_FILES if file.relative_to(LAYER / "datapunk").parts[0] in DOMAINS
]
SHARED_FILES = [file for file in LAYER_FILES if file not in DOMAIN_FILES]


def _id(file: Path) -> str:
    return str(file.relative_to(PROJECT))


@pytest.mark.parametrize("file", _files(FUNCTIONS), ids=_id)
def test_a_function_knows_the_platform_and_no_driver(file: Path) -> None:
    # Given / When
    foreign = [
        name for name in _imports(file) if _within(name, *DRIVERS, "infrastructure", "tests")
    ]
    # Then
    assert foreign == []


@pytest.mark.parametrize("file", _files(FUNCTIONS), ids=_id)
def test_a_function_uses_the_domain_of_its_own_module(file: Path) -> None:
    # Given
    module = file.relative_to(FUNCTIONS).parts[0]
    others = [f"datapunk.{domain}" for domain in DOMAINS if domain != module]
    # When
    foreign = [name for name in _imports(file) if _within(name, *others, *DOMAINS)]
    # Then
    assert foreign == []


@pytest.mark.parametrize("file", DOMAIN_FILES, ids=_id)
def test_domain_code_knows_no_edge_and_no_driver(file: Path) -> None:
    # Given
    place = file.relative_to(LAYER / "datapunk")
    own = place.parts[0]
    others = [f"datapunk.{domain}" for domain in DOMAINS if domain != own]
    edges = [f"datapunk.{edge}" for edge in EDGES]
    forbidden = (*others, *edges, *DRIVERS, "aws_lambda_powertools", *DOMAINS)
    # When
    foreign = [
        name
        for name in _imports(file)
        if _within(name, *forbidden)
        and not _within(name, *COMPOSING)
        and ASSETS.get(place.as_posix()) != name
    ]
    # Then
    assert foreign == []


@pytest.mark.parametrize("file", SHARED_FILES, ids=_id)
def test_the_shared_layer_knows_no_module(file: Path) -> None:
    # Given
    upward = [f"datapunk.{domain}" for domain in DOMAINS]
    # When
    foreign = [
        name
        for name in _imports(file)
        if _within(name, *upward, *DOMAINS, "infrastructure", "tests")
    ]
    # Then
    assert foreign == []


@pytest.mark.parametrize("file", SHARED_FILES, ids=_id)
def test_only_edges_know_edges(file: Path) -> None:
    # Given
    name = file.stem
    # When
    foreign = [
        found for found in _imports(file) if _within(found, *(f"datapunk.{e}" for e in EDGES))
    ]
    # Then
    assert foreign == [] or name in EDGES_KNOW


@pytest.mark.parametrize("file", LAYER_FILES, ids=_id)
def test_slow_libraries_are_imported_late(file: Path) -> None:
    # Given / When
    early = [name for name in _imports(file, top_only=True) if _within(name, *LATE)]
    # Then
    assert early == []
