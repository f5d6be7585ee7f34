"""Secrets are planted in every operation's request, in health and in outage; no log line has one."""

from __future__ import annotations

import base64
import importlib
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from datapunk import cache, limits
from datapunk.settings import settings
from datapunk.telemetry import logger

from tests.conftest import forget_connections
from tests.support.lambda_context import LambdaContext
from tests.support.samples import handler_module, load_sample, operations, set_header
from tests.support.services import Broker, Instance

JWT_PARTS = ("eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJwbGFudGVkIn0", "cGxhbnRlZC1zaWduYXR1cmU")
SECRETS = {
    "jwt": ".".join(JWT_PARTS),
    "session": "planted-session-5c1e",
    "api_key": "dpk_planted-key-77aa",
    "basic": base64.b64encode(b"client:planted-basic-13").decode(),
    "password": "planted-Passw0rd!",
    "client_secret": "planted-client-secret-9d",
    "refresh_token": "planted-refresh-31f0",
    "code": "planted-code-8e21",
    "code_verifier": "planted-verifier-" + "a" * 43,
    "registration_secret": "planted-registration-4b",
    "id_token_hint": "eyJhbGciOiJSUzI1NiJ9.cGxhbnRlZC1pZA.cGxhbnRlZC1pZC1zaWc",
    "subject_token": "planted-subject-token-6a",
    "token": "planted-token-c0",
    "csr": "-----BEGIN PRIVATE KEY-----\nplanted/private/key/2f==\n-----END PRIVATE KEY-----",
}
MEMBERS = tuple(SECRETS)[4:]
PRIVATE_KEY = "planted/private/key/2f"
"""What a log line has of the key: in JSON its line breaks are others."""
CALLER = {
    "principalId": "user:3f6c1a52-8d0e-4b7a-9c11-5e2d7f40a6b8",
    "tenant": "public",
    "roles": "admin",
    "scopes": "read write admin",
    "actors": "",
}
FORM = "application/x-www-form-urlencoded"


def _headers(event: dict[str, Any]) -> None:
    for name, value in {
        "Authorization": f"Bearer {SECRETS['jwt']}",
        "Cookie": f"session={SECRETS['session']}",
        "X-Api-Key": SECRETS["api_key"],
        "Proxy-Authorization": f"Basic {SECRETS['basic']}",
    }.items():
        set_header(event, name, value)


def _bodies(event: dict[str, Any]) -> Iterator[str]:
    """Return bodies with secrets in them: the sample's with more members, and no good ones."""
    planted = {name: SECRETS[name] for name in MEMBERS}
    kind = str(event["headers"].get("Content-Type", ""))
    if kind.startswith(FORM):
        yield f"{event['body']}&{urlencode(planted)}"
        yield urlencode({**planted, "grant_type": "authorization_code"})
        return
    try:
        sample = json.loads(event["body"] or "{}")
    except ValueError:
        sample = {}
    if isinstance(sample, dict):
        yield json.dumps({**sample, **planted})
        yield from (json.dumps({**sample, name: SECRETS[name]}) for name in MEMBERS)
    yield json.dumps([planted])
    yield json.dumps(planted)[:-5]


def _requests(operation: str) -> Iterator[dict[str, Any]]:
    """Return the sample as it is, and with secrets wherever a client can put them."""
    sample = load_sample(operation)
    yield sample
    if "httpMethod" not in sample:
        yield {**sample, **{name: SECRETS[name] for name in MEMBERS}}
        # Each alone too: among unknown members the one that is known gets nowhere.
        yield from ({**sample, name: SECRETS[name]} for name in MEMBERS)
        return
    query: dict[str, str] = {
        "access_token": SECRETS["jwt"],
        **{name: SECRETS[name] for name in MEMBERS},
    }
    for caller in (CALLER, None):
        for asked in (None, query):
            event: dict[str, Any] = json.loads(json.dumps(sample))
            _headers(event)
            event["requestContext"]["authorizer"] = caller
            event["queryStringParameters"] = asked
            event["multiValueQueryStringParameters"] = asked and {k: [v] for k, v in asked.items()}
            if event.get("body") is None:
                yield event
            else:
                yield from ({**event, "body": body} for body in _bodies(event))


def _run(operation: str) -> list[dict[str, Any]]:
    handler = importlib.import_module(handler_module(operation)).handler
    answers = []
    for event in _requests(operation):
        try:
            answers.append(handler(event, LambdaContext()))
        except Exception:  # noqa: BLE001 -- whatever it is, the log has it
            # Lambda logs what leaves a handler: so does this.
            logger().exception("the function failed")
    return answers


def _leaks(written: str, *more: str) -> list[str]:
    planted = [*SECRETS.values(), JWT_PARTS[1], JWT_PARTS[2], PRIVATE_KEY, *more]
    return [secret for secret in planted if secret in written]


QUOTING = {"lake.call_function", "lake.read_rest", "lake.write_rest"}
"""PostgREST's words quote the part of a query that cannot be read, to whoever sent it and nobody else."""


def _shown(operation: str, answers: list[dict[str, Any]]) -> str:
    """Return the bodies of all refusals and failures, without what they may quote."""
    shown = "\n".join(
        str(answer["body"])
        for answer in answers
        if isinstance(answer, dict) and int(answer.get("statusCode", 0)) >= 400
    )
    for secret in SECRETS.values() if operation in QUOTING else ():
        shown = shown.replace(secret, "")
    return shown


@pytest.mark.parametrize("operation", operations())
def test_no_line_has_a_planted_secret(
    operation: str,
    database: str,
    broker: Broker,
    instance: Instance,
    lines: io.StringIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Given
    own = [urlsplit(url).password for url in (database, broker.url, instance.url("redis"))]
    # When
    answers = _run(operation)
    # Then
    output = capfd.readouterr()
    written = lines.getvalue() + output.out + output.err
    assert written
    assert _leaks(written, *(password for password in own if password)) == []
    assert _leaks(_shown(operation, answers)) == []


@pytest.mark.parametrize("operation", operations())
def test_no_line_has_a_secret_when_all_servers_are_gone(
    operation: str,
    environment: None,
    monkeypatch: pytest.MonkeyPatch,
    lines: io.StringIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Given
    passwords = ("planted-database-1f", "planted-redis-2e", "planted-broker-3d")
    places = (
        "postgresql://u:{}@127.0.0.1:1/d",
        "redis://:{}@127.0.0.1:1/0",
        "amqp://u:{}@127.0.0.1:1/",
    )
    names = ("DATABASE_URL", "REDIS_URL", "AMQP_URL")
    for name, place, password in zip(names, places, passwords, strict=True):
        monkeypatch.setenv(name, place.format(password))
    settings.cache_clear()
    cache.forget()
    limits.forget()
    # When
    answers = _run(operation)
    # Then
    output = capfd.readouterr()
    written = lines.getvalue() + output.out + output.err
    assert written
    assert _leaks(written, *passwords) == []
    assert _leaks(_shown(operation, answers), *passwords) == []
    cache.forget()
    limits.forget()
    forget_connections()
