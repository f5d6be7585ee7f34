"""nexus.list_breakers: what is known of every target, for the operators of the platform."""

from __future__ import annotations

import uuid

import pytest
from datapunk.mesh import breaker
from datapunk.mesh.breaker import BreakerPolicy

from tests.support.breaking import call, fail
from tests.support.invoking import Answer, Invoker

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
