"""What the private PostgreSQL offers, and to whom."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from infrastructure.local.services.account import DECISION, Account
from infrastructure.local.services.postgres import Postgres
from infrastructure.local.state import State
from tests.integration.local.services.conftest import Instance


@pytest.fixture(scope="module")
def postgres(shared: Instance) -> Postgres:
    service = shared.service("postgres")
    assert isinstance(service, Postgres)
    service.start()
    service.wait_ready(60)
    return service


@pytest.fixture
def database(postgres: Postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.endpoints()["database"], autocommit=True) as connection:
        yield connection


def test_the_platforms_role_is_no_superuser_and_owns_its_database(
    database: psycopg.Connection,
) -> None:
    # When
    role = database.execute(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    owner = database.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    # Then
    assert role == (False, False, False, True, True)
    assert owner == ("datapunk",)
    database.execute("CREATE SCHEMA of_the_role")
    database.execute("DROP SCHEMA of_the_role")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute("CREATE ROLE another")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute("SELECT pg_read_file('/etc/passwd')")


def test_the_lakes_owner_must_be_assumed(database: psycopg.Connection) -> None:
    # Given
    member = database.execute(
        "SELECT inherit_option, set_option, admin_option FROM pg_auth_members"
        " WHERE roleid = 'lake_owner'::regrole AND member = 'datapunk'::regrole"
    ).fetchone()
    login = database.execute(
        "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'lake_owner'"
    ).fetchone()
    # When
    database.execute("SET ROLE lake_owner")
    # Then
    assert member == (False, True, False)
    assert login == (False,)
    assert database.execute("SELECT current_user").fetchone() == ("lake_owner",)


def test_vectors_can_be_stored_and_searched(database: psycopg.Connection) -> None:
    # Given
    database.execute("CREATE TEMPORARY TABLE point (at vector(2))")
    database.execute("CREATE INDEX ON point USING hnsw (at vector_l2_ops)")
    database.execute("INSERT INTO point VALUES ('[0,0]'), ('[3,4]')")
    # When
    nearest = database.execute("SELECT at::text FROM point ORDER BY at <-> '[3,3]'").fetchone()
    # Then
    assert nearest == ("[3,4]",)


def test_changes_can_be_followed_through_a_logical_slot(database: psycopg.Connection) -> None:
    # Given
    database.execute("CREATE TABLE followed (n int)")
    database.execute("SELECT pg_create_logical_replication_slot('test', 'test_decoding')")
    try:
        # When
        database.execute("INSERT INTO followed VALUES (7)")
        changes = database.execute(
            "SELECT data FROM pg_logical_slot_get_changes('test', NULL, NULL)"
        ).fetchall()
        # Then
        assert any("n[integer]:7" in data for (data,) in changes)
    finally:
        database.execute("SELECT pg_drop_replication_slot('test')")
        database.execute("DROP TABLE followed")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("wal_level", "logical"),
        ("max_slot_wal_keep_size", "2GB"),
        ("jit", "off"),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
    ],
)
def test_the_settings_are_those_of_the_platform(
    database: psycopg.Connection, setting: str, value: str
) -> None:
    # When, Then
    assert database.execute("SELECT current_setting(%s)", (setting,)).fetchone() == (value,)


def test_text_is_folded_and_compared_the_same_on_every_machine(
    database: psycopg.Connection,
) -> None:
    # When
    row = database.execute("SELECT upper('äßé'), 'a' < 'B', 'B' < 'a'").fetchone()
    # Then
    assert row == ("ÄßÉ", False, True)


def test_nobody_gets_in_without_the_password(postgres: Postgres) -> None:
    # Given
    url = postgres.endpoints()["database"]
    without = url.replace(url.partition("datapunk:")[2].partition("@")[0], "wrong")
    # When, Then
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(without)


def test_root_without_namespaces_runs_it_as_nobody(shared: Instance, postgres: Postgres) -> None:
    # Given: a machine that forbids them, found so at an earlier start
    state = State(shared.paths)
    account = state.decision(DECISION)
    if account is None:  # an ordinary user needs neither
        assert postgres.ready()
        return
    postgres.stop()
    try:
        # When
        state.decide(DECISION, Account.NOBODY)
        postgres.start()
        postgres.wait_ready(60)
        # Then
        assert (shared.paths.data / "postgres").owner() == "nobody"
    finally:
        postgres.stop()
        state.decide(DECISION, account)
        postgres.start()
        postgres.wait_ready(60)
    assert (shared.paths.data / "postgres").owner() == "root"
