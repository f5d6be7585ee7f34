"""PUT /v1/nexus/rate-limits/{tenant}/{operations}/{client}."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk import limits
from datapunk.identity import Caller
from datapunk.limits import check_rate

from tests.support.invoking import Answer, Invoker
from tests.support.people import acting, add_tenant, add_user, rows

NAME = {"tenant": "acme", "operations": "lake.insert_records", "client": "client:reports"}
pytestmark = pytest.mark.usefixtures("database")


def _set(invoke: Invoker, quota: int, match: str | None = None, **name: str) -> Answer:
    return invoke(
        "nexus.set_rate_limit",
        path={**NAME, **name},
        body={"quota": quota, "window_seconds": 3600},
        headers={} if match is None else {"If-Match": match},
    )


def test_a_limit_is_set_and_the_same_again_changes_nothing(invoke: Invoker) -> None:
    # Given / When
    first, again = _set(invoke, 5), _set(invoke, 5)
    # Then
    assert first.status == again.status == 200
    assert first.body == again.body
    assert first.headers["etag"] == again.headers["etag"]
    created = first.json.pop("created_at")
    assert first.json == {**NAME, "quota": 5, "window_seconds": 3600, "created_at": created}
    assert len(rows("SELECT FROM nexus.rate_limits")) == 1


@pytest.mark.parametrize(
    ("name", "caller", "route"),
    [
        ({}, Caller("client:reports", "acme"), "lake.insert_records"),
        ({"operations": "lake"}, Caller("client:reports", "acme"), "lake.get_dataset"),
        ({"operations": "*"}, Caller("client:reports", "acme"), "stream.list_events"),
        ({"client": "*"}, Caller("user:anyone", "acme"), "lake.insert_records"),
        ({"tenant": "*", "client": "*"}, Caller("user:1", "umbrella"), "lake.insert_records"),
        (
            {"tenant": "*", "operations": "*", "client": "key:dpk1"},
            Caller("user:1", "acme", actors=("key:dpk1",)),
            "lake.get_dataset",
        ),
    ],
    ids=["client and operation", "module", "client", "operation", "every tenant", "key"],
)
def test_it_counts(invoke: Invoker, name: dict[str, str], caller: Caller, route: str) -> None:
    # Given
    assert _set(invoke, 3, **name).status == 200
    # When
    limits.forget()
    # Then
    assert [check_rate(caller, route).allowed for _ in range(5)] == [True] * 3 + [False] * 2
    stranger = Caller("user:stranger", "elsewhere")
    elsewhere = "stream.publish_event" if name.get("tenant") == "*" else route
    assert check_rate(stranger, elsewhere).policy == limits.DEFAULT


def test_a_state_that_has_passed_is_not_changed(invoke: Invoker) -> None:
    # Given
    unborn = _set(invoke, 1, "*")
    seen = _set(invoke, 5).headers["etag"]
    # When
    changed = _set(invoke, 6, seen)
    late = _set(invoke, 7, seen)
    # Then
    assert (unborn.status, changed.status, late.status) == (412, 200, 412)
    assert rows("SELECT quota FROM nexus.rate_limits") == [{"quota": 6}]


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ({"operations": "lake.insert_record"}, {"quota": 5}, "operations"),
        ({"operations": "lakes"}, {"quota": 5}, "operations"),
        ({"operations": "LAKE"}, {"quota": 5}, "operations"),
        ({"tenant": "Acme"}, {"quota": 5}, "tenant"),
        ({"client": "reports"}, {"quota": 5}, "client"),
        ({}, {}, "quota"),
        ({}, {"quota": 0}, "quota"),
        ({}, {"quota": True}, "quota"),
        ({}, {"quota": 1_000_001}, "quota"),
        ({}, {"quota": 5, "window_seconds": 86_401}, "window_seconds"),
        ({}, {"quota": 5, "window": 60}, "window"),
    ],
)
def test_what_is_no_limit_is_refused(
    invoke: Invoker, name: dict[str, str], body: dict[str, Any], field: str
) -> None:
    # Given / When
    answer = invoke("nexus.set_rate_limit", path={**NAME, **name}, body=body)
    # Then
    assert answer.status == 422
    assert field in answer.fields
    assert rows("SELECT FROM nexus.rate_limits") == []


def test_no_tenant_raises_its_own_limit(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@acme.example", roles=["admin"], tenant="acme")
    editor = add_user("ann@example.com")
    # When
    answers = [
        invoke("nexus.set_rate_limit", path=NAME, body={"quota": 9}, **acting(who))
        for who in (admin, editor)
    ]
    # Then
    assert [answer.status for answer in answers] == [403, 403]
    assert rows("SELECT FROM nexus.rate_limits") == []


def test_who_set_it_is_in_the_audit_trail(invoke: Invoker) -> None:
    # Given
    admin = add_user("admin@example.com", roles=["admin"])
    # When
    invoke("nexus.set_rate_limit", path=NAME, body={"quota": 9}, **acting(admin))
    # Then
    (record,) = rows("SELECT principal, resource, outcome FROM nexus.audit")
    assert record["principal"] == admin.principal
    assert record["resource"].endswith("/acme/lake.insert_records/client:reports")
    assert record["outcome"] == "done"
