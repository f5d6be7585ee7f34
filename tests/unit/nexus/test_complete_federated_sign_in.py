"""GET /v1/nexus/sign-in/{provider}/callback: the flow, in both dialects, and the attacks on it."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.nexus import sessions
from datapunk.settings import settings

from tests.support.people import PASSWORD, add_user, rows
from tests.support.signing_in import Browser, RunningProvider, visit

ANN = {"sub": "acme-1", "email": "Ann@Example.com", "email_verified": True, "name": "Ann"}
GITHUB_ANN = {
    "id": 4711,
    "login": "ann",
    "email": "public@example.net",
    "emails": [
        {"email": "old@example.com", "primary": False, "verified": True},
        {"email": "ann@example.com", "primary": True, "verified": True},
    ],
}
LINKS = "SELECT issuer, subject, user_id FROM user_data.linked_accounts ORDER BY subject"


def _signed_in(browser: Browser) -> str | None:
    caller = sessions.find_session(browser.cookies.get("datapunk", ""))
    return caller.principal if caller else None


@pytest.mark.parametrize(
    ("name", "person", "subject"), [("acme", ANN, "acme-1"), ("github", GITHUB_ANN, "4711")]
)
def test_a_user_is_linked_by_his_verified_address(
    provider: RunningProvider, name: str, person: dict[str, Any], subject: str
) -> None:
    # Given
    ann = add_user()
    provider.person(**person)
    browser = Browser()
    # When
    answer = browser.through(name, return_to="/docs")
    # Then
    assert (answer.status, answer.headers["location"]) == (303, "/docs")
    assert _signed_in(browser) == ann.principal
    assert sessions.list_sessions(ann.id)[0].method == name
    assert rows(LINKS) == [{"issuer": provider.url, "subject": subject, "user_id": ann.id}]
    assert "datapunk-sign-in" not in browser.cookies


def test_once_linked_the_subject_counts_and_not_the_address(provider: RunningProvider) -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com")
    Browser().through("acme")
    provider.person(**{**ANN, "email": bob.email})
    browser = Browser()
    # When
    browser.through("acme")
    # Then
    assert _signed_in(browser) == ann.principal


@pytest.mark.parametrize("verified", [False, None, "false", 1, "yes"])
def test_an_unverified_address_links_nobody(provider: RunningProvider, verified: Any) -> None:
    # Given
    add_user()
    provider.person(**{**ANN, "email_verified": verified})
    browser = Browser()
    # When
    answer = browser.through("acme")
    # Then
    assert answer.status == 403
    assert _signed_in(browser) is None
    assert rows(LINKS) == []


@pytest.mark.parametrize(
    "emails",
    [
        [{"email": "ann@example.com", "primary": True, "verified": False}],
        [{"email": "ann@example.com", "primary": False, "verified": True}],
        [],
        {"message": "no"},
    ],
)
def test_githubs_profile_address_links_nobody(provider: RunningProvider, emails: Any) -> None:
    # Given a profile that shows somebody's address
    add_user()
    provider.person(**{**GITHUB_ANN, "email": "ann@example.com", "emails": emails})
    # When
    answer = Browser().through("github")
    # Then
    assert answer.status == 403
    assert rows(LINKS) == []


def test_a_password_set_before_the_address_was_proven_ends_with_the_link(
    provider: RunningProvider,
) -> None:
    # Given an account that somebody else prepared under Ann's address
    ann = add_user(password=PASSWORD, verified=False)
    theirs, _ = sessions.start_session(ann)
    browser = Browser()
    # When
    browser.through("acme")
    # Then
    assert _signed_in(browser) == ann.principal
    assert sessions.find_session(theirs) is None
    assert rows("SELECT password_hash, email_verified FROM nexus.users") == [
        {"password_hash": None, "email_verified": True}
    ]


def test_strangers_are_turned_away_unless_the_provider_brings_users(
    provider: RunningProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    stranger = Browser()
    refused = stranger.through("acme")
    monkeypatch.setenv("SIGN_IN_PROVIDERS", provider.settings(tenant="public", roles=["viewer"]))
    settings.cache_clear()
    # When
    welcome = Browser().through("acme")
    # Then
    assert (refused.status, welcome.status) == (403, 303)
    statement = "SELECT email, tenant, email_verified FROM nexus.users"
    assert rows(statement) == [
        {"email": "ann@example.com", "tenant": "public", "email_verified": True}
    ]


def test_a_disabled_user_stays_out(provider: RunningProvider) -> None:
    # Given
    ann = add_user()
    Browser().through("acme")
    rows("UPDATE nexus.users SET disabled_at = now() WHERE id = %s RETURNING 1", [ann.id])
    # When
    answer = Browser().through("acme")
    # Then
    assert answer.status == 403


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"claims": {"nonce": "of another sign-in"}}, id="foreign nonce"),
        pytest.param({"claims": {"nonce": None}}, id="no nonce"),
        pytest.param({"claims": {"aud": "another-client"}}, id="token of another client"),
        pytest.param({"claims": {"aud": ["datapunk-test", "other"]}}, id="no authorized party"),
        pytest.param({"claims": {"azp": "another-client"}}, id="another authorized party"),
        pytest.param({"claims": {"iss": "https://evil.example"}}, id="another issuer"),
        pytest.param({"claims": {"exp": 1_700_000_000}}, id="expired"),
        pytest.param({"claims": {"exp": None}}, id="without end"),
        pytest.param({"claims": {"sub": None}}, id="of nobody"),
        pytest.param({"signature": "none"}, id="unsigned"),
        pytest.param({"signature": "shared"}, id="signed with the public key as a secret"),
        pytest.param({"signature": "foreign"}, id="signed by another key"),
        pytest.param({"header": {"kid": "unknown"}}, id="unknown key"),
        pytest.param(
            {"signature": "foreign", "header": {"kid": "x", "jku": "https://evil.example/jwks"}},
            id="brings its own keys",
        ),
    ],
)
def test_a_token_that_proves_nothing_signs_nobody_in(
    provider: RunningProvider, faults: dict[str, Any]
) -> None:
    # Given
    add_user()
    provider.faults(**faults)
    browser = Browser()
    # When
    answer = browser.through("acme")
    # Then
    assert answer.status == 401
    assert _signed_in(browser) is None
    assert rows(LINKS) == []


@pytest.mark.parametrize("name", ["acme", "github"])
def test_an_answer_works_once(provider: RunningProvider, name: str) -> None:
    # Given
    add_user()
    provider.person(**(ANN if name == "acme" else GITHUB_ANN))
    browser = Browser()
    location = visit(browser.begin(name).headers["location"])
    kept = dict(browser.cookies)
    first = browser.come_back(location)
    # When
    browser.cookies |= kept
    second = browser.come_back(location)
    # Then
    assert (first.status, second.status) == (303, 403)


def test_a_callback_in_another_browser_is_refused(provider: RunningProvider) -> None:
    # Given an attacker's own answer, which he has his victim open
    add_user()
    attacker, victim = Browser(), Browser()
    location = visit(attacker.begin("acme").headers["location"])
    victim.begin("acme")
    # When
    answers = [Browser().come_back(location), victim.come_back(location)]
    # Then
    assert [answer.status for answer in answers] == [403, 403]
    assert _signed_in(victim) is None


def test_an_answer_at_another_providers_address_is_refused(provider: RunningProvider) -> None:
    # Given the mix-up: a sign-in begun at one provider ends at the address of another
    add_user()
    browser = Browser()
    location = visit(browser.begin("acme").headers["location"])
    # When
    answer = browser.come_back(location, provider="github")
    # Then
    assert answer.status == 403
    assert provider.seen()[-1]["path"] == "/authorize"


@pytest.mark.parametrize("issuer", ["https://evil.example", None])
def test_an_answer_that_names_another_issuer_or_none_is_refused(
    provider: RunningProvider, issuer: str | None
) -> None:
    # Given
    add_user()
    provider.faults(answer={"iss": issuer})
    # When
    answer = Browser().through("acme")
    # Then
    assert answer.status == 403


def test_a_code_of_another_sign_in_does_not_fit(provider: RunningProvider) -> None:
    # Given a code that was stolen on its way to somebody else
    add_user()
    stolen = visit(Browser().begin("acme").headers["location"])
    code = stolen.partition("code=")[2].partition("&")[0]
    provider.faults(answer={"code": code})
    # When
    answer = Browser().through("acme")
    # Then the provider sees another verifier than the code was asked with
    assert answer.status == 401


@pytest.mark.parametrize("name", ["acme", "github"])
def test_a_refusal_and_an_outage_are_told_apart(provider: RunningProvider, name: str) -> None:
    # Given
    add_user()
    provider.faults(answer={"error": "access_denied", "code": None})
    refused = Browser().through(name)
    provider.faults(answer={"code": "made-up"})
    made_up = Browser().through(name)
    provider.faults(status=500)
    # When
    away = Browser().through(name)
    # Then
    assert (refused.status, made_up.status, away.status) == (401, 401, 503)


def test_parameters_that_providers_add_do_no_harm(provider: RunningProvider) -> None:
    # Given what Google adds
    add_user()
    provider.faults(answer={"scope": "email openid", "authuser": "0", "prompt": "none"})
    # When
    answer = Browser().through("acme")
    # Then
    assert answer.status == 303


def test_every_attempt_is_in_the_audit_trail(provider: RunningProvider) -> None:
    # Given
    ann = add_user()
    Browser().through("acme")
    provider.faults(claims={"nonce": "another"})
    # When
    Browser().through("acme")
    # Then
    found = rows("SELECT principal, outcome FROM nexus.audit WHERE action = 'nexus.sign_in'")
    assert {"principal": ann.principal, "outcome": "done"} in found
    assert "denied" in {row["outcome"] for row in found}
