"""PUT /v1/nexus/principals/{principal}/roles/{role}."""

from __future__ import annotations

import uuid

import pytest

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user, rows


def _roles(principal: str) -> list[str]:
    statement = "SELECT role FROM nexus.role_assignments WHERE principal = %s ORDER BY role"
    return [row["role"] for row in rows(statement, [principal])]


def test_a_role_is_given_once(database: str, invoke: Invoker) -> None:
    # Given
    admin, ann = add_user("admin@example.com", roles=["admin"]), add_user(roles=[])
    path = {"principal": ann.principal, "role": "editor"}
    # When
    first = invoke("nexus.assign_role", path=path, **acting(admin))
    second = invoke("nexus.assign_role", path=path, **acting(admin))
    # Then
    assert (first.status, second.status) == (200, 200)
    assert first.json == second.json
    assert _roles(ann.principal) == ["editor"]


def test_clients_and_services_have_roles_too(database: str, invoke: Invoker) -> None:
    # Given
    admin = add_user("admin@example.com", roles=["admin"])
    path = {"principal": "service:billing", "role": "auditor"}
    # When
    answer = invoke("nexus.assign_role", path=path, **acting(admin))
    # Then
    assert answer.status == 200
    assert _roles("service:billing") == ["auditor"]


def test_a_user_of_another_tenant_is_not_found(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@example.com", roles=["admin"])
    eve = add_user("eve@acme.example", roles=[], tenant="acme")
    # When
    for principal in (eve.principal, f"user:{uuid.uuid4()}"):
        path = {"principal": principal, "role": "admin"}
        answer = invoke("nexus.assign_role", path=path, **acting(admin))
        # Then
        assert answer.status == 404
    assert _roles(eve.principal) == []


def test_nobody_raises_himself(database: str, invoke: Invoker) -> None:
    # Given
    ann = add_user()
    path = {"principal": ann.principal, "role": "admin"}
    claims = {**acting(ann), "roles": "admin", "scopes": "read write admin"}
    # When
    answer = invoke("nexus.assign_role", path=path, **claims)
    # Then
    assert answer.status == 403
    assert _roles(ann.principal) == ["editor"]


@pytest.mark.parametrize(
    "path",
    [
        {"principal": "robot:1", "role": "viewer"},
        {"principal": "user:1", "role": "viewer"},
        {"principal": "service:billing", "role": "emperor"},
    ],
)
def test_what_is_no_principal_or_role_is_refused(
    database: str, invoke: Invoker, path: dict[str, str]
) -> None:
    # Given
    admin = add_user("admin@example.com", roles=["admin"])
    # When
    answer = invoke("nexus.assign_role", path=path, **acting(admin))
    # Then
    assert answer.status == 422
