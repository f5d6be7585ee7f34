"""nexus.register_services: the platform's own services are found, and gone once they are not deployed."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk import cache, registry
from datapunk.errors import ConfigurationError
from datapunk.nexus.registry import deployed
from datapunk.nexus.registry.deployed import register_deployed
from datapunk.registry import Kind, Status
from datapunk.settings import settings

from tests.support.answers import Answers
from tests.support.invoking import Invoker
from tests.support.samples import load_sample, operations
from tests.support.services import eventually

OPERATION = "nexus.register_services"


def _found() -> dict[str, Status]:
    return {item.id: item.status for item in registry.instances("acme")[0]}


def test_every_service_of_the_template_is_found_by_every_tenant(
    database: str, invoke: Invoker
) -> None:
    # Given / When
    outcome = invoke.sample(OPERATION)
    # Then
    modules = {operation.partition(".")[0] for operation in operations()}
    assert set(outcome["services"]) == modules
    [lake] = registry.discover("lake", tenant="acme")
    assert (lake.kind, lake.address, lake.status) == (Kind.LAMBDA, "datapunk-lake", Status.PASSING)
    assert f"lake.{lake.meta['operations'].split()[0]}" in operations()


def test_a_service_that_is_no_longer_deployed_is_gone_after_its_lease(
    database: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one more service in the last deployment
    monkeypatch.setattr(deployed, "LEASE", 1.5)
    register_deployed({"lake": ["a"], "cortex": ["b"]})
    monkeypatch.setattr(deployed, "LEASE", 60.0)
    # When
    register_deployed({"lake": ["a"]})
    # Then
    assert _found() == {"lake": Status.PASSING, "cortex": Status.PASSING}
    eventually(lambda: _found() == {"lake": Status.PASSING})


def test_renewing_an_entry_is_no_change(database: str, invoke: Invoker) -> None:
    # Given
    invoke.sample(OPERATION)
    index = registry.instances("acme")[1]
    # When
    invoke.sample(OPERATION)
    # Then
    assert registry.instances("acme")[1] == index


def test_entries_are_back_within_a_minute_after_redis_has_lost_its_data(
    database: str, invoke: Invoker
) -> None:
    # Given
    invoke.sample(OPERATION)
    for key in list(cache.client().scan_iter("registry:*")):
        cache.client().delete(key)
    assert _found() == {}
    # When the next schedule comes
    invoke.sample(OPERATION)
    # Then
    assert "lake" in _found()


def test_a_deployment_registers_them_as_well(
    database: str, invoke: Invoker, cloudformation: Answers
) -> None:
    # Given
    sample: dict[str, Any] = load_sample("stream.declare_topology")
    # When
    invoke.event(OPERATION, {**sample, "ResponseURL": cloudformation.url})
    by_hand = invoke.event(OPERATION, {})
    # Then
    assert [document["Status"] for document in cloudformation.documents] == ["SUCCESS"]
    assert sorted(_found()) == by_hand["services"]


def test_a_function_of_another_name_says_what_is_wrong(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "whatever")
    settings.cache_clear()
    # When / Then
    with pytest.raises(ConfigurationError, match="AWS_LAMBDA_FUNCTION_NAME is 'whatever'"):
        register_deployed()
