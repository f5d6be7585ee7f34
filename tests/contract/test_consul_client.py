"""The stock client py-consul, against the gateway and the functions as they run on one machine.

Nothing of the client is changed. It has no setting for a path, but puts host and port into its address as
they are given: the path stands behind the port.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import consul
import psycopg
import pytest
from consul.exceptions import ACLDisabled, ACLPermissionDenied, BadRequest, ClientError
from datapunk.identity import Caller
from datapunk.nexus.tokens import issue_access_token
from datapunk.registry import PLATFORM, Kind, Registration, register

from infrastructure.local.catalog import Authorizer, Catalog, Function, RestApi, Route
from infrastructure.local.paths import PROJECT
from tests.integration.local.data_plane.plane import Plane
from tests.support.api_keys import issue
from tests.support.oauth import add_user
from tests.support.services import Instance, eventually

PATH = "/v1/nexus/consul/{path+}"
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
SHOP = Caller("service:shop", "acme")
OTHER = Caller("service:other", "acme")
STRANGER = Caller("service:shop", "umbrella")


def _function(operation: str, handler: str, environment: dict[str, str]) -> Function:
    name = f"test-{operation.replace('.', '-')}"
    return Function(
        name=name,
        arn=f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
        handler=handler,
        timeout=29.0,
        memory=512,
        environment=environment,
        code=str(PROJECT / "functions"),
        layers=(str(PROJECT / "layers" / "common"),),
    )


def _catalog(environment: dict[str, str]) -> Catalog:
    functions = [
        _function("nexus.authorize", "nexus.authorize.handler", environment),
        _function("nexus.consul", "nexus.consul.app.handler", environment),
        _function("nexus.get_consul_status", "nexus.get_consul_status.handler", environment),
    ]
    platform = Authorizer(name="Platform", function="test-nexus-authorize", kind="REQUEST", ttl=0)
    routes = tuple(
        Route(method=method, path=PATH, function="test-nexus-consul", authorizer=platform)
        for method in ("GET", "PUT")
    )
    status = Route(
        method="GET",
        path="/v1/nexus/consul/v1/status/{what}",
        function="test-nexus-get_consul_status",
    )
    return Catalog(
        functions={item.name: item for item in functions},
        rest_api=RestApi(id="api123", name="api", stage="local", routes=(*routes, status)),
    )


@pytest.fixture
def gateway(
    instance: Instance, database: str, key_ring: Path, tmp_path: Path
) -> Iterator[tuple[str, str]]:
    """Return host and port of a gateway with the registry's functions, as the client takes them."""
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": instance.url("redis"),
        "KEY_RING": f"file:{key_ring}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    plane = Plane(tmp_path / "plane")
    try:
        plane.start(_catalog(environment))
        yield "127.0.0.1", f"{plane.gateway_port}/v1/nexus/consul"
    finally:
        plane.stop()


def _client(
    gateway: tuple[str, str], caller: Caller = SHOP, *scopes: str, token: str | None = None
) -> Any:
    if token is None:
        issued = issue_access_token(caller, client_id="app", scopes=scopes or ("read", "write"))
        token = issued.access_token
    host, port = gateway
    return consul.Consul(host=host, port=port, token=token)


def _names(found: list[dict[str, Any]]) -> list[str]:
    return [item["Service"]["ID"] for item in found]


def test_the_stock_client_registers_discovers_blocks_and_times_out(
    gateway: tuple[str, str],
) -> None:
    client = _client(gateway)
    # When a service registers
    assert client.agent.service.register(
        "web",
        service_id="web-1",
        address="10.0.4.17",
        port=8000,
        tags=["v2", "eu"],
        meta={"version": "2"},
        weights={"Passing": 3, "Warning": 1},
        check=consul.Check.ttl("6s"),
    )
    # Then it is there, and as with an agent not yet well
    index, services = client.catalog.services()
    assert services == {"web": ["eu", "v2"]}
    _, [entry] = client.catalog.service("web")
    assert (entry["ServiceAddress"], entry["ServicePort"]) == ("10.0.4.17", 8000)
    assert client.health.service("web", passing=True)[1] == []
    [check] = client.health.state("critical")[1]
    assert check["CheckID"] == "service:web-1"
    assert list(client.agent.services()) == ["web-1"]
    assert client.status.leader()
    # When it says that it is well, whoever waits for that hears of it
    woken: list[tuple[str, list[str]]] = []

    def wait() -> None:
        now, found = _client(gateway).health.service("web", index=index, wait="20s", passing=True)
        woken.append((now, _names(found)))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    assert woken == []
    assert client.agent.check.ttl_pass("service:web-1", notes="all is well")
    waiting.join(10)
    assert [names for _, names in woken] == [["web-1"]]
    # When nothing happens within the time, the same is answered at the same index
    client.agent.check.ttl_pass("service:web-1")
    now, found = client.health.service("web", passing=True)
    assert client.health.service("web", index=now, wait="500ms", passing=True) == (now, found)
    assert client.health.service("web", tag="eu")[1] == found
    assert client.health.service("web", tag="us")[1] == []
    # When it says no more, the end of its lease wakes who waits
    started = time.monotonic()
    later, found = client.health.service("web", index=now, wait="20s", passing=True)
    assert found == []
    assert int(later) > int(now)
    assert time.monotonic() - started < 15
    assert client.health.checks("web")[1][0]["Output"] == "TTL expired"
    # When it leaves
    assert client.agent.service.deregister("web-1")
    assert client.catalog.services()[1] == {}
    assert client.health.service("web")[1] == []
    # Then its next heartbeat says so, and it registers anew
    assert client.agent.check.ttl_pass("service:web-1") is False


def test_who_may_what(gateway: tuple[str, str]) -> None:
    # Given
    client = _client(gateway)
    lake = Registration(id="lake", service="lake", kind=Kind.LAMBDA, address="datapunk-lake")
    register(PLATFORM, lake, owner="service:nexus")
    assert client.agent.service.register("web", service_id="web-1", address="10.0.4.17", port=80)
    # When / Then others of the tenant find it, and cannot change it
    other = _client(gateway, OTHER)
    assert list(other.catalog.services()[1]) == ["lake", "web"]
    assert other.agent.services() == {}
    with pytest.raises(ACLPermissionDenied):
        other.agent.service.deregister("web-1")
    with pytest.raises(ACLPermissionDenied):
        other.agent.service.register("web", service_id="web-1", address="10.6.6.6", port=80)
    # other tenants do not
    stranger = _client(gateway, STRANGER)
    assert list(stranger.catalog.services()[1]) == ["lake"]
    assert stranger.agent.service.register("web", address="10.0.9.9", port=80)
    assert _names(client.health.service("web", passing=True)[1]) == ["web-1"]
    # nobody takes the platform's names, or probes something else than himself
    with pytest.raises(ClientError, match="409"):
        client.agent.service.register("lake", address="10.0.4.17", port=80)
    check = consul.Check.http("http://169.254.169.254/latest/meta-data/", "5s")
    with pytest.raises(BadRequest, match="address that the service is registered with"):
        client.agent.service.register("web", address="10.0.4.17", port=80, check=check)
    # scopes count
    with pytest.raises(ACLPermissionDenied):
        _client(gateway, SHOP, "read").agent.service.register("a", address="10.0.4.17", port=80)
    with pytest.raises(ACLPermissionDenied):
        _client(gateway, SHOP, "write").catalog.services()
    # and so do credentials
    with pytest.raises(ACLDisabled):
        _client(gateway, token="nonsense").catalog.services()
    key = issue(add_user(), "read", "write")["key"]
    assert _client(gateway, token=key).agent.service.register("mine", address="10.0.4.1", port=1)
    # An administrator clears up
    admin = _client(gateway, Caller("user:1", "acme", ("admin",)), "read", "write", "admin")
    assert admin.agent.service.deregister("web-1")


def test_a_blocked_query_holds_no_connection_of_the_database(
    gateway: tuple[str, str], database: str
) -> None:
    # Given
    client = _client(gateway)
    assert client.agent.service.register("web", address="10.0.4.17", port=80)
    index, _ = client.catalog.services()
    asked = threading.Thread(target=lambda: client.catalog.services(index=index, wait="20s"))
    # When
    asked.start()
    time.sleep(0.5)
    # Then the authorizer's connection is all there is
    with psycopg.connect(database) as connection:
        eventually(lambda: connection.execute(OTHERS).fetchone() == (1,), seconds=15)
    assert asked.is_alive()
    # When something changes
    client.agent.service.deregister("web")
    # Then it is over
    asked.join(10)
    assert not asked.is_alive()
