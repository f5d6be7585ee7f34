"""One shape for every failure of every route (RFC 9457), and what each answer carries beside it.

`application/problem+json` with `type, title, status, detail, instance, code, action, trace_id, errors[]`;
`X-Correlation-Id` and `traceparent`; `Retry-After` where coming back may help; nothing of the inside.
OAuth's endpoints have a shape of their own (RFC 6749, 5.2): `error` and `error_description`. What is refused
before it gets there, by the edge that all routes have, is a problem document there too. Calls of other
services have Connect's shape: `code`, `message` and `details`, with the problem among the details.
PostgREST's face has PostgREST's shape, whatever goes wrong: `code`, `message`, `details`, `hint`.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from datapunk.errors import error_classes
from datapunk.mesh.faults import code_of, from_connect
from datapunk.telemetry import logger

from tests.support.invoking import Answer, Invoker, answer
from tests.support.samples import http_event, http_operations, load_sample

HTTP = http_operations()
EVERY_METHOD = {"nexus.route", "lake.write_rest"}
REST = {"lake.call_function", "lake.read_rest", "lake.write_rest"}
METHODS = [
    (method, operation)
    for method in ("PATCH", "DELETE", "TRACE", "")
    for operation in HTTP
    if load_sample(operation)["httpMethod"] != method
    and not (operation in EVERY_METHOD and method in ("PATCH", "DELETE"))
]
OAUTH = {
    "nexus.begin_authorization",
    "nexus.end_session",
    "nexus.introspect_token",
    "nexus.issue_token",
    "nexus.revoke_token",
}
CALLS = {operation for operation in HTTP if operation.endswith(".serve_rpc")}
NEED_DATABASE = [
    o
    for o in HTTP
    if o.startswith(("lake.", "stream.list"))
    and "health" not in o
    and o not in {*CALLS, "lake.infer_dataset"}
]
CODES = {cls.code: cls.status for cls in error_classes()}
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "action", "trace_id", "errors"}
INSIDE = ("Traceback", "psycopg", "pika", "datapunk.", "SELECT", "127.0.0.1", "nobody", ".py")

pytestmark = pytest.mark.usefixtures("no_services")


@pytest.fixture
def no_services(environment: None, no_broker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let functions find nobody anywhere."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URL", "redis://:nothing@127.0.0.1:1/0")


def assert_problem(found: Answer, path: str) -> None:
    assert found.headers["content-type"] == "application/problem+json"
    document = found.json
    assert set(document) >= MEMBERS
    assert document["status"] == found.status == CODES[document["code"]]
    assert document["type"] == f"urn:datapunk:error:{document['code']}"
    assert document["instance"] == path
    assert document["detail"]
    assert document["action"]
    for item in document["errors"]:
        assert set(item) == {"field", "message", "code"}
    assert [word for word in INSIDE if word in json.dumps({**document, "instance": ""})] == []
    assert ("retry-after" in found.headers) is (found.status in (429, 503))


def assert_rest_error(found: Answer) -> None:
    """Look at an error in PostgREST's shape, which its operations answer with whatever goes wrong."""
    assert found.headers["content-type"] == "application/json"
    assert set(found.json) == {"code", "message", "details", "hint"}
    assert found.json["code"]
    assert found.json["message"]
    assert [word for word in INSIDE if word in found.body] == []
    assert ("retry-after" in found.headers) is (found.status in (429, 503))


def assert_shape(operation: str, found: Answer, path: str) -> None:
    """Look at what every operation but PostgREST's answers with a problem document."""
    if operation in REST:
        assert_rest_error(found)
    else:
        assert_problem(found, path)


def assert_refusal(operation: str, found: Answer, path: str) -> None:
    """Look at a failure's shape: that of the protocol which is spoken there, a problem elsewhere."""
    if operation in REST:
        assert_rest_error(found)
        return
    if operation in CALLS and found.headers["content-type"] == "application/json":
        assert_connect(found)
        return
    if operation not in OAUTH or found.headers["content-type"] != "application/json":
        assert_problem(found, path)
        return
    assert set(found.json) == {"error", "error_description"}
    assert all(found.json.values())
    assert found.headers["cache-control"] == "no-store"
    assert [word for word in INSIDE if word in found.body] == []
    assert ("retry-after" in found.headers) is (found.status in (429, 503))


def assert_connect(found: Answer) -> None:
    """Look at the shape that Connect's clients read, and at the error that ours find in it."""
    assert set(found.json) == {"code", "message", "details"}
    error = from_connect("lake", found.status, found.body.encode())
    assert (code_of(error), error.detail) == (found.json["code"], found.json["message"])
    assert [word for word in INSIDE if word in error.detail] == []
    assert ("retry-after" in found.headers) is (found.status in (429, 503))


def assert_carried(found: Answer) -> None:
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", found.headers["traceparent"])
    assert found.headers["x-correlation-id"]


@pytest.mark.parametrize("operation", HTTP)
def test_every_answer_carries_correlation_and_trace(operation: str, invoke: Invoker) -> None:
    # Given / When
    found = invoke(operation, headers={"X-Correlation-Id": "order-1"})
    # Then
    assert_carried(found)
    assert found.headers["x-correlation-id"] == "order-1"
    if found.status >= 400 and "health" not in operation:
        assert_refusal(operation, found, load_sample(operation)["path"])


@pytest.mark.parametrize("operation", HTTP)
def test_a_route_that_is_none(operation: str) -> None:
    # Given
    event = {**http_event(operation), "path": "/v1/nothing/here", "resource": "/{proxy+}"}
    # When
    found = answer(operation, event)
    # Then
    assert found.status == 404
    assert_shape(operation, found, "/v1/nothing/here")
    assert_carried(found)


@pytest.mark.parametrize(("method", "operation"), METHODS)
def test_a_method_that_is_none(method: str, operation: str) -> None:
    # Given
    event = {**http_event(operation), "httpMethod": method}
    # When
    found = answer(operation, event)
    # Then
    assert found.status == 404
    assert_shape(operation, found, event["path"])


@pytest.mark.parametrize("operation", NEED_DATABASE)
def test_a_database_that_is_gone(operation: str, invoke: Invoker) -> None:
    # Given / When
    found = invoke(operation)
    # Then
    assert found.status == 503
    assert operation in REST or found.json["dependency"] == "postgresql"
    assert_shape(operation, found, load_sample(operation)["path"])


@pytest.mark.parametrize("operation", NEED_DATABASE)
def test_a_setting_that_is_missing(
    operation: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.delenv("DATABASE_URL")
    # When
    found = invoke(operation)
    # Then
    assert (found.status, found.json["code"]) == (500, "configuration")
    assert_shape(operation, found, load_sample(operation)["path"])


@pytest.mark.parametrize("operation", NEED_DATABASE)
def test_no_time_left(operation: str, invoke: Invoker) -> None:
    # Given / When
    found = invoke(operation, seconds=0.1)
    # Then
    code = "57014" if operation in REST else "deadline_exceeded"
    assert (found.status, found.json["code"]) == (504, code)
    assert_shape(operation, found, load_sample(operation)["path"])


@pytest.mark.parametrize("operation", HTTP)
@pytest.mark.parametrize(
    "changes",
    [
        {"body": "not base64!", "isBase64Encoded": True},
        {"multiValueHeaders": None, "headers": None},
        {"requestContext": None},
        {"requestContext": {"authorizer": {"principalId": 5, "tenant": 7, "roles": None}}},
        {"queryStringParameters": None, "multiValueQueryStringParameters": None},
        {"multiValueQueryStringParameters": {"limit": ["1", "2"], "cursor": ["", ""]}},
    ],
)
def test_any_request_gets_an_answer(operation: str, changes: dict[str, Any]) -> None:
    # Given
    event = {**http_event(operation), **changes}
    # When
    found = answer(operation, event)
    # Then
    assert_carried(found)
    if found.status >= 400 and "health" not in operation:
        assert_refusal(operation, found, event["path"])
    assert found.status != 500


@pytest.mark.parametrize("operation", HTTP)
def test_logs_give_no_credentials_away(
    operation: str,
    invoke: Invoker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given
    planted = "planted-password"
    for name, scheme in {"DATABASE": "postgresql", "REDIS": "redis", "AMQP": "amqp"}.items():
        monkeypatch.setenv(f"{name}_URL", f"{scheme}://user:{planted}@127.0.0.1:1/0")
    written = io.StringIO()
    stream = logger().handlers[0].setStream(written)  # type: ignore[attr-defined]
    # When
    try:
        with caplog.at_level("DEBUG"):
            invoke(operation)
    finally:
        logger().handlers[0].setStream(stream)  # type: ignore[attr-defined]
    # Then
    logged = written.getvalue() + caplog.text + "".join(capsys.readouterr())
    assert f'"operation":"{operation}"' in logged
    assert planted not in logged
