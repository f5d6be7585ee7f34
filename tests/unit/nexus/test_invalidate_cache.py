"""nexus.invalidate_cache: what is cached is void, for whom the caller may say so."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk import cache
from datapunk.cache.namespaces import LAKE_DATASET, Place
from datapunk.cache.reading import forget

from tests.support.invoking import Answer, Invoker
from tests.support.people import add_user
from tests.support.services import Instance

OPERATION = "nexus.invalidate_cache"


@pytest.fixture(autouse=True)
def datasets(database: str, invoke: Invoker) -> None:
    """Make a dataset of two tenants, both cached."""
    for tenant in ("acme", "other"):
        assert invoke("lake.create_dataset", tenant=tenant).status == 201


def _void(
    invoke: Invoker, tenant: str, body: dict[str, Any] | None = None, principal: str = "user:ada"
) -> Answer:
    """Send the request as an administrator of a tenant."""
    scopes = "read write admin"
    return invoke(
        OPERATION, body=body, tenant=tenant, principal=principal, roles="admin", scopes=scopes
    )


def _answered(invoke: Invoker, tenant: str) -> str:
    """Return who answers an environment that has read nothing yet."""
    forget()
    return invoke("lake.get_dataset", tenant=tenant).headers["x-cache"]


@pytest.mark.parametrize("key", ["co2_weekly", None])
def test_values_of_the_callers_tenant_are_void(key: str | None, invoke: Invoker) -> None:
    # Given
    body = {"namespace": "lake.dataset", "key": key, "cause": "test"}
    before = _answered(invoke, "acme")
    # When
    answer = _void(invoke, "acme", body)
    # Then
    assert (answer.status, answer.json) == (200, {**body, "everywhere": False})
    assert [before, _answered(invoke, "acme"), _answered(invoke, "other")] == [
        "hit-l2",
        "miss",
        "hit-l2",
    ]


def test_only_the_platforms_administrators_void_everything(invoke: Invoker) -> None:
    # Given
    body = {"namespace": "lake.dataset", "everywhere": True}
    ann = add_user(roles=("admin",))
    # When
    refused = _void(invoke, "acme", body)
    kept = _answered(invoke, "other")
    done = _void(invoke, "public", body, f"user:{ann.id}")
    # Then
    assert (refused.status, kept) == (403, "hit-l2")
    assert done.status == 200, done.body
    assert [_answered(invoke, tenant) for tenant in ("acme", "other")] == ["miss", "miss"]


def test_an_unknown_namespace(invoke: Invoker) -> None:
    # Given / When
    answer = _void(invoke, "acme", {"namespace": "nothing"})
    # Then
    assert (answer.status, answer.fields) == (404, {"namespace": "not_found"})
    assert "lake.dataset" in answer.json["detail"]


def test_without_redis_nothing_is_claimed(
    invoke: Invoker, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    with instance.frozen("redis"):
        # When
        answer = _void(invoke, "acme")
    # Then
    assert (answer.status, answer.json["dependency"]) == (503, "redis")
    assert cache.client().exists(Place(LAKE_DATASET, "acme", "co2_weekly").keys()[0])
