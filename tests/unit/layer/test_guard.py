"""What stands around real operations: the limit's headers, and one record for each request that needs one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from datapunk import cache, limits
from datapunk.audit_chain import AuditRecord, list_audit, verify_audit
from datapunk.database import transaction
from datapunk.identity import SYSTEM, Caller
from datapunk.settings import settings

from tests.support.invoking import Invoker, run
from tests.support.samples import http_event

DATASET = {"name": "things", "columns": [{"name": "a", "type": "text"}]}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cache.forget()
    limits.forget()
    yield
    cache.forget()
    limits.forget()


@pytest.fixture
def tenant(database: str) -> str:
    """Return a tenant of the test's own: Redis is shared."""
    return f"t{database.rpartition('_')[2]}"


def _trail(tenant: str) -> list[AuditRecord]:
    with transaction(Caller("user:auditor", tenant)) as tx:
        assert verify_audit(tx, tenant).whole
        return list_audit(tx, limit=100).items


def _limit(quota: int, **columns: str) -> None:
    values = {"subject": "", "service": "", "route": "", **columns}
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (subject, service, route, quota, window_seconds)"
            " VALUES (%(subject)s, %(service)s, %(route)s, %(quota)s, 3600)",
            {**values, "quota": quota},
        )
    limits.forget()


def test_every_answer_of_a_limited_route_has_the_limit(invoke: Invoker, tenant: str) -> None:
    # Given / When
    answers = [
        invoke("lake.list_datasets", tenant=tenant),
        invoke("lake.get_dataset", tenant=tenant, path={"dataset": "none"}),
        invoke("lake.create_dataset", tenant=tenant, body="{", content_type="application/json"),
        invoke("lake.create_dataset", tenant=tenant, body=DATASET, scopes="read"),
    ]
    # Then
    assert [answer.status for answer in answers] == [200, 404, 400, 403]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == [
        "r=999",
        "r=998",
        "r=997",
        "r=996",
    ]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=1000;w=60'}


def test_too_many_requests_are_told_when_to_come_back(invoke: Invoker, tenant: str) -> None:
    # Given
    _limit(2, route="lake.list_datasets")
    # When
    answers = [invoke("lake.list_datasets", tenant=tenant) for _ in range(3)]
    # Then
    assert [answer.status for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.json["code"] == "too_many_requests"
    assert 3_500 < int(refused.headers["retry-after"]) <= 3_600
    assert refused.headers["ratelimit"].startswith('"lake.list_datasets";r=0;t=')
    # and other operations go on
    assert invoke("lake.get_dataset", tenant=tenant, path={"dataset": "x"}).status == 404


def test_nobody_is_known_by_a_header_he_sends(invoke: Invoker, tenant: str) -> None:
    # Given
    _limit(1, route="lake.list_datasets")
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Principal": "user:other", "X-Tenant": "other"}
    # When
    answers = [invoke("lake.list_datasets", tenant=tenant, headers=headers) for _ in range(2)]
    # Then
    assert [answer.status for answer in answers] == [200, 429]


def test_health_and_documents_are_not_limited(invoke: Invoker, tenant: str) -> None:
    # Given / When
    answers = [invoke("nexus.check_health"), invoke("nexus.describe_api")]
    # Then
    assert not any("ratelimit" in answer.headers for answer in answers)


def test_a_change_is_recorded_once_and_with_it(invoke: Invoker, tenant: str) -> None:
    # Given / When
    answer = invoke("lake.create_dataset", tenant=tenant, body=DATASET, principal="user:ada")
    # Then
    assert answer.status == 201
    (found,) = _trail(tenant)
    assert (found.action, found.outcome) == ("lake.create_dataset", "done")
    assert (found.principal, found.resource) == ("user:ada", "/v1/lake/datasets")
    assert found.trace_id == answer.headers["traceparent"].split("-")[1]
    assert found.source


def test_as_many_records_as_changing_calls(invoke: Invoker, tenant: str) -> None:
    # Given
    invoke("lake.create_dataset", tenant=tenant, body=DATASET)
    # When
    bodies: list[Any] = [[{"a": "1"}], [{"b": "no such column"}], "[", []]
    answers = [
        invoke(
            "lake.insert_records",
            tenant=tenant,
            path={"dataset": "things"},
            body=body if isinstance(body, str) else json.dumps(body),
            content_type="application/json",
        )
        for body in bodies
    ]
    invoke("lake.list_datasets", tenant=tenant)
    # Then reading is not recorded, and what failed is
    trail = [item for item in reversed(_trail(tenant)) if item.action == "lake.insert_records"]
    assert [item.outcome for item in trail] == [
        "done" if answer.status < 400 else "failed" for answer in answers
    ]
    assert [item.detail.get("code") for item in trail if item.outcome == "failed"] == [
        answer.json["code"] for answer in answers if answer.status >= 400
    ]


@pytest.mark.parametrize("operation", ["lake.create_dataset", "lake.list_datasets"])
def test_what_was_denied_is_recorded(invoke: Invoker, tenant: str, operation: str) -> None:
    # Given / When
    answer = invoke(operation, tenant=tenant, scopes="nothing")
    # Then
    assert answer.status == 403
    (found,) = _trail(tenant)
    assert (found.action, found.outcome) == (operation, "denied")
    assert found.detail == {"status": 403, "code": "forbidden"}


def test_what_needs_the_scope_admin_is_recorded_though_it_reads(
    invoke: Invoker, tenant: str
) -> None:
    # Given / When
    answer = invoke("nexus.list_users", tenant=tenant, roles="admin", scopes="read admin")
    # Then
    assert answer.status in (200, 403)
    assert [item.action for item in _trail(tenant)] == ["nexus.list_users"]


def test_without_redis_requests_pass_without_their_number(
    invoke: Invoker, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()
    # When
    answer = invoke("lake.list_datasets", tenant=tenant)
    # Then
    assert answer.status == 200
    assert answer.headers["ratelimit-policy"] == '"default";q=1000;w=60'
    assert "ratelimit" not in answer.headers


def test_refused_credentials_are_recorded_with_their_senders_address(tenant: str) -> None:
    # Given
    event = http_event("nexus.authorize", headers={"Authorization": "Bearer nonsense"})
    # When
    with pytest.raises(Exception, match="Unauthorized"):
        run("nexus.authorize", event)
    # Then
    (found,) = _trail("public")
    assert (found.action, found.outcome, found.principal) == (
        "nexus.authorize",
        "denied",
        "anonymous",
    )
    assert found.source == event["requestContext"]["identity"]["sourceIp"]
    assert "nonsense" not in str(found)


def test_refusals_beyond_an_addresss_limit_are_not_recorded(tenant: str) -> None:
    # Given
    event = http_event("nexus.authorize", headers={"Authorization": "Bearer nonsense"})
    event["requestContext"]["identity"]["sourceIp"] = f"192.0.2.1-{tenant}"
    _limit(2, route="nexus.authorize")
    # When
    for _ in range(4):
        with pytest.raises(Exception, match="Unauthorized"):
            run("nexus.authorize", event)
    # Then
    assert len(_trail("public")) == 2
