"""Secrets that the platform itself issues or checks are in no log line, whether it says yes or no."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from datapunk.nexus.federation import oidc
from datapunk.settings import settings

from tests.support import oauth, workloads
from tests.support.identity_provider import CLIENT_SECRET
from tests.support.invoking import Invoker
from tests.support.people import PASSWORD, add_user
from tests.support.signing_in import Browser, RunningProvider, running_provider, visit

WRONG = "a wrong password that somebody else may have"


@pytest.fixture
def written(lines: io.StringIO, capfd: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Return a list for secrets; at the end none of them may be in what was logged or printed."""
    secrets: list[str] = []
    yield secrets
    output = capfd.readouterr()
    log = lines.getvalue() + output.out + output.err
    assert log
    assert all(len(secret) > 12 for secret in secrets)
    assert [secret for secret in secrets if secret in log] == []


@pytest.fixture
def provider(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningProvider]:
    """Return a provider to sign in with, in both dialects."""
    with running_provider() as running:
        oidc.forget()
        monkeypatch.setenv("SIGN_IN_PROVIDERS", running.settings())
        settings.cache_clear()
        yield running


def test_sign_in_with_a_password(database: str, written: list[str]) -> None:
    # Given
    add_user(password=PASSWORD)
    browser = Browser()
    # When
    statuses = [
        browser.sign_in("ann@example.com", WRONG).status,
        browser.sign_in(f"{WRONG}@example.com", WRONG).status,
        browser.sign_in("ann@example.com", PASSWORD).status,
        browser.send({"email": WRONG, "password": PASSWORD}).status,
    ]
    # Then
    assert statuses == [401, 401, 303, 403]
    written += [PASSWORD, WRONG, browser.cookies["datapunk"].partition(".")[2]]


@pytest.mark.parametrize("name", ["acme", "github"])
def test_sign_in_with_a_provider_that_says_yes_no_or_nothing(
    provider: RunningProvider, name: str, written: list[str]
) -> None:
    # Given
    statuses = []
    for faults in (
        {"signature": "foreign"},
        {"answer": {"code": "a-made-up-code"}},
        {"status": 500},
    ):
        provider.faults()
        browser = Browser()
        location = browser.begin(name).headers["location"]
        provider.faults(**faults)
        back = visit(location)
        # When
        statuses.append(browser.come_back(back).status)
        query = parse_qs(urlsplit(back).query)
        written += [query["code"][0], query["state"][0]]
    # Then
    assert statuses[1:] == [401, 503]
    written.append(CLIENT_SECRET)


def test_codes_verifiers_and_tokens_of_every_kind(
    invoke: Invoker, database: str, written: list[str]
) -> None:
    # Given
    client, service = oauth.add_client(), oauth.add_client(oauth.SERVICE)
    cookie = oauth.cookie_of(oauth.add_user())
    code = oauth.answered(oauth.ask(client, cookie))["code"]
    # When
    tokens = oauth.redeem(client, code).json
    exchanged = oauth.exchange(service, tokens["access_token"]).json["access_token"]
    statuses = [
        oauth.redeem(client, code).status,
        oauth.refresh(client, tokens["refresh_token"]).status,
        oauth.exchange(service, tokens["id_token"]).status,
        oauth.post("nexus.introspect_token", service, token=exchanged).status,
        oauth.post("nexus.revoke_token", service, token=tokens["refresh_token"]).status,
        invoke(
            "nexus.get_userinfo", headers={"Authorization": f"Bearer {tokens['id_token']}"}
        ).status,
        invoke("nexus.end_session", query={"id_token_hint": tokens["id_token"]}).status,
    ]
    # Then
    assert statuses[:3] == [400, 400, 400]
    assert max(statuses) < 500
    secrets = [client.client_secret, service.client_secret, cookie.partition(".")[2]]
    written += [code, oauth.VERIFIER, exchanged, *(secret for secret in secrets if secret)]
    for token in (tokens["access_token"], tokens["id_token"], tokens["refresh_token"]):
        # The signature too: a token without it can be put together again.
        written += [token, token.rpartition(".")[2]]


@pytest.mark.usefixtures("authority")
def test_what_certificates_are_asked_with(written: list[str]) -> None:
    # Given a service that sends its private key in place of the request
    admin = workloads.administrator()
    secret = workloads.register(admin).json["registration_secret"]
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    # When
    answers = [workloads.ask(secret, pem), workloads.ask(secret[::-1]), workloads.ask(secret)]
    # Then
    assert [answer.status for answer in answers] == [422, 401, 201]
    inner = pem.splitlines()[1]
    assert inner not in answers[0].body
    written += [secret, secret[::-1], inner]
