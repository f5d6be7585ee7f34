"""Row-level security of users, as PostgreSQL applies it to a plain connection with a context."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from tests.support.people import add_tenant, add_user

SET = "SELECT set_config('datapunk.tenant', %s, true), set_config('datapunk.principal', %s, true)"


@contextmanager
def _as(url: str, tenant: str, principal: str) -> Iterator[psycopg.Connection]:
    """Open a transaction with a context, as `psql` would after two SET commands."""
    with psycopg.connect(url) as connection:
        connection.execute(SET, (tenant, principal))
        yield connection
        connection.rollback()


def _emails(connection: psycopg.Connection) -> list[Any]:
    statement = "SELECT email FROM nexus.users ORDER BY email"
    return [row[0] for row in connection.execute(statement).fetchall()]


def test_the_policy_has_its_name_and_binds_the_owner_too(database: str) -> None:
    # Given
    with psycopg.connect(database) as connection:
        # When
        policies = connection.execute(
            "SELECT polrelid::regclass::text FROM pg_policy WHERE polname = 'user_isolation'"
        ).fetchall()
        tables = connection.execute(
            "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class "
            "WHERE relnamespace IN ('nexus'::regnamespace, 'user_data'::regnamespace) "
            "AND relname IN ('users', 'tenants', 'role_assignments', 'linked_accounts')"
        ).fetchall()
    # Then
    assert {row[0] for row in policies} == {"nexus.users", "user_data.linked_accounts"}
    assert len(tables) == 4
    assert all(enabled and forced for _, enabled, forced in tables)


def test_a_user_sees_himself_an_administrator_his_tenant_the_platform_all(database: str) -> None:
    # Given
    add_tenant("acme")
    ann, admin = add_user(), add_user("admin@example.com", roles=["admin"])
    add_user("eve@acme.example", tenant="acme")
    everybody = ["admin@example.com", "ann@example.com", "eve@acme.example"]
    # When / Then
    for tenant, principal, seen in (
        ("public", ann.principal, ["ann@example.com"]),
        ("public", admin.principal, everybody[:2]),
        ("acme", admin.principal, []),
        ("acme", ann.principal, []),
        ("*", "system", everybody),
        ("public", "anonymous", []),
        ("", "", []),
        ("public", f"{ann.principal}' OR true --", []),
        ("public", f"user:{uuid.uuid4()}", []),
    ):
        with _as(database, tenant, principal) as connection:
            assert _emails(connection) == seen, (tenant, principal)


def test_a_user_writes_nobody_else_and_makes_nobody(database: str) -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com")
    with _as(database, "public", ann.principal) as connection:
        # When
        own = connection.execute("UPDATE nexus.users SET name = 'A' WHERE id = %s", (ann.id,))
        other = connection.execute("UPDATE nexus.users SET name = 'B' WHERE id = %s", (bob.id,))
        # Then
        assert (own.rowcount, other.rowcount) == (1, 0)
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute(
                "INSERT INTO nexus.users (email, name) VALUES ('x@example.com', 'X')"
            )


def test_nobody_moves_a_user_to_another_tenant(database: str) -> None:
    # Given
    add_tenant("acme")
    ann = add_user()
    admin = add_user("admin@example.com", roles=["admin"])
    # When / Then
    with (
        _as(database, "public", admin.principal) as connection,
        pytest.raises(pg.InsufficientPrivilege),
    ):
        connection.execute("UPDATE nexus.users SET tenant = 'acme' WHERE id = %s", (ann.id,))


def test_nobody_but_an_administrator_assigns_roles(database: str) -> None:
    # Given
    add_tenant("acme")
    ann = add_user()
    admin = add_user("admin@example.com", roles=["admin"])
    insert = "INSERT INTO nexus.role_assignments (tenant, principal, role) VALUES (%s, %s, 'admin')"
    # When / Then
    for principal, tenant in ((ann.principal, "public"), (admin.principal, "acme")):
        with (
            _as(database, "public", principal) as connection,
            pytest.raises(pg.InsufficientPrivilege),
        ):
            connection.execute(insert, (tenant, principal))
    with _as(database, "public", admin.principal) as connection:
        assert connection.execute(insert, ("public", ann.principal)).rowcount == 1


def test_linked_accounts_belong_to_their_user_not_to_administrators(database: str) -> None:
    # Given
    ann, admin = add_user(), add_user("admin@example.com", roles=["admin"])
    link = "INSERT INTO user_data.linked_accounts (issuer, subject, user_id, email) VALUES (%s, %s, %s, %s)"
    values = ("https://accounts.google.com", "1", ann.id, ann.email)
    with _as(database, "public", ann.principal) as connection:
        # When
        connection.execute(link, values)
        connection.commit()
    # Then
    for principal, seen in ((ann.principal, 1), (admin.principal, 0)):
        with _as(database, "public", principal) as connection:
            found = connection.execute("SELECT FROM user_data.linked_accounts").fetchall()
            assert len(found) == seen
    with (
        _as(database, "public", admin.principal) as connection,
        pytest.raises(pg.InsufficientPrivilege),
    ):
        connection.execute(link, ("https://accounts.google.com", "2", ann.id, ann.email))
