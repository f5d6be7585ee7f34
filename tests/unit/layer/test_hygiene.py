"""What of a request is not believed, and what every answer says."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.hygiene import clean_request
from datapunk.settings import settings
from pydantic import BaseModel, Field

from tests.support.lambda_context import LambdaContext

ALONE = Guard(limited=False, mutates=False)


class Thing(BaseModel):
    name: str
    secret: str = Field(default="of the model", exclude=True)


class Paging(BaseModel):
    size: int = 10
    order: str = Field(default="up", alias="sort")


def _ask(resource: str, *, guard: Guard = ALONE, **changes: Any) -> dict[str, Any]:
    app, handler = http_function("nexus.describe_api", guard=guard)

    @app.get("/headers")
    def headers() -> dict[str, Any]:
        return {"headers": dict(app.current_event.headers)}

    @app.get("/declared")
    def declared(limit: Annotated[int, Query()] = 1) -> dict[str, int]:
        return {"limit": limit}

    @app.get("/model")
    def model(paging: Annotated[Paging, Query()]) -> dict[str, Any]:
        return {"size": paging.size, "order": paging.order}

    @app.get("/undeclared")
    def undeclared() -> dict[str, bool]:
        return {"answered": True}

    @app.get("/things")
    def things() -> Thing:
        return {"name": "x", "password": "not declared"}  # type: ignore[return-value]

    @app.get("/page")
    def page() -> Response[str]:
        return Response(200, "text/html; charset=utf-8", "<p>", {"Cache-Control": "public"})

    query = changes.pop("query", None)
    event = {
        "resource": resource,
        "path": resource,
        "httpMethod": "GET",
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {k: [v] for k, v in query.items()},
        "requestContext": {"stage": "local", "identity": {"sourceIp": "192.0.2.1"}},
        "body": None,
        "isBase64Encoded": False,
        **changes,
    }
    answer: dict[str, Any] = handler(event, LambdaContext())
    return answer


@pytest.mark.parametrize(
    "name",
    [
        *("Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade"),
        *(
            "Proxy-Authorization",
            "X-Hop",
            "Forwarded",
            "Via",
            "X-Forwarded-For",
            "x-forwarded-host",
        ),
        *("X-Forwarded-Proto", "X-Real-IP", "X-Original-URL", "X-HTTP-Method-Override"),
        *("X-Principal", "X-Principal-Id", "X-Tenant", "x-tenant-id", "X-User-Id", "X-Roles"),
        *("X-Scopes", "X-Datapunk-Caller", "X-Amzn-Oidc-Data", "X-Client-Cert", "X-SSL-Client-DN"),
    ],
)
def test_headers_that_claim_or_belong_to_one_hop_are_gone(name: str) -> None:
    # Given
    sent = {name: "anything", "Accept": "text/html", "connection": "x-hop"}
    # When
    cleaned = clean_request(
        {"headers": sent, "multiValueHeaders": {key: [value] for key, value in sent.items()}}
    )
    # Then
    assert cleaned["headers"].keys() - {"X-Hop"} == {"Accept"}
    assert set(cleaned["multiValueHeaders"]) == {"Accept"}


def test_headers_with_control_characters_are_gone() -> None:
    # Given
    sent = {"X-Thing": "a\r\nX-Tenant: other", "X-Null": "a\x00", "X-Good": "a\tü"}
    # When
    cleaned = clean_request({"headers": sent, "multiValueHeaders": None})
    # Then
    assert cleaned["headers"] == {"X-Good": "a\tü"}


def test_the_rest_of_a_request_stays() -> None:
    # Given
    event = {"headers": {"ce-id": "1", "Authorization": "Bearer x"}, "path": "/x"}
    # When / Then
    assert clean_request(event) == {**event, "multiValueHeaders": {}}


@pytest.mark.parametrize(
    ("resource", "query", "unknown"),
    [
        ("/declared", {"limit": "3"}, []),
        ("/declared", {"limt": "3"}, ["limt"]),
        ("/declared", {"limit": "3", "Limit": "4", "x": "y"}, ["Limit", "x"]),
        ("/model", {"size": "3", "sort": "down"}, []),
        ("/model", {"order": "down"}, ["order"]),
        ("/undeclared", {"anything": "goes"}, []),
    ],
)
def test_unknown_query_parameters_are_refused_where_parameters_are_declared(
    resource: str, query: dict[str, str], unknown: list[str]
) -> None:
    # Given / When
    answer = _ask(resource, query=query)
    # Then
    if unknown:
        problem = json.loads(answer["body"])
        assert (answer["statusCode"], problem["code"]) == (422, "invalid_input")
        assert [item["field"] for item in problem["errors"]] == unknown
        assert {item["code"] for item in problem["errors"]} == {"unknown"}
    else:
        assert answer["statusCode"] == 200


def test_an_operation_may_ignore_unknown_parameters() -> None:
    # Given
    guard = Guard(limited=False, mutates=False, open_query=True)
    # When
    answer = _ask("/declared", query={"limit": "3", "x": "y"}, guard=guard)
    # Then
    assert json.loads(answer["body"]) == {"limit": 3}


def test_undeclared_fields_do_not_leave() -> None:
    # Given / When
    answer = _ask("/things")
    # Then
    assert json.loads(answer["body"]) == {"name": "x"}


@pytest.mark.parametrize("resource", ["/things", "/nowhere"])
def test_answers_are_neither_sniffed_nor_stored(resource: str) -> None:
    # Given / When
    headers = _ask(resource)["multiValueHeaders"]
    # Then
    assert headers["X-Content-Type-Options"] == ["nosniff"]
    assert headers["Cache-Control"] == ["no-store"]
    assert headers["Referrer-Policy"] == ["no-referrer"]
    assert headers["Content-Security-Policy"] == ["default-src 'none'; frame-ancestors 'none'"]
    assert "Strict-Transport-Security" not in headers


def test_what_an_answer_says_itself_stands() -> None:
    # Given / When
    headers = _ask("/page")["multiValueHeaders"]
    # Then
    assert headers["Cache-Control"] == ["public"]
    assert headers["Content-Security-Policy"] == [
        "frame-ancestors 'none'; object-src 'none'; base-uri 'none'"
    ]


def test_over_https_clients_are_told_to_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setenv("ISSUER", "https://api.example.com")
    settings.cache_clear()
    # When
    headers = _ask("/things")["multiValueHeaders"]
    settings.cache_clear()
    # Then
    assert headers["Strict-Transport-Security"] == ["max-age=31536000; includeSubDomains"]
