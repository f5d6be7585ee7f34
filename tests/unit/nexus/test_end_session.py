"""nexus.end_session: a client signs its user out, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.errors import UnauthenticatedError
from datapunk.nexus.sessions import list_sessions
from datapunk.nexus.tokens import verify_access_token

from tests.support.invoking import Answer, Invoker
from tests.support.oauth import (
    SIGNED_OUT,
    add_client,
    add_user,
    answered,
    ask,
    cookie_of,
    redeem,
    refresh,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("database")


def log_out(invoke: Invoker, cookie: str | None = None, **query: str) -> Answer:
    headers = {"Cookie": cookie} if cookie else {}
    return invoke("nexus.end_session", query=query, headers=headers)


def test_the_session_ends_with_everything_issued_in_it(invoke: Invoker) -> None:
    # Given
    client, user = add_client(), add_user()
    cookie = cookie_of(user)
    tokens: dict[str, Any] = redeem(client, answered(ask(client, cookie))["code"]).json
    # When
    answer = log_out(
        invoke,
        cookie,
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=SIGNED_OUT,
        state="a state",
    )
    # Then
    assert answer.headers["location"] == f"{SIGNED_OUT}?state=a+state"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert list_sessions(user.id) == []
    assert refresh(client, tokens["refresh_token"]).json["error"] == "invalid_grant"
    with pytest.raises(UnauthenticatedError):
        verify_access_token(tokens["access_token"])
    assert "/v1/nexus/sign-in" in ask(client, cookie).headers["location"]


def test_without_an_address_a_word_is_said(invoke: Invoker) -> None:
    # Given
    client = add_client()
    hint = tokens_of(client, add_user())["id_token"]
    # When
    answer = log_out(invoke, id_token_hint=hint, client_id=client.id)
    # Then
    assert (answer.status, answer.body) == (200, "You are signed out.\n")


def test_only_that_session_ends(invoke: Invoker) -> None:
    # Given
    client, user = add_client(), add_user()
    cookie_of(user)
    hint = tokens_of(client, user)["id_token"]
    # When
    log_out(invoke, id_token_hint=hint)
    # Then
    assert len(list_sessions(user.id)) == 1


def test_what_works_offline_goes_on_and_its_id_token_ends_the_browsers_session(
    invoke: Invoker,
) -> None:
    # Given
    client, user = add_client(), add_user()
    cookie = cookie_of(user)
    code = answered(ask(client, cookie, scope="openid read offline_access"))["code"]
    tokens = redeem(client, code).json
    # When
    log_out(invoke, cookie, id_token_hint=tokens["id_token"])
    # Then
    assert list_sessions(user.id) == []
    assert refresh(client, tokens["refresh_token"]).status == 200


def test_an_id_token_does_not_sign_another_user_out(invoke: Invoker) -> None:
    # Given
    client = add_client()
    ann, bob = add_user(), add_user("bob@example.com")
    hint = tokens_of(client, ann, scope="openid offline_access")["id_token"]
    # When
    log_out(invoke, cookie_of(bob), id_token_hint=hint)
    # Then
    assert len(list_sessions(bob.id)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"id_token_hint": ""},
        {"id_token_hint": "not.a.token"},
        {"client_id": "another"},
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": f"{SIGNED_OUT}/.."},
        {"post_logout_redirect_uri": "//evil.example"},
    ],
    ids=str,
)
def test_a_request_that_proves_nothing_signs_nobody_out(
    invoke: Invoker, changed: dict[str, str]
) -> None:
    # Given
    client, user = add_client(), add_user()
    cookie = cookie_of(user)
    hint = redeem(client, answered(ask(client, cookie))["code"]).json["id_token"]
    # When
    answer = log_out(invoke, cookie, **({"id_token_hint": hint} | changed))
    # Then
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert "location" not in answer.headers
    assert len(list_sessions(user.id)) == 1


def test_an_access_token_is_no_hint(invoke: Invoker) -> None:
    # Given
    token = tokens_of(add_client(), add_user())["access_token"]
    # When / Then
    assert log_out(invoke, id_token_hint=token).status == 400
