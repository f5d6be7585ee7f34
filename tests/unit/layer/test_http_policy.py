"""The edge of an HTTP function lets in whom the policy lets in, whatever stands before the function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from datapunk.http import http_function
from datapunk.problems import PROBLEM_JSON
from datapunk.settings import settings

from tests.support.lambda_context import LambdaContext

READER = {"principalId": "user:ada", "tenant": "acme", "roles": "editor", "scopes": "read"}
VIEWER = {"principalId": "user:ada", "tenant": "acme", "roles": "viewer", "scopes": "read write"}
WRITER = {"principalId": "user:ada", "tenant": "acme", "roles": "editor", "scopes": "read write"}
ADMIN = {"principalId": "user:ada", "tenant": "acme", "roles": "admin", "scopes": "read admin"}


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Allow administration from one network only."""
    monkeypatch.setenv("ADMIN_NETWORKS", "192.0.2.0/24 2001:db8::/32")
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def _call(
    operation: str,
    authorizer: dict[str, str] | None,
    *,
    address: str = "192.0.2.1",
    headers: dict[str, str] | None = None,
    body: str | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the answer of an operation, and what reached its handler."""
    reached: list[str] = []
    app, handler = http_function(operation)

    @app.get("/things")
    def read() -> dict[str, str]:
        reached.append(app.caller.tenant)
        return {}

    named = headers or {}
    event = {
        "resource": "/things",
        "path": "/things",
        "httpMethod": "GET",
        "headers": named,
        "multiValueHeaders": {name: [value] for name, value in named.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"authorizer": authorizer, "identity": {"sourceIp": address}},
        "body": body,
        "isBase64Encoded": False,
    }
    return handler(event, LambdaContext()), reached


def _refusal(answer: dict[str, Any]) -> tuple[int, str, list[str] | None]:
    assert answer["multiValueHeaders"]["Content-Type"] == [PROBLEM_JSON]
    document = json.loads(answer["body"])
    assert document["status"] == answer["statusCode"]
    return (
        answer["statusCode"],
        document["code"],
        answer["multiValueHeaders"].get("WWW-Authenticate"),
    )


def test_who_may_gets_in() -> None:
    # Given / When
    answer, reached = _call("lake.insert_records", WRITER)
    # Then
    assert (answer["statusCode"], reached) == (200, ["acme"])


@pytest.mark.parametrize("authorizer", [None, {}, {"principalId": "", "scopes": "read write"}])
def test_without_a_caller_nobody_gets_in(authorizer: dict[str, str] | None) -> None:
    # Given / When
    answer, reached = _call("lake.insert_records", authorizer)
    # Then
    assert _refusal(answer) == (401, "unauthenticated", ["Bearer"])
    assert reached == []


def test_without_a_caller_public_operations_answer() -> None:
    # Given / When
    answer, reached = _call("lake.check_health", None)
    # Then
    assert (answer["statusCode"], reached) == (200, ["public"])


def test_a_token_with_too_small_a_scope_is_told_so() -> None:
    # Given / When
    answer, reached = _call("lake.insert_records", READER)
    # Then
    challenge = 'Bearer error="insufficient_scope", scope="write"'
    assert _refusal(answer) == (403, "forbidden", [challenge])
    assert reached == []


def test_another_token_does_not_help_who_lacks_the_role() -> None:
    # Given / When
    answer, reached = _call("lake.insert_records", VIEWER)
    # Then
    assert _refusal(answer) == (403, "forbidden", None)
    assert reached == []


def test_who_may_not_learns_nothing_about_the_body() -> None:
    # Given
    answer, _ = _call("lake.insert_records", READER, body="{not json")
    # When / Then
    assert answer["statusCode"] == 403


def test_an_operation_without_a_rule_is_closed() -> None:
    # Given / When
    answer, reached = _call("lake.forgotten", ADMIN)
    # Then
    assert _refusal(answer)[:2] == (403, "forbidden")
    assert reached == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Tenant": "umbrella", "X-Principal": "user:root"},
        {"principalId": "user:root", "tenant": "umbrella", "roles": "admin", "scopes": "admin"},
        {"X-Amzn-Authorizer-PrincipalId": "user:root", "X-Forwarded-User": "root"},
        {"Authorization": "Bearer anything", "Cookie": "tenant=umbrella"},
    ],
)
def test_headers_say_nothing_about_the_caller(headers: dict[str, str]) -> None:
    # Given / When
    answer, reached = _call("lake.insert_records", WRITER, headers=headers)
    refused, nobody = _call("lake.insert_records", None, headers=headers)
    # Then
    assert (answer["statusCode"], reached) == (200, ["acme"])
    assert (refused["statusCode"], nobody) == (401, [])


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8:1::1"])
def test_administration_from_an_allowed_network(
    database: str, networks: pytest.MonkeyPatch, address: str
) -> None:
    # Given / When
    answer, reached = _call("nexus.create_user", ADMIN, address=address)
    # Then
    assert (answer["statusCode"], reached) == (200, ["acme"])


@pytest.mark.parametrize(
    "address", ["198.51.100.1", "2001:db9::1", "", "unix:", "::ffff:192.0.2.1"]
)
def test_administration_from_elsewhere_is_refused(
    networks: pytest.MonkeyPatch, address: str
) -> None:
    # Given / When
    answer, reached = _call("nexus.create_user", ADMIN, address=address)
    # Then
    assert _refusal(answer)[:2] == (403, "forbidden")
    assert "from your network" in json.loads(answer["body"])["detail"]
    assert reached == []


def test_who_lacks_a_scope_is_told_so_before_anything_about_networks() -> None:
    # Given / When
    answer, _ = _call("nexus.create_user", {**ADMIN, "scopes": "read"})
    # Then
    challenge = 'Bearer error="insufficient_scope", scope="admin"'
    assert _refusal(answer) == (403, "forbidden", [challenge])
    assert json.loads(answer["body"])["detail"] == "The credentials lack the scope admin."


def test_other_work_may_come_from_anywhere(networks: pytest.MonkeyPatch) -> None:
    # Given / When
    answer, _ = _call("lake.insert_records", WRITER, address="198.51.100.1")
    # Then
    assert answer["statusCode"] == 200
