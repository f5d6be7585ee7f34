"""Hashes of passwords."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from datapunk.nexus.passwords import hash_password, needs_rehash, verify_password
from pydantic import SecretStr


def test_only_the_password_itself_fits() -> None:
    # Given
    stored = hash_password(SecretStr("correct horse battery staple"))
    # When / Then
    assert verify_password(stored, SecretStr("correct horse battery staple"))
    assert not verify_password(stored, SecretStr("correct horse battery staples"))
    assert not verify_password(stored, SecretStr(""))


def test_the_same_password_is_never_stored_alike() -> None:
    # Given
    password = SecretStr("correct horse battery staple")
    # When
    first, second = hash_password(password), hash_password(password)
    # Then
    assert first != second
    assert "horse" not in first


def test_keyboards_may_write_the_same_letters_differently() -> None:
    # Given a composed and a decomposed umlaut
    stored = hash_password(SecretStr("gr\u00fcne Pferde im Stall"))
    # When / Then
    assert verify_password(stored, SecretStr("gru\u0308ne Pferde im Stall"))


@pytest.mark.parametrize("password", ["", "anything", "x" * 256])
def test_nothing_fits_where_nothing_is_stored(password: str) -> None:
    # Given / When / Then
    assert not verify_password(None, SecretStr(password))


def test_other_parameters_are_noticed() -> None:
    # Given
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("password")
    # When / Then
    assert needs_rehash(weak)
    assert not needs_rehash(hash_password(SecretStr("password")))
