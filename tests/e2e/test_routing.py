"""A service of one's own behind the router, through the gateway, with real workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from datapunk import cache, registry
from datapunk.registry import PLATFORM, Registration
from datapunk.settings import settings

from tests.e2e.clone import Clone, eventually
from tests.e2e.web import Web
from tests.support.routing import Upstream, running

SERVICE = "e2e-billing"


@pytest.fixture
def upstream(platform: Clone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """Return a running instance that is registered with the platform."""
    monkeypatch.setenv("REDIS_URL", platform.endpoints["redis"])
    settings.cache_clear()
    cache.forget()
    with running("e2e-billing-1") as found:
        registry.register(
            PLATFORM,
            Registration(id=found.name, service=SERVICE, address="127.0.0.1", port=found.port),
            owner="service:tests",
        )
        yield found
        registry.deregister(PLATFORM, found.name, owner="service:tests")
    cache.forget()
    settings.cache_clear()


@pytest.mark.timeout(300)
def test_a_service_becomes_a_part_of_the_api(platform: Clone, upstream: Upstream) -> None:
    # Given a rule of the operator's
    api = Web(platform.endpoints["api"])
    admin = {"Authorization": f"Bearer {platform.token('admin', 'read write admin')}"}
    rule = {"service": SERVICE, "path": "/v1/{path+}", "rewrite": "/{path+}"}
    made = api.call("PUT", f"/v1/nexus/routes/{SERVICE}", rule, **admin)
    assert made.status == 200, made.body
    # When / Then the next request follows it
    place = f"/v1/services/{SERVICE}/v1"
    read = api.get(f"{place}/things?q=1", **admin)
    assert (read.status, read.json()["path"]) == (200, "/things")
    # A request that writes is sent by a worker, once, and answered in place
    written = api.post(f"{place}/status/201", {"amount": 1}, **admin)
    assert (written.status, written.json()["body"]) == (201, '{"amount": 1}')
    # One that nobody waits for has its answer later
    taken = api.get(f"{place}/slow/1", Prefer="respond-async", **admin)
    assert taken.status == 202
    later = taken.headers["location"]
    eventually(lambda: api.get(later, **admin).status == 200)
    assert api.get(later, **admin).json()["path"] == "/slow/1"
    assert upstream.methods() == ["GET", "POST", "GET"]
    # And a rule that is gone routes nothing
    assert api.call("DELETE", f"/v1/nexus/routes/{SERVICE}", **admin).status == 204
    assert api.get(f"{place}/things", **admin).status == 404
