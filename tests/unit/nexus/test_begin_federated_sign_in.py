"""GET /v1/nexus/sign-in/{provider}."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from datapunk import cache
from datapunk.nexus.federation import oidc
from datapunk.settings import settings

from tests.support.signing_in import Browser, RunningProvider


def _configured(monkeypatch: pytest.MonkeyPatch, providers: str) -> None:
    monkeypatch.setenv("SIGN_IN_PROVIDERS", providers)
    settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "path", "scope"),
    [
        ("acme", "/authorize", "openid email profile"),
        ("github", "/login/oauth/authorize", "read:user user:email"),
    ],
)
def test_the_browser_is_led_to_the_provider(
    provider: RunningProvider, name: str, path: str, scope: str
) -> None:
    # Given
    browser = Browser()
    # When
    answer = browser.begin(name, return_to="/docs")
    # Then
    assert answer.status == 303
    target = urlsplit(answer.headers["location"])
    query = {key: values[0] for key, values in parse_qs(target.query).items()}
    assert f"{target.scheme}://{target.netloc}{target.path}" == provider.url + path
    assert (query["response_type"], query["scope"]) == ("code", scope)
    assert query["redirect_uri"] == f"http://localhost:8080/v1/nexus/sign-in/{name}/callback"
    assert (query["code_challenge_method"], len(query["code_challenge"])) == ("S256", 43)
    assert browser.cookies["datapunk-sign-in"] == query["state"]
    assert ("nonce" in query) == (name == "acme")


def test_two_sign_ins_share_nothing(provider: RunningProvider) -> None:
    # Given
    locations = [Browser().begin("acme").headers["location"] for _ in range(2)]
    # When
    first, second = (parse_qs(urlsplit(location).query) for location in locations)
    # Then
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


def test_what_is_kept_lasts_ten_minutes_and_does_not_name_the_state(
    provider: RunningProvider,
) -> None:
    # Given
    browser = Browser()
    # When
    browser.begin("acme")
    # Then
    keys = list(cache.client().scan_iter("sign-in:state:*"))
    assert keys
    assert all(0 < int(cache.client().ttl(key)) <= 600 for key in keys)
    assert browser.cookies["datapunk-sign-in"] not in str(keys)


def test_it_ends_at_own_paths_only(provider: RunningProvider) -> None:
    # Given / When
    answer = Browser().begin("acme", return_to="https://evil.example/")
    # Then
    assert answer.status == 422


def test_who_is_not_configured_is_not_found(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    _configured(monkeypatch, "")
    # When
    answers = [Browser().begin(name) for name in ("google", "acme")]
    # Then
    assert [answer.status for answer in answers] == [404, 404]


def test_a_provider_that_is_away_is_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    oidc.forget()
    client = '"client_id": "a", "client_secret": "b"'
    _configured(monkeypatch, f'{{"acme": {{"issuer": "http://127.0.0.1:1", {client}}}}}')
    # When
    answer = Browser().begin("acme")
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "acme")


@pytest.mark.parametrize(
    ("providers", "told"),
    [
        ("no json", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('{"acme": 1}', "not a JSON object"),
        ('{"acme": {"client_id": "a", "client_secret": "s3cr3t"}}', "issuer"),
        (
            '{"acme": {"issuer": "http://acme.example", "client_id": "a", "client_secret": "s3cr3t"}}',
            "issuer",
        ),
        ('{"google": {"client_id": "a", "client_secret": "s3cr3t", "colour": 1}}', "colour"),
    ],
)
def test_a_bad_setting_is_told_to_operators_without_its_secrets(
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    providers: str,
    told: str,
) -> None:
    # Given
    _configured(monkeypatch, providers)
    # When
    answer = Browser().begin("google")
    # Then
    assert (answer.status, answer.json["code"]) == (500, "configuration")
    assert told in answer.json["detail"]
    assert "s3cr3t" not in answer.body + caplog.text


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
    ],
)
def test_metadata_of_somebody_else_is_not_believed(
    provider: RunningProvider, metadata: dict[str, str]
) -> None:
    # Given
    provider.faults(metadata=metadata)
    # When
    answer = Browser().begin("acme")
    # Then
    assert (answer.status, answer.json["code"]) == (500, "configuration")
