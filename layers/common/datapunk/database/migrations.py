"""Forward-only migrations: numbered `.sql` files, each applied once, in order, in its own transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from datapunk.database.connection import connect
from datapunk.database.failures import translated
from datapunk.errors import ConfigurationError, ConflictError
from datapunk.settings import settings

DIRECTORY = Path(__file__).resolve().parents[1] / "migrations"
_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql\Z")
# Any constant will do, as long as every migrating process asks for the same lock.
_LOCK = 5_112_026_001

_HISTORY = """
CREATE TABLE IF NOT EXISTS public.datapunk_migrations (
    version    integer PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
_HISTORY_EXISTS = "SELECT to_regclass('public.datapunk_migrations') IS NOT NULL"
_APPLIED = "SELECT version, name, checksum FROM public.datapunk_migrations ORDER BY version"
_RECORD = "INSERT INTO public.datapunk_migrations (version, name, checksum) VALUES (%s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Digest by which a changed file is noticed."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_migrations(directory: Path = DIRECTORY) -> list[Migration]:
    """Return the migrations of a folder in order.

    Raises ConfigurationError when a file is misnamed or a number is missing or used twice.
    """
    found = []
    for file in sorted(directory.glob("*.sql")):
        match = _FILE.match(file.name)
        if match is None:
            raise ConfigurationError(f"{file.name} is not named 0000_what_it_does.sql.")
        found.append(Migration(int(match["version"]), match["name"], file.read_text()))
    if [item.version for item in found] != list(range(1, len(found) + 1)):
        raise ConfigurationError("Migrations must be numbered from 0001 without gaps.")
    return found


def migrate(url: str | None = None, directory: Path = DIRECTORY) -> list[str]:
    """Apply what is missing and return the names applied; a second run at the same time waits.

    Raises ConflictError when an applied migration's file has changed since.
    """
    wanted = read_migrations(directory)
    with connect(url or settings().database(), application="nexus.migrate") as connection:
        with translated():
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            connection.execute(_HISTORY)
        done = _check_history(connection, wanted)
        for migration in wanted[done:]:
            _apply(connection, migration)
    return [f"{item.version:04}_{item.name}" for item in wanted[done:]]


def create_postgis(url: str | None = None) -> None:
    """Create PostGIS where it is not there yet. It is no migration: most databases go without.

    Raises ConfigurationError when the server does not have it, or does not let this role create it.
    """
    with connect(url or settings().database(), application="nexus.migrate") as connection:
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        except psycopg.Error as error:
            reason = "the server does not have it"
            if isinstance(error, psycopg.errors.InsufficientPrivilege):
                reason = "the role may not: let a superuser run CREATE EXTENSION postgis"
            raise ConfigurationError(
                f"PostGIS is asked for (DATAPUNK_POSTGIS) and cannot be created: {reason}."
            ) from error


def pending(connection: psycopg.Connection, directory: Path = DIRECTORY) -> list[str]:
    """Return the names of the migrations a database still lacks."""
    wanted = read_migrations(directory)
    with translated():
        row = connection.execute(_HISTORY_EXISTS).fetchone()
        done = _check_history(connection, wanted) if row and row[0] else 0
    return [f"{item.version:04}_{item.name}" for item in wanted[done:]]


def _check_history(connection: psycopg.Connection, wanted: list[Migration]) -> int:
    """Return how many migrations are applied; more than we know is fine: old code, newer schema."""
    with translated():
        applied = connection.execute(_APPLIED).fetchall()
    for (version, name, checksum), migration in zip(applied, wanted, strict=False):
        if (version, checksum) != (migration.version, migration.checksum):
            raise ConflictError(
                f"Migration {version:04}_{name} was applied with another content than the file has "
                "now. Restore the file and write a new migration for the change."
            )
    return min(len(applied), len(wanted))


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with translated(), connection.transaction():
        connection.execute(sql.SQL(migration.text))
        connection.execute(_RECORD, (migration.version, migration.name, migration.checksum))
