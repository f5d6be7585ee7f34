"""nexus.mirror_service: Cloud Map has what the registry has, whatever order changes come in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from datapunk import registry
from datapunk.errors import UnavailableError
from datapunk.events import CloudEvent
from datapunk.nexus.registry.deployed import register_deployed
from datapunk.nexus.registry.mirror import mirror_service, service_name
from datapunk.registry import PLATFORM, Status, cloud_map
from datapunk.registry.changes import publish_changes
from datapunk.settings import settings
from moto import mock_aws

from tests.support.invoking import run
from tests.support.registering import OWNER, TENANT, join
from tests.support.samples import load_sample, rmq_event
from tests.support.services import Broker

OPERATION = "nexus.mirror_service"


@pytest.fixture
def cloud(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of a Cloud Map with an empty namespace, which functions mirror to."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("servicediscovery", region_name="us-east-1")
        client.create_http_namespace(Name="datapunk")
        [namespace] = client.list_namespaces()["Namespaces"]
        monkeypatch.setenv("CLOUD_MAP_NAMESPACE", namespace["Id"])
        settings.cache_clear()
        cloud_map.client.cache_clear()
        yield client
    cloud_map.client.cache_clear()


def _discovered(cloud: Any, service: str, health: str = "ALL") -> dict[str, dict[str, str]]:
    found = cloud.discover_instances(
        NamespaceName="datapunk", ServiceName=service, HealthStatus=health
    )
    return {item["InstanceId"]: item["Attributes"] for item in found["Instances"]}


def test_what_is_published_arrives_in_cloud_map(database: str, broker: Broker, cloud: Any) -> None:
    # Given
    join("web-1", tags=("v2",), meta={"version": "2"})
    join("web-2", address="web.internal")
    register_deployed({"lake": ["create_dataset"]})
    publish_changes()
    taken = broker.take("nexus.mirror_service")
    messages = [
        {"body": body, "message_id": properties.message_id, "headers": properties.headers}
        for properties, body in taken
    ]
    # When
    outcome = run(OPERATION, rmq_event("nexus.mirror_service", messages))
    # Then
    assert outcome["done"] == len(messages) == 3
    assert _discovered(cloud, "web.acme") == {
        "web-1": {
            "kind": "http",
            "weight": "1",
            "version": "2",
            "tags": "v2",
            "AWS_INSTANCE_IPV4": "10.0.0.7",
            "AWS_INSTANCE_PORT": "8000",
            "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        },
        "web-2": {
            "kind": "http",
            "weight": "1",
            "address": "web.internal",
            "AWS_INSTANCE_PORT": "8000",
            "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        },
    }
    [lake] = _discovered(cloud, "lake").values()
    assert (lake["kind"], lake["function"]) == ("lambda", "datapunk-lake")


def test_the_mirror_follows_health_changes_and_removals(cloud: Any) -> None:
    # Given
    join("web-1")
    join("web-2")
    assert mirror_service(TENANT, "web") == 2
    assert mirror_service(TENANT, "web") == 0
    # When
    registry.beat(TENANT, "service:web-2", Status.CRITICAL, owner=OWNER)
    mirror_service(TENANT, "web")
    # Then
    assert list(_discovered(cloud, "web.acme", "HEALTHY")) == ["web-1"]
    # When
    registry.deregister(TENANT, "web-1", owner=OWNER)
    join("web-2", port=9000)
    registry.beat(TENANT, "service:web-2", owner=OWNER)
    assert mirror_service(TENANT, "web") == 2
    # Then
    [(name, attributes)] = _discovered(cloud, "web.acme", "HEALTHY").items()
    assert (name, attributes["AWS_INSTANCE_PORT"]) == ("web-2", "9000")


def test_the_last_instance_leaves_an_empty_service(cloud: Any) -> None:
    # Given
    assert mirror_service(TENANT, "web") == 0
    join()
    mirror_service(TENANT, "web")
    registry.deregister(TENANT, "web-1", owner=OWNER)
    # When
    assert mirror_service(TENANT, "web") == 1
    # Then
    assert _discovered(cloud, "web.acme") == {}


def test_where_there_is_no_namespace_nothing_is_asked(
    database: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    join()
    monkeypatch.setattr(cloud_map, "client", lambda: pytest.fail("Cloud Map was asked"))
    # When
    outcome = run(OPERATION, load_sample(OPERATION))
    # Then
    assert outcome["done"] == 1


def test_a_cloud_map_that_refuses_is_tried_again(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a service that somebody else has deleted meanwhile
    join()
    monkeypatch.setattr(cloud_map, "service_id", lambda *_, **__: "srv-unknown")
    # When / Then the message is not lost
    with pytest.raises(UnavailableError, match="Cloud Map refuses: ServiceNotFound"):
        mirror_service(TENANT, "web")


def test_names_of_tenants_and_the_platform_do_not_meet() -> None:
    # Given / When / Then
    assert service_name(PLATFORM, "lake") == "lake"
    assert service_name("acme", "lake") == "lake.acme"
    assert service_name("acme", "my.web") == "my-web.acme"
    assert CloudEvent(source="/x", type="service.registered").subject is None
