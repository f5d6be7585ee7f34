"""Secrets in log lines become stars, and nothing else does."""

from __future__ import annotations

import json

import pytest
from datapunk.telemetry.redaction import STARS, redact

SECRET = "h0rse-battery.staple_9"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://datapunk:{SECRET}@127.0.0.1:5432/datapunk",
        f"redis://:{SECRET}@127.0.0.1/0",
        f"Authorization: Bearer {SECRET}",
        f"authorization: basic {SECRET}",
        f"password={SECRET}&next=1",
        f"client_secret={SECRET}",
        f"{{'password': '{SECRET}'}}",
        f"SecretValue(password_hash='{SECRET}')",
        f"grant_type=refresh_token&refresh_token={SECRET}",
        f"Cookie: session={SECRET}",
        f"code_verifier={SECRET}",
        f"X-Api-Key: {SECRET}",
        f"dpk_abc.{SECRET}",
        f"-----BEGIN PRIVATE KEY----- {SECRET} -----END PRIVATE KEY-----",
    ],
)
def test_secrets_become_stars_wherever_they_stand(text: str) -> None:
    # Given a line of the log
    for line in (
        text,
        json.dumps({"exception": text}),
        json.dumps({"exception": json.dumps(text)}),
    ):
        # When
        redacted = redact(line)
        # Then
        assert SECRET not in redacted
        assert STARS in redacted


def test_a_token_without_a_name_is_known_by_its_form() -> None:
    # Given / When / Then
    assert redact(f"unexpected {JWT} here") == f"unexpected {STARS} here"


def test_nested_json_stays_json() -> None:
    # Given
    line = json.dumps({"exception": f'body {{"refresh_token": "{SECRET}"}}', "rows": 3})
    # When
    read = json.loads(redact(line))
    # Then
    assert read == {"exception": f'body {{"refresh_token": "{STARS}"}}', "rows": 3}


@pytest.mark.parametrize(
    "line",
    [
        '{"message":"request","endpoint":"POST /v1/nexus/oauth/token","status":200}',
        '{"message":"the token has expired","principal":"user:1"}',
        '{"reason":"DATABASE_CREDENTIALS refers to secretsmanager:arn:aws:secretsmanager:x"}',
        '{"token":null,"secret":true}',
        '{"url":"https://api.example.com:8443/v1/lake"}',
        '{"message":"ordinary"}',
    ],
)
def test_other_lines_stay_as_they_are(line: str) -> None:
    # Given / When / Then
    assert redact(line) == line
