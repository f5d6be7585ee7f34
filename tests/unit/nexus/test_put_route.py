"""PUT /v1/nexus/routes/{route}: rules are validated, versioned, audited, and operators' alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user, rows
from tests.support.routing import Upstream

pytestmark = pytest.mark.usefixtures("database")
RULE: dict[str, Any] = {"service": "billing", "path": "/invoices/{path+}", "methods": ["GET"]}


@pytest.fixture
def operator(database: str) -> dict[str, Any]:
    """Return what makes a request one of an operator's."""
    return acting(add_user("root@example.com", roles=["admin"]))


def _put(operator: dict[str, Any], name: str = "invoices", **changes: Any) -> Any:
    headers = changes.pop("headers", {})
    body = {**RULE, **changes}
    return Invoker()(
        "nexus.put_route", path={"route": name}, body=body, headers=headers, **operator
    )


def test_a_rule_is_kept_and_told(operator: dict[str, Any]) -> None:
    # Given / When
    made = _put(operator)
    # Then
    assert made.status == 200, made.body
    assert made.headers["etag"] == '"1"'
    assert made.json["rule"]["path"] == "/invoices/{path+}"
    assert made.json["changed_by"] == operator["principal"]


def test_a_service_that_nobody_has_registered_is_allowed_with_a_warning(
    operator: dict[str, Any],
) -> None:
    # Given / When
    made = _put(operator)
    # Then
    assert made.json["warnings"] == [
        "No instance of billing is registered. Until there is one, requests are answered 503."
    ]


def test_whoever_lets_a_tenants_writers_become_instances_is_warned(
    operator: dict[str, Any],
) -> None:
    # Given / When
    anybody = _put(operator, provider="public")
    named = _put(operator, provider="public", owners=["service:billing"])
    # Then
    assert any("name the owners" in text for text in anybody.json["warnings"])
    assert not any("name the owners" in text for text in named.json["warnings"])


def test_a_registered_one_has_no_warning(operator: dict[str, Any], upstream: Upstream) -> None:
    # Given / When / Then
    assert _put(operator).json["warnings"] == []


def test_a_change_is_a_new_version(operator: dict[str, Any]) -> None:
    # Given
    first = _put(operator)
    # When
    second = _put(operator, timeout="streaming", headers={"If-Match": first.headers["etag"]})
    # Then
    assert (second.status, second.json["version"]) == (200, 2)
    kept = rows("SELECT version, rule ->> 'timeout' AS timeout FROM nexus.route_versions")
    assert kept == [
        {"version": 1, "timeout": "default"},
        {"version": 2, "timeout": "streaming"},
    ]


@pytest.mark.parametrize("etag", ['"7"', '"none"', 'W/"1"'])
def test_a_rule_that_has_changed_is_not_overwritten(operator: dict[str, Any], etag: str) -> None:
    # Given
    _put(operator)
    # When / Then
    assert _put(operator, timeout="ai", headers={"If-Match": etag}).status == 412


def test_a_change_of_what_is_not_there_is_refused(operator: dict[str, Any]) -> None:
    # Given / When / Then
    assert _put(operator, headers={"If-Match": "*"}).status == 412
    assert rows("SELECT FROM nexus.routes") == []


def test_two_rules_for_the_same_requests_are_a_conflict(operator: dict[str, Any]) -> None:
    # Given
    _put(operator)
    # When
    same = _put(operator, "other", path="/invoices/{rest+}")
    # Then
    assert (same.status, same.fields) == (409, {"path": "unique"})
    assert _put(operator, "other", methods=["POST"]).status == 200
    assert _put(operator, "third", service="shop").status == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"path": "invoices"}, "path"),
        ({"methods": ["BREW"]}, "methods.0"),
        ({"canary": {"percent": 200, "tag": "a"}}, "canary.percent"),
        ({"request": {"set_headers": {"Host": "x"}}}, "request.set_headers.Host.[key]"),
        ({"service": "no spaces"}, "service"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_rule_is_told(
    operator: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    # Given / When
    refused = _put(operator, **change)
    # Then
    assert refused.status == 422
    assert list(refused.fields) == [field]


def test_only_operators_change_rules() -> None:
    # Given the administrator of a tenant, and somebody who claims to be one of the platform
    add_tenant("acme")
    admin = acting(add_user("ann@acme.example", roles=["admin"], tenant="acme"))
    editor = acting(add_user("bob@example.com", roles=["editor"]))
    forged = {**editor, "roles": "admin", "scopes": "read write admin"}
    # When / Then
    assert [_put(who).status for who in (admin, editor, forged)] == [403, 403, 403]
    assert rows("SELECT FROM nexus.routes") == []


def test_the_audit_trail_names_the_version(operator: dict[str, Any]) -> None:
    # Given / When
    _put(operator)
    # Then
    (found,) = rows("SELECT * FROM nexus.audit WHERE action = 'nexus.put_route'")
    assert found["resource"] == "/v1/nexus/routes/invoices"
    assert (found["detail"], found["outcome"]) == ({"version": 1}, "done")
