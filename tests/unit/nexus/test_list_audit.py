"""GET /v1/nexus/audit."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from datapunk.audit import Outcome, record_alone
from datapunk.identity import Caller

from tests.support.invoking import Invoker

AUDITOR: dict[str, Any] = {"roles": "auditor", "scopes": "read"}


@pytest.fixture
def tenant(database: str) -> str:
    """Return a tenant with three records."""
    for number in range(3):
        outcome: Outcome = "denied" if number == 1 else "done"
        record_alone(
            f"lake.action_{number}", "things", outcome, caller=Caller(f"user:{number}", "acme")
        )
    return "acme"


def test_an_auditor_reads_page_by_page(invoke: Invoker, tenant: str) -> None:
    # Given / When
    first = invoke("nexus.list_audit", tenant=tenant, query={"limit": "2"}, **AUDITOR)
    cursor = first.json["next_cursor"]
    query = {"limit": "2", "cursor": cursor}
    second = invoke("nexus.list_audit", tenant=tenant, query=query, **AUDITOR)
    # Then
    assert (first.status, second.status) == (200, 200)
    assert [item["action"] for item in first.json["items"]] == ["lake.action_2", "lake.action_1"]
    assert [item["action"] for item in second.json["items"]] == ["lake.action_0"]
    assert second.json["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ({"outcome": "denied"}, [2]),
        ({"principal": "user:0"}, [1]),
        ({"action": "lake.action_2"}, [3]),
        ({"action": "' OR true --"}, []),
    ],
)
def test_records_are_filtered(
    invoke: Invoker, tenant: str, query: dict[str, str], sequences: list[int]
) -> None:
    # Given / When
    answer = invoke("nexus.list_audit", tenant=tenant, query=query, **AUDITOR)
    # Then
    assert [item["sequence"] for item in answer.json["items"]] == sequences


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_a_record_of_every_outcome_is_shown(
    invoke: Invoker, database: str, outcome: Outcome
) -> None:
    # Given
    record_alone("lake.action", "things", outcome, caller=Caller("user:1", "acme"))
    # When
    answers = [
        invoke("nexus.list_audit", tenant="acme", query=query, **AUDITOR)
        for query in ({}, {"outcome": outcome, "action": "lake.action"})
    ]
    # Then
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].json["items"][0]["outcome"] == outcome


def test_a_tenant_reads_its_own_records_only(invoke: Invoker, tenant: str) -> None:
    # Given / When
    answer = invoke("nexus.list_audit", tenant="other", query={}, **AUDITOR)
    # Then
    assert answer.json["items"] == []


def test_an_editor_is_refused_and_that_is_recorded(invoke: Invoker, tenant: str) -> None:
    # Given / When
    refused = invoke("nexus.list_audit", tenant=tenant, roles="editor", scopes="read write")
    found = invoke(
        "nexus.list_audit", tenant=tenant, query={"action": "nexus.list_audit"}, **AUDITOR
    )
    # Then
    assert refused.status == 403
    (item,) = found.json["items"]
    assert (item["outcome"], item["resource"]) == ("denied", "/v1/nexus/audit")
    assert item["detail"] == {"status": 403, "code": "forbidden"}


def test_reading_the_audit_is_itself_recorded(invoke: Invoker, tenant: str) -> None:
    # Given
    invoke("nexus.list_audit", tenant=tenant, query={}, **AUDITOR)
    # When
    answer = invoke("nexus.list_audit", tenant=tenant, query={"limit": "1"}, **AUDITOR)
    # Then
    (item,) = answer.json["items"]
    assert (item["action"], item["outcome"]) == ("nexus.list_audit", "done")


def test_a_cursor_of_another_list_is_refused(invoke: Invoker, tenant: str) -> None:
    # Given
    first = invoke("nexus.list_audit", tenant=tenant, query={"limit": "1"}, **AUDITOR)
    query = {"cursor": first.json["next_cursor"], "outcome": "done"}
    # When
    answer = invoke("nexus.list_audit", tenant=tenant, query=query, **AUDITOR)
    # Then
    assert (answer.status, answer.fields) == (422, {"cursor": "cursor"})
