"""The edge of an HTTP function: what every answer has, whatever the handler does."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

import pytest
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.context import current, remaining_seconds
from datapunk.errors import (
    ConflictError,
    FieldError,
    PausedError,
    TooManyRequestsError,
    UnavailableError,
)
from datapunk.guard import Guard
from datapunk.http import HttpFunction, http_function
from datapunk.problems import PROBLEM_JSON
from datapunk.proxy import MAX_BODY_BYTES
from pydantic import BaseModel

from tests.support.lambda_context import LambdaContext
from tests.support.logs import logged

EDITOR = {"principalId": "user:ada", "tenant": "acme", "roles": "editor", "scopes": "read write"}
ALONE = Guard(limited=False, mutates=False)  # neither Redis nor a database is here
ITSELF: list[Any] = []
ITSELF.append(ITSELF)
SECRET = "the text of an unforeseen error"


class Thing(BaseModel):
    name: str
    size: int = 0


def _function() -> tuple[HttpFunction, Any]:
    app, handler = http_function(
        "lake.insert_records", accepts=("text/csv", "application/json"), guard=ALONE
    )

    @app.post("/things")
    def create(thing: Thing) -> Thing:
        return thing

    @app.get("/things/<name>")
    def get(name: str, limit: Annotated[int, Query(ge=1)] = 1) -> Response[dict[str, Any]]:
        raised = {
            "conflict": ConflictError(errors=[FieldError("name", "is taken", "unique")]),
            "limited": TooManyRequestsError(retry_after=9),
            "gone": UnavailableError("redis"),
            "paused": PausedError(),
            "broken": RuntimeError(SECRET),
        }
        if name in raised:
            raise raised[name]
        work = current()
        assert work is not None
        body = {"name": name, "limit": limit, "tenant": app.caller.tenant}
        body |= {"operation": work.operation, "seconds": remaining_seconds()}
        return Response(status_code=200, content_type="application/json", body=body)

    @app.get("/unwritable")
    def unwritable() -> Response[Any]:
        return Response(status_code=200, content_type="application/json", body=ITSELF)

    @app.post("/raw")
    def raw() -> dict[str, Any]:
        body = app.body()
        return {
            "type": body.media_type,
            "charset": body.charset,
            "content": body.content.decode("latin-1"),
        }

    @app.get("/queries")
    def queries() -> dict[str, Any]:
        return {"query": app.query(), "header": app.header("X-Thing")}

    return app, handler


def _event(method: str, path: str, **changes: Any) -> dict[str, Any]:
    event = {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"resourcePath": path, "stage": "local", "authorizer": EDITOR},
        "body": None,
        "isBase64Encoded": False,
    }
    return {**event, **changes}


def _headers(**headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"headers": named, "multiValueHeaders": {k: [v] for k, v in named.items()}}


def _call(method: str, path: str, *, seconds: float = 30, **changes: Any) -> dict[str, Any]:
    _, handler = _function()
    answer: dict[str, Any] = handler(_event(method, path, **changes), LambdaContext(seconds))
    return answer


def _problem(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["multiValueHeaders"]["Content-Type"] == [PROBLEM_JSON]
    document: dict[str, Any] = json.loads(answer["body"])
    assert document["status"] == answer["statusCode"]
    return document


def test_an_answer_carries_correlation_and_trace() -> None:
    # Given
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    # When
    answer = _call("GET", "/things/x", **_headers(X_Correlation_Id="order-1", traceparent=trace))
    # Then
    assert answer["statusCode"] == 200
    assert answer["multiValueHeaders"]["X-Correlation-Id"] == ["order-1"]
    (traceparent,) = answer["multiValueHeaders"]["traceparent"]
    assert traceparent.split("-")[1] == "a" * 32
    assert traceparent != trace


def test_a_handler_knows_its_work() -> None:
    # Given / When
    answer = _call("GET", "/things/x", seconds=12)
    # Then
    body = json.loads(answer["body"])
    assert (body["tenant"], body["operation"]) == ("acme", "lake.insert_records")
    assert 0 < body["seconds"] <= 11.5
    assert current() is None


@pytest.mark.parametrize(
    ("name", "status", "retry"),
    [("conflict", 409, None), ("limited", 429, ["9"]), ("gone", 503, ["2"]), ("broken", 500, None)],
)
def test_errors_become_problems(name: str, status: int, retry: list[str] | None) -> None:
    # Given / When
    answer = _call("GET", f"/things/{name}")
    # Then
    document = _problem(answer)
    assert answer["statusCode"] == status
    assert answer["multiValueHeaders"].get("Retry-After") == retry
    assert document["instance"] == f"/things/{name}"
    assert answer["multiValueHeaders"]["traceparent"][0].split("-")[1] == document["trace_id"]
    assert "X-Correlation-Id" in answer["multiValueHeaders"]


def test_an_unexpected_error_is_logged_and_never_shown() -> None:
    # Given
    with logged() as written:
        # When
        answer = _call("GET", "/things/broken")
    # Then
    assert SECRET not in json.dumps(answer)
    assert SECRET in written.getvalue()


def test_what_an_operator_paused_is_no_error_in_the_log() -> None:
    # Given
    with logged() as written:
        # When
        answer = _call("GET", "/things/paused")
    # Then
    assert (answer["statusCode"], _problem(answer)["code"]) == (503, "paused")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["level"], line["status"]) for line in lines] == [("INFO", 503)]


def test_an_answer_that_cannot_be_written_is_an_error() -> None:
    # Given / When
    answer = _call("GET", "/unwritable")
    # Then
    assert _problem(answer)["code"] == "internal"
    assert "traceparent" in answer["multiValueHeaders"]


def test_a_parameter_in_the_path_is_decoded() -> None:
    # Given / When: as encodeURIComponent writes it, and as a browser does
    names = [
        json.loads(_call("GET", f"/things/{written}")["body"])["name"]
        for written in ("user%3Aa%20%C3%A4", "user:a", "%252F")
    ]
    # Then
    assert names == ["user:a ä", "user:a", "%2F"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PUT", "/things"), ("", "")])
def test_an_unknown_route_is_not_found(method: str, path: str) -> None:
    # Given / When
    answer = _call(method, path)
    # Then
    assert _problem(answer)["code"] == "not_found"


def _posted(body: str | None, **changes: Any) -> dict[str, Any]:
    return _call(
        "POST", "/things", body=body, **{**_headers(Content_Type="application/json"), **changes}
    )


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ('{"name": ', "malformed_request", ["body"]),
        ('{"size": 1}', "invalid_input", ["name"]),
        ('{"name": 5, "size": "many"}', "invalid_input", ["name", "size"]),
        ("[]", "invalid_input", None),
        ("null", "invalid_input", None),
        ('"text"', "invalid_input", None),
        (None, "invalid_input", None),
        ("", "invalid_input", None),
    ],
)
def test_a_bad_json_body_is_the_callers_fault(
    body: str | None, code: str, fields: list[str] | None
) -> None:
    # Given / When
    answer = _posted(body)
    # Then
    document = _problem(answer)
    assert document["code"] == code
    assert document["errors"]
    if fields:
        assert [item["field"] for item in document["errors"]] == fields


def test_a_query_parameter_out_of_range_is_named() -> None:
    # Given
    query: dict[str, Any] = {
        "queryStringParameters": {"limit": "0"},
        "multiValueQueryStringParameters": {"limit": ["0"]},
    }
    # When
    answer = _call("GET", "/things/x", **query)
    # Then
    assert [item["field"] for item in _problem(answer)["errors"]] == ["limit"]


def test_another_content_type_for_a_json_body_is_refused() -> None:
    # Given / When
    answer = _call("POST", "/things", body="name=x", **_headers(Content_Type="text/yaml"))
    # Then
    assert _problem(answer)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("encoded", [True, False])
def test_a_body_over_the_limit_is_too_large(encoded: bool) -> None:  # noqa: FBT001
    # Given
    content = b"x" * (MAX_BODY_BYTES + 1)
    body = base64.b64encode(content).decode() if encoded else content.decode()
    # When
    answer = _call("POST", "/raw", body=body, isBase64Encoded=encoded)
    # Then
    assert _problem(answer)["code"] == "payload_too_large"
    assert "traceparent" in answer["multiValueHeaders"]


def test_a_body_at_the_limit_is_taken() -> None:
    # Given
    body = "x" * MAX_BODY_BYTES
    # When
    answer = _call("POST", "/raw", body=body, **_headers(Content_Type="text/csv"))
    # Then
    assert answer["statusCode"] == 200


def test_letters_count_as_their_bytes() -> None:
    # Given a text of half as many letters, each of which takes three bytes
    body = "\u20ac" * (MAX_BODY_BYTES // 2)
    # When
    answer = _call("POST", "/raw", body=body, **_headers(Content_Type="text/csv"))
    # Then
    assert _problem(answer)["code"] == "payload_too_large"


def test_a_body_that_is_not_base64_is_malformed() -> None:
    # Given / When
    answer = _call("POST", "/raw", body="!!!", isBase64Encoded=True)
    # Then
    assert _problem(answer)["code"] == "malformed_request"


def test_json_that_is_not_utf8_is_malformed() -> None:
    # Given
    body = base64.b64encode(b'{"name": "\xff"}').decode()
    # When
    answer = _posted(body, isBase64Encoded=True)
    # Then
    assert _problem(answer)["code"] == "malformed_request"


@pytest.mark.parametrize(
    ("content_type", "media_type", "charset"),
    [
        ("text/csv", "text/csv", "utf-8"),
        ("TEXT/CSV; Charset=ISO-8859-1", "text/csv", "iso-8859-1"),
        ('text/csv ; header=present;charset="utf-16"', "text/csv", "utf-16"),
    ],
)
def test_a_raw_body_keeps_its_bytes(content_type: str, media_type: str, charset: str) -> None:
    # Given
    body = base64.b64encode(b"\xff\x00a").decode()
    # When
    answer = _call(
        "POST", "/raw", body=body, isBase64Encoded=True, **_headers(Content_Type=content_type)
    )
    # Then
    assert json.loads(answer["body"]) == {
        "type": media_type,
        "charset": charset,
        "content": "\xff\x00a",
    }


@pytest.mark.parametrize("content_type", ["", "text/plain", "csv", ";;;", "text/csv2"])
def test_a_raw_body_of_another_type_is_refused_with_the_types_taken(content_type: str) -> None:
    # Given / When
    answer = _call("POST", "/raw", body="a", **_headers(Content_Type=content_type))
    # Then
    document = _problem(answer)
    assert document["code"] == "unsupported_media_type"
    assert "text/csv" in document["detail"]


def test_a_compressed_body_is_refused() -> None:
    # Given
    headers = _headers(Content_Type="text/csv", Content_Encoding="gzip")
    # When
    answer = _call("POST", "/raw", body="a", **headers)
    # Then
    assert _problem(answer)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("body", [None, "", "  \n"])
def test_a_raw_body_that_is_missing_is_malformed(body: str | None) -> None:
    # Given / When
    answer = _call("POST", "/raw", body=body, **_headers(Content_Type="text/csv"))
    # Then
    assert _problem(answer)["code"] == "malformed_request"


def test_repeated_parameters_keep_their_order() -> None:
    # Given
    query: dict[str, Any] = {
        "queryStringParameters": {"a": "2"},
        "multiValueQueryStringParameters": {"a": ["1", "2"], "b": [""]},
    }
    # When
    answer = _call("GET", "/queries", **query, **_headers(x_thing="here"))
    # Then
    assert json.loads(answer["body"]) == {"query": {"a": ["1", "2"], "b": [""]}, "header": "here"}


def test_events_without_multiple_values_are_read_too() -> None:
    # Given the form that tools write by hand
    changes: dict[str, Any] = {
        "queryStringParameters": {"a": "2"},
        "multiValueHeaders": None,
        "headers": {"X-Thing": "here"},
    }
    # When
    answer = _call("GET", "/queries", **changes)
    # Then
    assert json.loads(answer["body"]) == {"query": {"a": ["2"]}, "header": "here"}


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "text/plain", "application/x-www-form-urlencoded"]
)
def test_a_function_that_reads_json_takes_nothing_else(content_type: str) -> None:
    # Given: a multipart body without a boundary, on which the resolver fails
    app, handler = http_function("lake.insert_records", guard=ALONE)

    @app.post("/things")
    def create(thing: Thing) -> Thing:
        return thing

    # When
    answer = handler(
        _event("POST", "/things", body='{"name": "x"}', **_headers(Content_Type=content_type)),
        LambdaContext(),
    )
    # Then
    assert _problem(answer)["code"] == "unsupported_media_type"
