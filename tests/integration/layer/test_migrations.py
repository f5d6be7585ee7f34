"""Migrations: each once, in order, also when two deployments meet; the schema is their sum."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from datapunk.database.migrations import DIRECTORY, migrate, pending, read_migrations
from datapunk.errors import ConfigurationError, ConflictError, DatapunkError, UnavailableError

from infrastructure.local.paths import default_paths
from infrastructure.local.schema import SCHEMA_FILE, dump_schema
from tests.support.services import Instance

ALL = [f"{item.version:04}_{item.name}" for item in read_migrations()]


@pytest.fixture
def empty(instance: Instance) -> Iterator[str]:
    """Return a database without any of our tables."""
    url = instance.new_database(template="template1")
    yield url
    instance.drop_database(url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the migrations, to change."""
    return Path(shutil.copytree(DIRECTORY, tmp_path / "migrations"))


def _pending(url: str, folder: Path = DIRECTORY) -> list[str]:
    with psycopg.connect(url) as connection:
        return pending(connection, folder)


def test_an_empty_database_gets_everything_once(empty: str) -> None:
    # Given
    before = _pending(empty)
    # When
    runs = [migrate(empty), migrate(empty)]
    # Then
    assert before == ALL
    assert runs == [ALL, []]
    assert _pending(empty) == []


def test_the_schema_file_is_the_sum_of_the_migrations(empty: str) -> None:
    # Given
    migrate(empty)
    # When
    schema = dump_schema(default_paths(), empty)
    # Then
    assert schema == SCHEMA_FILE.read_text(), "run make schema"


def test_two_deployments_at_once_apply_each_migration_once(empty: str) -> None:
    # Given
    outcomes: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(migrate(empty)), daemon=True)
        for _ in range(4)
    ]
    # When
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # Then
    assert sorted(outcomes) == [[], [], [], ALL]


def test_a_second_database_of_the_same_server_gets_everything_too(instance: Instance) -> None:
    # Given roles belong to the server: the first database has made them already
    urls = [instance.new_database(template="template1") for _ in range(2)]
    # When
    runs = [migrate(url) for url in urls]
    # Then
    assert runs == [ALL, ALL]
    for url in urls:
        instance.drop_database(url)


def test_a_new_migration_is_applied_to_an_old_schema(empty: str, folder: Path) -> None:
    # Given
    migrate(empty, folder)
    number = len(ALL) + 1
    (folder / f"{number:04}_more.sql").write_text("CREATE TABLE more (id integer);")
    # When
    applied = migrate(empty, folder)
    # Then
    assert applied == [f"{number:04}_more"]
    # Old code on the new schema goes on working: two versions always overlap.
    assert _pending(empty) == []
    assert migrate(empty) == []


def test_a_migration_that_was_changed_is_refused(empty: str, folder: Path) -> None:
    # Given
    migrate(empty, folder)
    first = folder / f"{ALL[0]}.sql"
    first.write_text(first.read_text() + "\n-- changed\n")
    # When / Then
    with pytest.raises(ConflictError, match=ALL[0]):
        migrate(empty, folder)
    with pytest.raises(ConflictError, match=ALL[0]):
        _pending(empty, folder)


def test_a_migration_that_fails_leaves_nothing_of_itself(empty: str, folder: Path) -> None:
    # Given
    broken = folder / f"{len(ALL) + 1:04}_broken.sql"
    broken.write_text("CREATE TABLE half (id integer); SELECT 1/0;")
    # When
    with pytest.raises(DatapunkError):
        migrate(empty, folder)
    # Then
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    assert _pending(empty, folder) == [broken.stem]
    broken.write_text("CREATE TABLE whole (id integer);")
    assert migrate(empty, folder) == [broken.stem]


@pytest.mark.parametrize(
    "name", ["0001_again.sql", "0099_gap.sql", "4_short.sql", "0004-dashes.sql", "0004_Upper.sql"]
)
def test_a_misnamed_file_is_refused(folder: Path, name: str) -> None:
    # Given
    (folder / name).write_text("SELECT 1")
    # When / Then
    with pytest.raises(ConfigurationError):
        read_migrations(folder)


def test_without_a_database_migrating_is_unavailable() -> None:
    # Given / When / Then
    with pytest.raises(UnavailableError):
        migrate("postgresql://nobody:nothing@127.0.0.1:1/none")


def test_what_is_no_url_is_a_wrong_setting() -> None:
    # Given / When / Then
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        migrate("nonsense://x")
