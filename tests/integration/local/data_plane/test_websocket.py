"""The WebSocket API with a stock client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from infrastructure.local.catalog import WebSocketApi
from tests.integration.local.data_plane.plane import Plane, eventually


def open_socket(plane: Plane, query: str = "token=allow") -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{plane.gateway_port}/_datapunk/websocket?{query}", compression=None
    )


def ask(socket: ClientConnection, message: Any) -> Any:
    socket.send(json.dumps(message))
    return json.loads(socket.recv(timeout=10))


def test_message_goes_to_its_route(plane: Plane) -> None:
    with open_socket(plane) as socket:
        # When
        greeted = ask(socket, {"action": "greet", "to": "you"})
        other = ask(socket, {"action": "unknown"})
    # Then
    context = greeted["requestContext"]
    assert context["routeKey"] == "greet"
    assert context["eventType"] == "MESSAGE"
    assert context["messageId"]
    assert context["authorizer"]["principalId"] == "user-allow"
    assert json.loads(greeted["body"]) == {"action": "greet", "to": "you"}
    assert other["requestContext"]["routeKey"] == "$default"
    assert other["requestContext"]["connectionId"] == context["connectionId"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 401),
        ("token=nobody", 401),
        ("token=deny", 403),
        ("token=allow&refuse=418", 418),
        ("token=allow&fail=1", 502),
    ],
)
def test_connection_that_is_refused(plane: Plane, query: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as caught, open_socket(plane, query):
        pass
    assert caught.value.response.status_code == status


def test_message_before_text_is_json(plane: Plane) -> None:
    with open_socket(plane) as socket:
        socket.send("no json")
        assert json.loads(socket.recv(timeout=10))["body"] == "no json"


def test_function_that_fails(plane: Plane) -> None:
    with open_socket(plane) as socket:
        answer = ask(socket, {"action": "fail"})
    assert answer["message"] == "Internal server error"
    assert answer["connectionId"]


def test_connections_api(plane: Plane) -> None:
    with open_socket(plane) as socket:
        # Given
        identifier = ask(socket, {})["requestContext"]["connectionId"]
        path = f"/_datapunk/websocket/@connections/{identifier}"
        # When
        sent = plane.request("POST", path, "pushed")
        described = plane.get(path)
        # Then
        assert (sent.status, socket.recv(timeout=10)) == (200, "pushed")
        assert described.json()["identity"]["sourceIp"] == "127.0.0.1"
        # When
        closed = plane.request("DELETE", path)
        # Then
        assert closed.status == 204
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
    eventually(lambda: plane.request("POST", path, "late").status == 410)
    eventually(lambda: f"left {identifier}" in plane.function_log("chat.disconnect"))


def test_message_too_large(plane: Plane) -> None:
    with open_socket(plane) as socket:
        socket.send("x" * (128 * 1024 + 1))
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009


@pytest.mark.parametrize("limit", ["websocket_idle_seconds", "websocket_seconds"])
def test_connection_that_is_open_too_long(new_plane: Callable[..., Plane], limit: str) -> None:
    # Given
    plane = new_plane(limits={limit: 0.2}).start()
    # When
    with open_socket(plane) as socket, pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=10)
    # Then
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001


def test_authorizer_is_asked_for_every_connection(plane: Plane) -> None:
    # Given
    before = plane.counts("gate.authorize")["invocations"]
    # When
    for _ in range(2):
        with open_socket(plane):
            pass
    # Then
    assert plane.counts("gate.authorize")["invocations"] == before + 2


def test_no_route_for_a_message(plane: Plane) -> None:
    # Given an API without $default and without authorizer
    plane.reload(
        plane.catalog(
            websocket_api=WebSocketApi(
                id="sockets", name="sockets", stage="local", routes={"greet": "test-chat-message"}
            )
        )
    )
    try:
        with open_socket(plane, "") as socket:
            assert ask(socket, {"action": "other"})["message"] == "Forbidden"
    finally:
        plane.reload(plane.catalog())
