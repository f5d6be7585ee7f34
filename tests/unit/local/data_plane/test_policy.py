"""Policies of authorizers."""

from __future__ import annotations

from typing import Any

import pytest

from infrastructure.local.data_plane.policy import Decision, InvalidPolicyError, evaluate

ARN = "arn:aws:execute-api:us-east-1:000000000000:api/local/GET/v1/lake/datasets"


def policy(*statements: tuple[str, Any, Any]) -> dict[str, Any]:
    return {
        "Statement": [
            {"Effect": effect, "Action": action, "Resource": resource}
            for effect, action, resource in statements
        ]
    }


@pytest.mark.parametrize(
    ("resource", "matches"),
    [
        (ARN, True),
        ("*", True),
        ("arn:aws:execute-api:*:*:api/local/GET/*", True),
        ("arn:aws:execute-api:us-east-1:000000000000:api/*/GET/v1/lake/dataset?", True),
        (ARN.replace("GET", "POST"), False),
        (ARN + "/more", False),
        (ARN.upper(), False),
        (ARN.replace(".", "x").replace("lake", "l.ke"), False),
        (["nothing", ARN], True),
    ],
)
def test_resource(resource: str | list[str], *, matches: bool) -> None:
    decision = evaluate(policy(("Allow", "execute-api:Invoke", resource)), ARN)
    assert decision is (Decision.ALLOW if matches else Decision.IMPLICIT_DENY)


@pytest.mark.parametrize(
    ("action", "matches"),
    [("execute-api:*", True), ("*", True), ("EXECUTE-API:invoke", True), ("s3:*", False)],
)
def test_action(action: str, *, matches: bool) -> None:
    decision = evaluate(policy(("Allow", action, "*")), ARN)
    assert decision is (Decision.ALLOW if matches else Decision.IMPLICIT_DENY)


def test_deny_wins_in_any_order() -> None:
    allow, deny = ("Allow", "*", "*"), ("Deny", "*", ARN)
    assert evaluate(policy(allow, deny), ARN) is Decision.EXPLICIT_DENY
    assert evaluate(policy(deny, allow), ARN) is Decision.EXPLICIT_DENY


@pytest.mark.parametrize(
    "broken",
    [
        {},
        None,
        {"Statement": ["text"]},
        {"Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": 1, "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}]},
    ],
)
def test_policy_that_is_none(broken: Any) -> None:
    with pytest.raises(InvalidPolicyError):
        evaluate(broken, ARN)
