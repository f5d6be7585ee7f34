"""Every operation has its rule, and gateway, policy and document agree about what is public."""

from __future__ import annotations

import json
from typing import Any

import pytest
from datapunk.identity import Caller
from datapunk.nexus.roles import Role, scopes_of
from datapunk.policy import decide

from infrastructure.policies.sources import DATA
from tests.support.samples import EVENTS
from tests.support.templates import template

ACCESS: dict[str, Any] = json.loads(DATA.read_text())["access"]
NOT_AN_OPERATION = {
    "event.read",
    *("registry.change", "registry.read", "registry.write"),
    *("route.admin", "route.identity", "route.read", "route.write"),
}
"""Actions that are decided behind an operation's door, or on delivery."""


def _routes() -> dict[str, list[dict[str, Any]]]:
    """Return the properties of every route of the API, by operation."""
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in template()["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        handler = resource["Properties"]["Handler"]
        operation = handler.removesuffix(".handler").removesuffix(".app")
        for event in resource["Properties"].get("Events", {}).values():
            if event["Type"] == "Api":
                found.setdefault(operation, []).append(event["Properties"])
    return found


ROUTES = _routes()


def test_every_http_operation_has_a_rule_and_every_rule_an_operation() -> None:
    # Given / When / Then
    assert set(ACCESS["actions"]) - NOT_AN_OPERATION == set(ROUTES)


@pytest.mark.parametrize("operation", sorted(ROUTES))
def test_the_gateway_is_open_exactly_where_the_policy_is(operation: str) -> None:
    # Given
    public = decide(Caller(), operation).allow
    # When
    gates = {str(route.get("Auth")) for route in ROUTES[operation]}
    # Then
    assert gates == {str({"Authorizer": "NONE"}) if public else "None"}


def test_what_is_not_said_otherwise_is_closed() -> None:
    # Given / When
    auth = template()["Resources"]["Api"]["Properties"]["Auth"]
    # Then
    platform = auth["Authorizers"][auth["DefaultAuthorizer"]]
    assert platform["FunctionArn"] == {
        "Fn::If": [
            "ScalesAuthorizer",
            {"Ref": "NexusAuthorizeFunction.Alias"},
            {"Fn::GetAtt": ["NexusAuthorizeFunction", "Arn"]},
        ]
    }
    assert platform["FunctionPayloadType"] == "REQUEST"
    # What is presented in one of several places cannot be a cache's key.
    assert platform["Identity"] == {"ReauthorizeEvery": 0}


@pytest.mark.parametrize("operation", sorted(ROUTES))
def test_the_sample_of_a_closed_operation_comes_from_someone_who_may(operation: str) -> None:
    # Given
    sample = json.loads((EVENTS / f"{operation.replace('.', '/')}.json").read_text())
    authorizer = sample["requestContext"].get("authorizer") or {}
    caller = Caller(
        authorizer.get("principalId", "anonymous"),
        authorizer.get("tenant", "public"),
        tuple(authorizer.get("roles", "").split()),
        tuple(authorizer.get("scopes", "").split()),
    )
    # When
    decision = decide(caller, operation)
    # Then
    assert decision.allow, decision.objections


@pytest.mark.parametrize("name", ["needs", "own"])
def test_a_rule_needs_a_permission_there_is(name: str) -> None:
    # Given
    needs = {rule[name] for rule in ACCESS["actions"].values() if name in rule}
    # When / Then
    assert needs <= set(ACCESS["permissions"])


def test_roles_inherit_from_and_grant_what_there_is() -> None:
    # Given
    roles = set(ACCESS["inheritance"])
    # When
    parents = {parent for parents in ACCESS["inheritance"].values() for parent in parents}
    granted = {name for names in ACCESS["grants"].values() for name in names}
    asked = {rule["role"] for rule in ACCESS["permissions"].values() if "role" in rule}
    # Then
    assert parents <= roles
    assert set(ACCESS["grants"]) == roles
    assert granted == asked


@pytest.mark.parametrize("role", sorted(ACCESS["inheritance"]))
def test_the_scopes_a_role_is_given_are_those_it_can_use(role: str) -> None:
    # Given what users of the role are given when they sign in
    scopes = scopes_of([role])
    # When
    usable = {
        scope
        for scope in ("read", "write", "admin")
        for action in ACCESS["actions"]
        if decide(Caller("user:1", "public", (role,), (scope,)), action).scope == scope
        and decide(Caller("user:1", "public", (role,), (scope,)), action).allow
    }
    # Then
    assert set(Role) == set(ACCESS["inheritance"])
    assert set(scopes) == usable
