"""Who gets in: every route of the API's own description, without and with tokens of several kinds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infrastructure.documents.openapi import FILE
from tests.e2e.clone import Clone
from tests.e2e.web import Web, assert_problem

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
METHODS = {"get", "post", "put", "patch", "delete"}


def _operations(*, closed: bool) -> Iterator[Any]:
    for path, methods in DOCUMENT["paths"].items():
        for method, item in methods.items():
            if method in METHODS and bool(item["security"]) is closed:
                yield pytest.param(
                    method.upper(), re.sub(r"{\w+}", "live", path), id=f"{method} {path}"
                )


@pytest.fixture(scope="module")
def stranger(platform: Clone) -> Web:
    """Return the API for whoever has no token."""
    return Web(platform.endpoints["api"])


@pytest.mark.parametrize(("method", "path"), list(_operations(closed=True)))
@pytest.mark.parametrize("authorization", [None, "Bearer forged", "Basic ZGVtbzpkZW1v"])
def test_a_closed_route_asks_for_credentials(
    stranger: Web, method: str, path: str, authorization: str | None
) -> None:
    # Given
    headers = {} if authorization is None else {"Authorization": authorization}
    body: dict[str, Any] | None = None if method in ("GET", "DELETE") else {}
    # When
    answer = stranger.call(method, path, body, **headers)
    # Then
    assert assert_problem(answer, 401)["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path"), list(_operations(closed=False)))
def test_a_public_route_does_not(stranger: Web, method: str, path: str) -> None:
    # Given
    form = "application/x-www-form-urlencoded"
    # When
    answer = stranger.call(
        method, path, "" if method == "POST" else None, form if method == "POST" else None
    )
    # Then it may say that something is missing or refuse a client's secret, but has been asked
    assert answer.status < 500
    assert "x-correlation-id" in answer.headers


def test_one_token_works_on_every_module(platform: Clone, stranger: Web) -> None:
    # Given
    bearer = f"Bearer {platform.token('demo', 'read')}"
    paths = ("/v1/lake/datasets", "/v1/stream/events", "/v1/nexus/sessions")
    # When
    answers = {path: stranger.get(path, Authorization=bearer).status for path in paths}
    # Then
    assert answers == dict.fromkeys(paths, 200)


def test_a_token_that_reads_does_not_write(platform: Clone, stranger: Web) -> None:
    # Given
    bearer = f"Bearer {platform.token('demo', 'read')}"
    definition = {"name": "refused", "columns": [{"name": "a", "type": "text"}]}
    event = {"id": "1", "source": "/s", "type": "t.u"}
    # When
    answers = [
        stranger.post("/v1/lake/datasets", definition, Authorization=bearer),
        stranger.post("/v1/lake/datasets/refused/records", [{"a": "b"}], Authorization=bearer),
        stranger.post("/v1/stream/events", event, Authorization=bearer),
    ]
    # Then
    for answer in answers:
        assert "scope write" in assert_problem(answer, 403)["detail"]
        # API Gateway keeps the plain name for itself.
        challenge = answer.headers["x-amzn-remapped-www-authenticate"]
        assert challenge == 'Bearer error="insufficient_scope", scope="write"'
    assert stranger.get("/v1/lake/datasets/refused", Authorization=bearer).status == 404


def test_only_an_admin_administers(platform: Clone, stranger: Web) -> None:
    # Given
    demo, admin = (f"Bearer {platform.token(user)}" for user in ("demo", "admin"))
    # When / Then
    assert_problem(stranger.get("/v1/nexus/users", Authorization=demo), 403)
    assert stranger.get("/v1/nexus/users", Authorization=admin).status == 200
