"""nexus.begin_authorization: a code for a signed-in user, or a redirection that says why not."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.nexus.users import disable_user

from tests.support.invoking import Invoker
from tests.support.oauth import (
    CALLBACK,
    SERVICE,
    add_client,
    add_tenant,
    add_user,
    answered,
    ask,
    challenge,
    cookie_of,
)

pytestmark = pytest.mark.usefixtures("database")


def test_a_signed_in_user_goes_back_with_a_code(invoke: Invoker) -> None:
    # Given
    client, cookie = add_client(), cookie_of(add_user())
    # When
    answer = ask(client, cookie, state="x y&z=ä")
    # Then the state comes back to the letter, and the server says who it is (RFC 9207)
    location = answer.headers["location"]
    assert location.startswith(f"{CALLBACK}?")
    found = answered(answer)
    assert set(found) == {"code", "state", "iss"}
    assert (found["state"], found["iss"]) == ("x y&z=ä", "http://localhost:8080")
    assert len(found["code"]) >= 43
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_query_of_the_registered_address_is_kept() -> None:
    # Given
    address = "https://app.example.com/callback?tab=a%20b"
    client = add_client(redirect_uris=[address])
    # When
    answer = ask(client, cookie_of(add_user()), redirect_uri=address)
    # Then
    assert answer.headers["location"].startswith(f"{address}&code=")


def test_who_is_not_signed_in_signs_in_first_and_comes_back() -> None:
    # Given
    client = add_client()
    # When
    answer = ask(client, state="s", prompt="login")
    # Then
    location = urlsplit(answer.headers["location"])
    assert (location.netloc, location.path) == ("localhost:8080", "/v1/nexus/sign-in")
    (back,) = parse_qs(location.query)["return_to"]
    path, _, query = back.partition("?")
    again = parse_qs(query)
    assert path == "/v1/nexus/oauth/authorize"
    assert (again["client_id"], again["state"]) == ([client.id], ["s"])
    assert "prompt" not in again


def test_a_forged_cookie_is_none() -> None:
    # Given
    client, cookie = add_client(), cookie_of(add_user())
    # When / Then
    for forged in (cookie[:-1] + ("A" if cookie[-1] != "A" else "B"), f"{cookie}; {cookie}"):
        answer = ask(client, forged)
        assert "/v1/nexus/sign-in" in answer.headers["location"]


def test_prompt_none_asks_nobody() -> None:
    # Given / When
    found = answered(ask(add_client(), prompt="none"))
    # Then
    assert (found["error"], found["state"]) == ("login_required", "a state")


def test_a_sign_in_that_is_too_long_ago_is_done_again() -> None:
    # Given
    client, cookie = add_client(), cookie_of(add_user())
    # When / Then
    assert "code" in answered(ask(client, cookie, max_age="60"))
    assert "/v1/nexus/sign-in" in ask(client, cookie, max_age="0").headers["location"]
    assert "/v1/nexus/sign-in" in ask(client, cookie, prompt="login").headers["location"]
    for nonsense in ("-1", "1.5", "9" * 5000):
        answer = ask(client, cookie, max_age=nonsense)
        assert answered(answer)["error"] == "invalid_request", nonsense[:9]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://app.example.com/r"}, "request_uri_not_supported"),
        ({"nonce": "n" * 3000}, "invalid_request"),
    ],
    ids=str,
)
def test_a_wrong_request_goes_back_with_its_error(
    changed: dict[str, str | None], error: str
) -> None:
    # Given
    client, cookie = add_client(), cookie_of(add_user())
    # When
    found = answered(ask(client, cookie, **changed))
    # Then
    assert (found["error"], found["state"]) == (error, "a state")
    assert found["iss"] == "http://localhost:8080"
    assert "code" not in found


def test_a_client_without_this_grant_gets_no_code() -> None:
    # Given
    client = add_client(SERVICE, redirect_uris=[CALLBACK])
    # When
    found = answered(ask(client, cookie_of(add_user()), scope="read"))
    # Then
    assert found["error"] == "unauthorized_client"


def test_a_user_of_another_tenant_is_denied() -> None:
    # Given
    add_tenant("acme")
    client, stranger = add_client(), add_user("eve@example.com", tenant="acme")
    # When
    found = answered(ask(client, cookie_of(stranger)))
    # Then
    assert found["error"] == "access_denied"


def test_a_disabled_user_is_denied() -> None:
    # Given
    client, user = add_client(), add_user()
    cookie = cookie_of(user)
    with transaction(SYSTEM) as tx:
        disable_user(tx, user.id)
    # When
    found = answered(ask(client, cookie))
    # Then
    assert found["error"] == "access_denied"


def test_an_app_on_this_machine_may_choose_its_port_and_nothing_else() -> None:
    # Given (RFC 8252, 7.3)
    client = add_client(redirect_uris=["http://127.0.0.1/callback"], public=True)
    cookie = cookie_of(add_user())
    # When / Then
    assert "code" in answered(ask(client, cookie, redirect_uri="http://127.0.0.1:51004/callback"))
    for other in (
        "http://127.0.0.1:51004/callback/",
        "http://127.0.0.1:51004/Callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:51004@evil.example/callback",
        "http://localhost:51004/callback",
        "https://127.0.0.1:51004/callback",
    ):
        assert ask(client, cookie, redirect_uri=other).status == 400, other


def test_a_parameter_given_twice_is_refused(invoke: Invoker) -> None:
    # Given
    client = add_client()
    query = {
        "response_type": ["code"],
        "client_id": [client.id, client.id],
        "redirect_uri": [CALLBACK],
        "code_challenge": [challenge()],
        "code_challenge_method": ["S256"],
    }
    # When
    answer = invoke("nexus.begin_authorization", query=query)
    # Then
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


def test_what_is_kept_of_a_code_is_its_digest() -> None:
    # Given
    code = answered(ask(add_client(), cookie_of(add_user())))["code"]
    # When
    with transaction(SYSTEM) as tx:
        row = tx.one("SELECT c::text AS code FROM nexus.oauth_codes AS c") or {}
        seconds = tx.value("SELECT extract(epoch FROM expires_at - now()) FROM nexus.oauth_codes")
    # Then
    assert code not in row["code"]
    assert 50 < seconds <= 60
