"""Operators make sure that a user exists."""

from __future__ import annotations

import pytest
from datapunk.errors import ConflictError, InvalidInputError
from datapunk.nexus.sign_in import sign_in
from pydantic import SecretStr

from tests.support.invoking import Invoker
from tests.support.people import PASSWORD, add_tenant, add_user, rows

WANTED = {
    "email": "admin@example.com",
    "name": "Admin",
    "password": PASSWORD,
    "roles": ["admin"],
}


def test_the_first_administrator_comes_into_being_and_stays(database: str, invoke: Invoker) -> None:
    # Given / When
    first = invoke.event("nexus.ensure_user", WANTED)
    second = invoke.event("nexus.ensure_user", WANTED)
    # Then
    assert first == second
    assert set(first) == {"id", "email", "name", "created_at", "updated_at"}
    assert sign_in("admin@example.com", SecretStr(PASSWORD), address="").roles == ["admin"]


def test_a_forgotten_password_is_replaced(database: str, invoke: Invoker) -> None:
    # Given
    invoke.event("nexus.ensure_user", WANTED)
    other = "quite another pass phrase"
    # When
    invoke.event("nexus.ensure_user", {**WANTED, "password": other})
    # Then
    assert sign_in("admin@example.com", SecretStr(other), address="").email == WANTED["email"]


def test_a_user_of_another_tenant_is_left_alone(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    add_user("admin@example.com", tenant="acme")
    # When / Then
    with pytest.raises(ConflictError):
        invoke.event("nexus.ensure_user", WANTED)
    assert rows("SELECT password_hash FROM nexus.users") == [{"password_hash": None}]


def test_what_is_wrong_is_told_without_the_password(database: str, invoke: Invoker) -> None:
    # Given
    wrong = {**WANTED, "password": "tell-nobody", "color": "red"}
    # When
    with pytest.raises(InvalidInputError) as raised:
        invoke.event("nexus.ensure_user", wrong)
    # Then
    assert {item.field for item in raised.value.errors} == {"password", "color"}
    assert "tell-nobody" not in f"{raised.value} {raised.value.__cause__}"
