"""The REST API: events, answers and what the gateway says by itself."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from typing import Any

import pytest

from infrastructure.local.catalog import GatewayResponse
from tests.integration.local.data_plane.plane import Answer, Plane, rest_api


def event(answer: Answer) -> dict[str, Any]:
    """Return the event an echoing function got."""
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()["event"]
    return found


def test_event_of_a_get(plane: Plane) -> None:
    # When
    answer = plane.get("/v1/echo?a=1&b=two%20words&a=3&empty", {"X-Own": "yes", "User-Agent": "t"})
    # Then
    got = event(answer)
    assert got["resource"] == got["path"] == "/v1/echo"
    assert got["httpMethod"] == "GET"
    assert got["headers"]["X-Own"] == "yes"
    assert got["multiValueHeaders"]["X-Own"] == ["yes"]
    assert got["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert got["headers"]["X-Forwarded-Proto"] == "http"
    assert got["headers"]["X-Forwarded-Port"] == str(plane.gateway_port)
    assert got["headers"]["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert got["queryStringParameters"] == {"a": "3", "b": "two words", "empty": ""}
    assert got["multiValueQueryStringParameters"] == {
        "a": ["1", "3"],
        "b": ["two words"],
        "empty": [""],
    }
    assert got["pathParameters"] is None
    assert got["stageVariables"] == {"color": "green"}
    assert got["body"] is None
    assert got["isBase64Encoded"] is False
    context = got["requestContext"]
    assert context["resourcePath"] == "/v1/echo"
    assert context["path"] == "/local/v1/echo"
    assert context["stage"] == "local"
    assert context["apiId"] == "api123"
    assert context["accountId"] == "000000000000"
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"] == "t"
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    assert context["requestTime"].endswith(" +0000")
    assert "authorizer" not in context


def test_trace_is_passed_on(plane: Plane) -> None:
    # Given
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"
    # When
    answer = plane.get("/v1/echo", {"X-Amzn-Trace-Id": trace})
    # Then
    assert event(answer)["headers"]["X-Amzn-Trace-Id"] == trace
    assert answer.json()["environment"]["_X_AMZN_TRACE_ID"] == trace
    assert answer.headers["x-amzn-trace-id"] == trace


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/v1/echo/plain", "/v1/echo/{name}", {"name": "plain"}),
        ("/v1/echo/a%2Fb%20c+d", "/v1/echo/{name}", {"name": "a/b c+d"}),
        ("/v1/echo/", "/v1/echo", None),
        ("/v1/files/a/b.txt", "/v1/files/{proxy+}", {"proxy": "a/b.txt"}),
    ],
)
def test_path_parameters(
    plane: Plane, path: str, resource: str, parameters: dict[str, str] | None
) -> None:
    got = event(plane.get(path))
    assert (got["resource"], got["pathParameters"]) == (resource, parameters)
    assert got["path"] == path


def test_literal_segment_wins(plane: Plane) -> None:
    # /v1/echo/special is another function's
    assert plane.get("/v1/echo/special").body.isdigit()


def test_body_is_text(plane: Plane) -> None:
    got = event(plane.request("POST", "/v1/echo", "süß".encode(), {"Content-Type": "text/plain"}))
    assert (got["body"], got["isBase64Encoded"]) == ("süß", False)


def test_binary_body_is_encoded(plane: Plane) -> None:
    # Given
    body = bytes(range(256))
    # When
    got = event(plane.request("POST", "/v1/echo", body, {"Content-Type": "image/png"}))
    # Then
    assert got["isBase64Encoded"] is True
    assert base64.b64decode(got["body"]) == body


def test_answer_is_mapped(plane: Plane) -> None:
    # Given
    response = {
        "statusCode": 201,
        "headers": {"X-One": "1", "Content-Type": "text/plain", "WWW-Authenticate": "Bearer"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        "body": "done",
    }
    # When
    answer = plane.request("POST", "/v1/respond", json.dumps(response))
    # Then
    assert (answer.status, answer.body) == (201, b"done")
    assert answer.headers["x-one"] == "1"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-amzn-remapped-www-authenticate"] == "Bearer"
    assert [value for name, value in answer.lists if name == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("accept", "body"),
    [("image/png", b"\x00\xff"), ("*/*", b"AP8="), ("text/html, image/png", b"AP8=")],
)
def test_binary_answer_needs_accept(plane: Plane, accept: str, body: bytes) -> None:
    # Given
    response = {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True}
    # When
    answer = plane.request("POST", "/v1/respond", json.dumps(response), {"Accept": accept})
    # Then
    assert answer.body == body


@pytest.mark.parametrize("how", ["shape", "text", "body", "raise", "unserialisable", "exit"])
def test_function_that_fails(plane: Plane, how: str) -> None:
    # When
    answer = plane.get(f"/v1/misbehave?how={how}")
    # Then
    assert (answer.status, answer.json()) == (502, {"message": "Internal server error"})


def test_function_that_cannot_start(plane: Plane) -> None:
    assert plane.get("/v1/broken").status == 502


def test_route_without_function(plane: Plane) -> None:
    assert plane.get("/v1/lost").status == 502


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v1/nothing"), ("PUT", "/v1/echo"), ("OPTIONS", "/v1/echo"),
     ("GET", "/local/v1/echo"), ("GET", "/v1//echo")],
)  # fmt: skip
def test_unknown_route(plane: Plane, method: str, path: str) -> None:
    # When
    answer = plane.request(method, path)
    # Then
    assert (answer.status, answer.json()) == (403, {"message": "Missing Authentication Token"})
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_head_has_no_body(plane: Plane) -> None:
    answer = plane.request("HEAD", "/v1/echo")
    assert (answer.status, answer.body) == (200, b"")


def test_wall(plane: Plane) -> None:
    # When a function takes longer than its route allows
    answer = plane.get("/v1/wall?seconds=1")
    # Then
    assert (answer.status, answer.json()) == (504, {"message": "Endpoint request timed out"})


def test_missing_parameters(plane: Plane) -> None:
    # When
    answer = plane.get("/v1/needs?limit=1")
    # Then
    assert answer.status == 400
    assert answer.json() == {"message": "Missing required request parameters: [X-Kind]"}
    assert plane.get("/v1/needs?limit=1", {"X-Kind": "a"}).status == 200


def test_body_over_ten_mebibytes(plane: Plane) -> None:
    # Given a client that tells the length and sends no more than the head
    connection = http.client.HTTPConnection("127.0.0.1", plane.gateway_port, timeout=10)
    connection.putrequest("POST", "/v1/echo")
    connection.putheader("Content-Length", str(10 * 1024 * 1024 + 1))
    connection.endheaders()
    # Then
    assert connection.getresponse().status == 413
    connection.close()


def test_event_over_six_mebibytes(plane: Plane) -> None:
    # Given a body that the API takes and Lambda does not
    body = b"x" * (6 * 1024 * 1024)
    # Then
    assert plane.request("POST", "/v1/echo", body).status == 413


def test_keep_alive(plane: Plane) -> None:
    # Given
    connection = http.client.HTTPConnection("127.0.0.1", plane.gateway_port, timeout=10)
    ports = set()
    # When
    for _ in range(3):
        connection.request("GET", "/v1/echo")
        response = connection.getresponse()
        response.read()
        ports.add(connection.sock.getsockname())
    # Then
    assert len(ports) == 1
    connection.close()


def test_clients_at_once_get_environments_of_their_own(plane: Plane) -> None:
    # Given
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(plane.get("/v1/slow?seconds=0.5"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    # When
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.body for answer in answers}) == 8


def test_client_that_leaves_disturbs_nobody(plane: Plane) -> None:
    # Given
    connection = http.client.HTTPConnection("127.0.0.1", plane.gateway_port, timeout=10)
    connection.request("GET", "/v1/slow?seconds=0.2")
    # When
    connection.close()
    # Then
    assert plane.get("/v1/slow?seconds=0").status == 200


def test_gateway_responses_of_the_api(plane: Plane) -> None:
    # Given an API that defines what an unknown route gets
    catalog = plane.catalog()
    api = rest_api()
    responses = {
        "MISSING_AUTHENTICATION_TOKEN": GatewayResponse(
            kind="MISSING_AUTHENTICATION_TOKEN",
            status=404,
            headers={"Content-Type": "application/problem+json"},
            templates={
                "application/json": '{"detail":$context.error.messageString,'
                '"instance":"$context.path","trace_id":"$context.requestId"}'
            },
        )
    }
    own = type(api)(
        id=api.id, name=api.name, stage=api.stage, routes=api.routes, gateway_responses=responses
    )
    plane.reload(plane.catalog(rest_api=own))
    try:
        # When
        answer = plane.get('/v1/not"here')
        # Then
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "detail": "Missing Authentication Token",
            "instance": '/v1/not"here',
            "trace_id": answer.headers["x-amzn-requestid"],
        }
    finally:
        plane.reload(catalog)


def test_throttling_of_the_stage(plane: Plane) -> None:
    # Given a stage that lets three requests through, and hardly one more later
    api = rest_api()
    limited = type(api)(
        id=api.id, name=api.name, stage=api.stage, routes=api.routes, burst_limit=3, rate_limit=0.01
    )
    plane.reload(plane.catalog(rest_api=limited))
    try:
        # When
        answers = [plane.get("/v1/echo") for _ in range(4)]
        # Then
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json() == {"message": "Too Many Requests"}
    finally:
        plane.reload(plane.catalog())


def test_control_routes_never_reach_functions(plane: Plane) -> None:
    # Given
    before = [item["invocations"] for item in plane.status()["functions"].values()]
    # When
    answer = plane.get("/_datapunk/nothing")
    # Then
    assert answer.status == 404
    assert [item["invocations"] for item in plane.status()["functions"].values()] == before
