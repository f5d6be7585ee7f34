"""Revocations: a token ends with itself, its ancestors, its grant, its session, its principal."""

from __future__ import annotations

import time
from typing import Any

import pytest
from datapunk.database import transaction
from datapunk.errors import UnauthenticatedError
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus import tokens
from datapunk.nexus.revocations import (
    grant_subject,
    is_revoked,
    purge,
    revoke,
    revoke_issued,
    token_subject,
)
from datapunk.nexus.sessions import end_session, start_session

from tests.support.oauth import add_user

ANN = Caller("user:7a0e5b3e-8a52-4b1c-9f6e-000000000001", "acme", ("editor",), ("read", "write"))
pytestmark = pytest.mark.usefixtures("database")


def issue(caller: Caller = ANN, **options: Any) -> str:
    options = {"client_id": "app", "scopes": ["read"], **options}
    return tokens.issue_access_token(caller, **options).access_token


def refused(token: str) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        tokens.verify_access_token(token)
    return caught.value.detail


def test_a_revoked_token_is_refused_and_others_are_not() -> None:
    # Given
    token, other = issue(), issue()
    named = tokens.read_access_token(token).token_id
    # When
    with transaction(SYSTEM) as tx:
        revoke(tx, token_subject(named))
    # Then
    assert "revoked" in refused(token)
    assert tokens.verify_access_token(other)


def test_what_was_exchanged_for_a_revoked_token_goes_with_it() -> None:
    # Given a token, one exchanged for it, and one for that
    first = tokens.read_access_token(issue())
    second = tokens.read_access_token(issue(parent=first, actor="client:a"))
    third = issue(parent=second, actor="client:b")
    assert tokens.read_access_token(third).expires_at <= first.expires_at
    # When
    with transaction(SYSTEM) as tx:
        revoke(tx, token_subject(first.token_id))
    # Then
    assert "revoked" in refused(third)


def test_a_grant_takes_its_tokens_along() -> None:
    # Given
    token, other = issue(grant="g1"), issue(grant="g2")
    # When
    with transaction(SYSTEM) as tx:
        revoke(tx, grant_subject("g1"))
    # Then
    assert "revoked" in refused(token)
    assert tokens.verify_access_token(other)


def test_a_principals_tokens_end_and_later_ones_are_good() -> None:
    # Given
    token = issue()
    with transaction(SYSTEM) as tx:
        revoke_issued(tx, ANN.principal)
    # When / Then
    assert "revoked" in refused(token)
    later = int(time.time()) + 6
    assert not is_revoked([ANN.principal], issued_at=later)


def test_the_token_of_an_ended_session_is_refused() -> None:
    # Given
    user = add_user()
    _, session = start_session(user)
    token = issue(Caller(user.principal, "public"), session=session.id)
    assert tokens.verify_access_token(token)
    # When
    end_session(user.id, session.id)
    # Then
    assert "session" in refused(token)


def test_revocations_are_forgotten_when_no_token_can_need_them() -> None:
    # Given
    with transaction(SYSTEM) as tx:
        revoke(tx, "token:new")
        revoke(tx, "token:old")
        tx.execute(
            "UPDATE nexus.revocations SET expires_at = now() - interval '1 second' "
            "WHERE subject = 'token:old'"
        )
    # When
    with transaction(SYSTEM) as tx:
        forgotten = purge(tx)
    # Then
    assert forgotten == 1
    assert is_revoked(["token:new"], issued_at=0)


def test_only_the_platform_sees_revocations() -> None:
    # Given
    with transaction(SYSTEM) as tx:
        revoke(tx, "token:x")
    # When
    with transaction(ANN) as tx:
        seen = tx.value("SELECT count(*) FROM nexus.revocations")
    # Then
    assert seen == 0
