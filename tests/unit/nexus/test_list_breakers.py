"""nexus.list_breakers: what is known of every target, for the operators of the platform."""

from __future__ import annotations

import json
import uuid

import pytest
from datapunk.mesh import breaker
from datapunk.mesh.breaker import BreakerPolicy

from tests.support.breaking import call, fail
from tests.support.invoking import Answer, Invoker, answer
from tests.support.samples import http_event

pytestmark = pytest.mark.usefixtures("database")


def _ask(invoke: Invoker, tenant: str = "public", scopes: str = "read write admin") -> Answer:
    return invoke("nexus.list_breakers", tenant=tenant, roles="admin", scopes=scopes)


def test_open_and_closed_breakers_are_listed(invoke: Invoker) -> None:
    # Given
    breaker.forget()
    well, ill = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("well", "ill"))
    call(well, BreakerPolicy(concurrency=4))
    for _ in range(7):
        fail(ill)
    # When
    answer = _ask(invoke)
    # Then
    items = {item["target"]: item for item in answer.json["items"]}
    assert (items[well]["state"], items[well]["calls"], items[well]["busy"]) == ("closed", 1, 0)
    assert (items[ill]["state"], items[ill]["failures"], items[ill]["refused"]) == ("open", 5, 2)
    assert 0 < items[ill]["retry_after"] <= 60


@pytest.mark.parametrize(
    ("tenant", "scopes"), [("acme", "read write admin"), ("public", "read write")]
)
def test_others_do_not_see_them(invoke: Invoker, tenant: str, scopes: str) -> None:
    # Given / When / Then
    assert _ask(invoke, tenant, scopes).status == 403


def test_without_redis_it_says_so(invoke: Invoker, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    # When
    answer = _ask(invoke)
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "redis")
    assert answer.headers["retry-after"] == "2"


def test_hystrix_dashboards_read_them_too() -> None:
    # Given
    breaker.forget()
    ill = f"orders/{uuid.uuid4().hex[:8]}"
    for _ in range(6):
        fail(ill)
    path = "/v1/nexus/breakers/stream"
    event = http_event("nexus.list_breakers")
    # When
    got = answer("nexus.list_breakers", {**event, "path": path, "resource": path})
    # Then
    assert got.headers["content-type"] == "text/event-stream"
    first, *events = got.body.split("\n\n")
    found = [json.loads(event.removeprefix("data: ")) for event in events if event]
    (command,) = [item for item in found if item["name"] == ill]
    assert first == "retry: 1000"
    assert (command["type"], command["group"]) == ("HystrixCommand", "orders")
    assert command["isCircuitBreakerOpen"] is True
    counts = [command[name] for name in ("requestCount", "errorCount", "errorPercentage")]
    assert counts == [5, 5, 100]
    assert command["rollingCountShortCircuited"] == 1
