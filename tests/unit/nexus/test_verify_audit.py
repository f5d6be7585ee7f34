"""GET /v1/nexus/audit/verification."""

from __future__ import annotations

from typing import Any

import psycopg
from datapunk.audit import record_alone
from datapunk.identity import Caller

from tests.support.invoking import Invoker

AUDITOR: dict[str, Any] = {"tenant": "acme", "roles": "auditor", "scopes": "read"}


def _write(number: int) -> None:
    for place in range(number):
        record_alone("lake.x", f"things/{place}", "done", caller=Caller("user:ada", "acme"))


def test_a_whole_chain(invoke: Invoker, database: str) -> None:
    # Given
    _write(3)
    # When
    answer = invoke("nexus.verify_audit", **AUDITOR)
    # Then
    assert answer.status == 200
    found = answer.json
    assert (found["tenant"], found["whole"], found["complete"]) == ("acme", True, True)
    assert (found["records"], found["checked_to"], found["broken"]) == (3, 3, [])


def test_a_changed_row_is_named(invoke: Invoker, database: str) -> None:
    # Given
    _write(3)
    with psycopg.connect(database) as intruder:
        intruder.execute("SET ROLE audit_owner")
        intruder.execute("UPDATE nexus.audit SET principal = 'user:bea' WHERE sequence = 2")
    # When
    answer = invoke("nexus.verify_audit", **AUDITOR)
    # Then
    assert answer.json["whole"] is False
    assert answer.json["broken"] == [
        {"sequence": 2, "reason": "was changed: its hash does not cover what it says"}
    ]


def test_a_check_goes_on_where_another_ended(invoke: Invoker, database: str) -> None:
    # Given too little time for the first
    _write(3)
    stopped = invoke("nexus.verify_audit", seconds=4.0, **AUDITOR)
    # When
    query = {"after": str(stopped.json["checked_to"])}
    answer = invoke("nexus.verify_audit", query=query, **AUDITOR)
    # Then
    assert (stopped.json["complete"], stopped.json["records"]) == (False, 0)
    assert answer.json["complete"]
    assert answer.json["whole"]


def test_whoever_is_no_auditor_is_refused(invoke: Invoker, database: str) -> None:
    # Given / When
    answer = invoke("nexus.verify_audit", tenant="acme", roles="viewer", scopes="read")
    # Then
    assert answer.status == 403
