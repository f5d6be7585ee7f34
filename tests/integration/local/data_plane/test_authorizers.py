"""Lambda authorizers of the REST API."""

from __future__ import annotations

import pytest

from tests.integration.local.data_plane.plane import Plane


def calls(plane: Plane, token: str) -> int:
    try:
        return plane.function_log("gate.authorize").count(f"authorizing {token}\n")
    except FileNotFoundError:
        return 0


def test_caller_that_may_pass(plane: Plane) -> None:
    # When
    answer = plane.get("/v1/token/1", {"Authorization": "allow"})
    # Then
    assert answer.status == 200
    authorizer = answer.json()["event"]["requestContext"]["authorizer"]
    assert authorizer == {
        "principalId": "user-allow",
        "number": "7",
        "flag": "true",
        "kind": "TOKEN",
        "integrationLatency": 0,
    }


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        ("nobody", 401, "Unauthorized"),
        ("NOT-VALID", 401, "Unauthorized"),
        ("other", 403, "User is not authorized to access this resource"),
        (
            "deny",
            403,
            "User is not authorized to access this resource with an explicit deny",
        ),
        ("crash", 500, None),
        ("shapeless", 500, None),
    ],
)
def test_caller_that_may_not(plane: Plane, token: str, status: int, message: str | None) -> None:
    answer = plane.get("/v1/token/1", {"Authorization": token})
    assert (answer.status, answer.json()) == (status, {"message": message})


def test_missing_identity_asks_nobody(plane: Plane) -> None:
    # Given
    before = plane.counts("gate.authorize")["invocations"]
    # When
    answer = plane.get("/v1/token/1")
    # Then
    assert answer.status == 401
    assert plane.counts("gate.authorize")["invocations"] == before


def test_answer_is_remembered_and_judged_anew(plane: Plane) -> None:
    # Given a token whose policy allows GET only
    before = calls(plane, "reader")
    # When
    first = plane.get("/v1/token/1", {"Authorization": "reader"})
    second = plane.get("/v1/token/2", {"Authorization": "reader"})
    third = plane.request("DELETE", "/v1/token/2", headers={"Authorization": "reader"})
    # Then
    assert [first.status, second.status, third.status] == [200, 200, 403]
    assert calls(plane, "reader") == before + 1


def test_request_authorizer_without_cache(plane: Plane) -> None:
    # Given
    before = calls(plane, "allow")
    # When
    answers = [plane.get("/v1/request", {"X-Token": "allow"}) for _ in range(2)]
    # Then
    assert [answer.status for answer in answers] == [200, 200]
    kinds = {a.json()["event"]["requestContext"]["authorizer"]["kind"] for a in answers}
    assert kinds == {"REQUEST"}
    assert calls(plane, "allow") == before + 2
