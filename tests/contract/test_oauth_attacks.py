"""Attacks of RFC 9700 (OAuth 2.0 Security Best Current Practice) on the authorization server.

Those on the token itself (key confusion, poisoned key sets, substituted tokens) are in
`tests/unit/layer/test_tokens.py`.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest
from datapunk.errors import UnauthenticatedError
from datapunk.nexus.tokens import verify_access_token

from tests.support.invoking import Invoker
from tests.support.oauth import (
    CALLBACK,
    SERVICE,
    VERIFIER,
    add_client,
    add_user,
    answered,
    ask,
    challenge,
    code_for,
    cookie_of,
    exchange,
    post,
    redeem,
    refresh,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("database")
ATTACKERS = "attackers-own-verifier-attackers-own-verifier-1"


def is_good(token: str) -> bool:
    try:
        verify_access_token(token)
    except UnauthenticatedError:
        return False
    return True


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/",
        "https://app.example.com/callback/..",
        "https://app.example.com/callback?x=1",
        "https://app.example.com/callback#x",
        "https://app.example.com/Callback",
        "https://APP.example.com/callback",
        "https://app.example.com:443/callback",
        "https://app.example.com.evil.example/callback",
        "https://app.example.com@evil.example/callback",
        "https://app.example.com/callback%0d%0aLocation:%20https://evil.example",
        "http://app.example.com/callback",
        "//app.example.com/callback",
        "javascript:alert(1)",
        "https://app.example.com/call*",
    ],
)
def test_4_1_and_4_11_nobody_is_sent_to_an_address_that_is_not_registered(uri: str) -> None:
    # Given a user who is signed in, so that a code would be at stake
    client, cookie = add_client(), cookie_of(add_user())
    # When
    for other in ({}, {"scope": "nonsense"}, {"response_type": "token"}, {"prompt": "none"}):
        answer = ask(client, cookie, redirect_uri=uri, **other)
        # Then not even an error goes there
        assert (answer.status, "location" in answer.headers) == (400, False), other


def test_4_2_the_code_leaks_to_no_third_page() -> None:
    # Given / When
    answer = ask(add_client(), cookie_of(add_user()))
    # Then
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.body == ""


def test_4_4_mix_up_every_answer_says_which_server_it_is_from(invoke: Invoker) -> None:
    # Given
    client, cookie = add_client(), cookie_of(add_user())
    metadata = invoke("nexus.describe_issuer").json
    # When
    success, failure = ask(client, cookie), ask(client, cookie, scope="nonsense")
    # Then
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert answered(success)["iss"] == answered(failure)["iss"] == metadata["issuer"]


def test_4_5_a_code_replayed_revokes_what_it_gave() -> None:
    # Given a code that was used, and what came of it
    client, service = add_client(), add_client(SERVICE)
    code = code_for(client, add_user())
    tokens = redeem(client, code).json
    later = refresh(client, tokens["refresh_token"]).json
    exchanged = exchange(service, later["access_token"]).json["access_token"]
    assert is_good(tokens["access_token"])
    # When
    replayed = redeem(client, code)
    # Then
    assert (replayed.status, replayed.json["error"]) == (400, "invalid_grant")
    assert not is_good(tokens["access_token"])
    assert not is_good(later["access_token"])
    assert not is_good(exchanged)
    assert refresh(client, later["refresh_token"]).json["error"] == "invalid_grant"


def test_4_5_and_4_14_of_many_at_once_one_at_most_succeeds() -> None:
    # Given a code, a refresh token, and four environments that get each of them twice
    client, user = add_client(), add_user()
    code = code_for(client, user)
    token = tokens_of(client, user)["refresh_token"]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as environments:
        # When
        codes = list(environments.map(redeem, [client] * 8, [code] * 8))
        tokens = list(environments.map(refresh, [client] * 8, [token] * 8))
    # Then
    for answers in (codes, tokens):
        assert Counter(answer.status for answer in answers) == {200: 1, 400: 7}
        (issued,) = (answer.json for answer in answers if answer.status == 200)
        # Then the others were replays, so what the one got is worth nothing
        assert not is_good(issued["access_token"])


def test_4_5_a_code_of_the_attackers_fits_no_session_of_the_victims() -> None:
    # Given a code that the attacker got for himself and injects at the victim's callback (also: CSRF)
    client, attacker = add_client(), add_user("eve@example.com")
    code = code_for(client, attacker, code_challenge=challenge(ATTACKERS))
    # When the victim's client redeems it with the verifier of the victim's session
    answer = redeem(client, code, code_verifier=VERIFIER)
    # Then
    assert answer.json["error"] == "invalid_grant"


def test_4_5_a_code_is_good_for_its_client_only() -> None:
    # Given
    client, other = add_client(), add_client()
    code = code_for(client, add_user())
    # When / Then
    assert redeem(other, code).json["error"] == "invalid_grant"


def test_4_7_the_state_comes_back_to_the_letter() -> None:
    # Given what a client binds to the browser's session
    state = "s%20t+a=t&e;\u00e4 \"<'>"
    # When
    for cookie in (cookie_of(add_user()), None):
        # Then also when the answer is an error
        answer = ask(add_client(), cookie, state=state, prompt="none")
        assert answered(answer)["state"] == state


@pytest.mark.parametrize(
    "downgrade",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
    ],
    ids=str,
)
@pytest.mark.parametrize("public", [True, False], ids=["public", "confidential"])
def test_4_8_pkce_cannot_be_left_out_or_weakened(
    downgrade: dict[str, str | None], *, public: bool
) -> None:
    # Given / When
    found = answered(ask(add_client(public=public), cookie_of(add_user()), **downgrade))
    # Then
    assert found["error"] == "invalid_request"
    assert "code" not in found


def test_4_8_a_code_with_a_challenge_is_not_redeemed_without_its_verifier() -> None:
    # Given
    client = add_client()
    code = code_for(client, add_user())
    # When / Then
    assert redeem(client, code, code_verifier=None).json["error"] == "invalid_request"
    assert redeem(client, code, code_verifier=challenge()).json["error"] == "invalid_grant"


def test_4_9_tokens_of_one_kind_do_not_pass_for_another(invoke: Invoker) -> None:
    # Given
    client, service = add_client(), add_client(SERVICE)
    tokens = tokens_of(client, add_user())
    # When / Then an ID token and a refresh token open nothing
    for name in ("id_token", "refresh_token"):
        bearer = {"Authorization": f"Bearer {tokens[name]}"}
        assert invoke("nexus.get_userinfo", headers=bearer).status == 401
        assert exchange(service, tokens[name]).json["error"] == "invalid_grant"
    # When / Then an access token refreshes nothing and is no code
    assert refresh(client, tokens["access_token"]).json["error"] == "invalid_grant"
    assert redeem(client, tokens["access_token"]).json["error"] == "invalid_grant"
    assert redeem(client, tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_4_12_a_redirection_never_repeats_a_form(invoke: Invoker) -> None:
    # Given / When
    answer = ask(add_client(), cookie_of(add_user()))
    # Then 307 would send a form's fields on
    assert answer.status == 302


def test_4_14_a_refresh_token_replayed_revokes_its_family() -> None:
    # Given a thief and a client with the same token, whoever comes first
    client = add_client(public=True)
    stolen = tokens_of(client, add_user())
    following = refresh(client, stolen["refresh_token"]).json
    assert is_good(following["access_token"])
    # When
    replayed = refresh(client, stolen["refresh_token"])
    # Then
    assert (replayed.status, replayed.json["error"]) == (400, "invalid_grant")
    assert refresh(client, following["refresh_token"]).json["error"] == "invalid_grant"
    assert not is_good(stolen["access_token"])
    assert not is_good(following["access_token"])


def test_4_14_a_refresh_token_in_other_hands_is_revoked() -> None:
    # Given
    client, other = add_client(), add_client()
    token = tokens_of(client, add_user())["refresh_token"]
    # When
    answer = refresh(other, token)
    # Then
    assert answer.json["error"] == "invalid_grant"
    assert refresh(client, token).json["error"] == "invalid_grant"


def test_2_4_the_password_grant_is_gone() -> None:
    # Given / When
    answer = post(
        "nexus.issue_token",
        add_client(),
        grant_type="password",
        username="ann@example.com",
        password="a password",
    )
    # Then
    assert answer.json["error"] == "unsupported_grant_type"


def test_2_1_2_the_implicit_grant_is_gone() -> None:
    # Given / When
    answer = ask(add_client(), cookie_of(add_user()), response_type="token")
    # Then
    assert answered(answer)["error"] == "unsupported_response_type"
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    assert "access_token" not in answer.headers["location"]
