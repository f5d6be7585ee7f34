"""nexus.revoke_token: a client gives back what it has."""

from __future__ import annotations

import pytest
from datapunk.errors import UnauthenticatedError
from datapunk.nexus.tokens import verify_access_token

from tests.support.invoking import Invoker
from tests.support.oauth import (
    SERVICE,
    add_client,
    add_user,
    exchange,
    own_token,
    post,
    refresh,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("database")


def is_good(token: str) -> bool:
    try:
        verify_access_token(token)
    except UnauthenticatedError:
        return False
    return True


def test_an_access_token_is_revoked_alone() -> None:
    # Given
    client = add_client()
    tokens = tokens_of(client, add_user())
    # When
    answer = post("nexus.revoke_token", client, token=tokens["access_token"])
    # Then
    assert answer.status == 200
    assert not is_good(tokens["access_token"])
    assert refresh(client, tokens["refresh_token"]).status == 200


def test_a_refresh_token_takes_its_whole_family_along() -> None:
    # Given
    client = add_client()
    first = tokens_of(client, add_user())
    second = refresh(client, first["refresh_token"]).json
    # When
    post("nexus.revoke_token", client, token=second["refresh_token"], token_type_hint="anything")
    # Then
    assert refresh(client, second["refresh_token"]).json["error"] == "invalid_grant"
    assert not is_good(first["access_token"])
    assert not is_good(second["access_token"])


def test_what_a_service_got_for_the_token_goes_with_it() -> None:
    # Given
    client, service = add_client(), add_client(SERVICE)
    token = tokens_of(client, add_user())["access_token"]
    exchanged = exchange(service, token).json["access_token"]
    assert is_good(exchanged)
    # When
    post("nexus.revoke_token", client, token=token)
    # Then
    assert not is_good(exchanged)


def test_another_client_cannot_revoke_and_does_not_learn_that_it_cannot() -> None:
    # Given
    client, other = add_client(), add_client(SERVICE)
    tokens = tokens_of(client, add_user())
    # When
    answers = [
        post("nexus.revoke_token", other, token=token)
        for token in (tokens["access_token"], tokens["refresh_token"], "unknown")
    ]
    # Then
    assert [(answer.status, answer.body) for answer in answers] == [(200, "{}")] * 3
    assert is_good(tokens["access_token"])
    assert refresh(client, tokens["refresh_token"]).status == 200


def test_a_public_client_revokes_its_own() -> None:
    # Given
    client = add_client(public=True)
    token = tokens_of(client, add_user())["access_token"]
    # When
    post("nexus.revoke_token", client, token=token)
    # Then
    assert not is_good(token)


def test_who_does_not_prove_himself_revokes_nothing(invoke: Invoker) -> None:
    # Given
    token = own_token(add_client(SERVICE)).json["access_token"]
    # When
    answer = invoke("nexus.revoke_token", body=f"token={token}")
    # Then
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert is_good(token)
