"""The registry against a real Redis: leases, indexes, owners, tenants, and what time does."""

from __future__ import annotations

import threading
import time

import pytest
from datapunk import cache, registry
from datapunk.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from datapunk.registry import PLATFORM, Check, Kind, Registration, Status, Weights
from datapunk.registry.store import index_of, key, sweep

from tests.support.registering import OWNER, TENANT, changes_of, join, ttl, web
from tests.support.services import Instance, eventually

pytestmark = pytest.mark.usefixtures("environment")


def found(service: str = "web", tenant: str = TENANT) -> dict[str, Status]:
    """Return how each instance that a tenant finds is."""
    return {item.id: item.status for item in registry.instances(tenant, service)[0]}


def test_what_is_registered_is_found_as_it_was_described() -> None:
    # Given
    wanted = web(
        kind=Kind.GRPC, tags=("v2", "eu"), meta={"version": "2"}, weights=Weights(passing=5)
    )
    # When
    index = registry.register(TENANT, wanted, owner=OWNER)
    # Then
    [instance], now = registry.instances(TENANT, "web")
    assert now == index
    assert Registration(**instance.document.model_dump(exclude={"owner", "checks"})) == wanted
    assert (instance.status, instance.weight) == (Status.PASSING, 5)
    assert found("webs") == found("we") == {}
    assert changes_of(TENANT) == [("service.registered", "", "passing")]


def test_the_same_again_changes_nothing_and_anything_new_moves_the_index() -> None:
    # Given
    first = join()
    # When
    again = join()
    other = join(port=9000)
    # Then
    assert again == first < other
    assert [event for event, *_ in changes_of(TENANT)] == ["service.registered"] * 2


def test_a_lease_that_is_not_renewed_runs_out() -> None:
    # Given
    index = join(seconds=1)
    # When
    for _ in range(4):
        time.sleep(0.3)
        # Then renewing it is no change
        assert registry.beat(TENANT, "service:web-1", owner=OWNER) == index
    eventually(lambda: found() == {"web-1": Status.CRITICAL}, seconds=5)
    assert index_of(TENANT) > index
    assert changes_of(TENANT)[1:] == [("service.health.changed", "passing", "critical")]
    # When it comes back
    registry.beat(TENANT, "service:web-1", owner=OWNER)
    # Then
    assert found() == {"web-1": Status.PASSING}
    assert changes_of(TENANT)[2:] == [("service.health.changed", "critical", "passing")]


def test_what_stays_critical_is_removed_when_it_asked_for_that() -> None:
    # Given
    join("web-1", seconds=0.2, reap_ms=200)
    join("web-2", seconds=0.2)
    # When / Then
    eventually(lambda: found() == {"web-2": Status.CRITICAL}, seconds=5)
    with pytest.raises(NotFoundError, match="register the service anew"):
        registry.beat(TENANT, "service:web-1", owner=OWNER)
    assert changes_of(TENANT)[-1] == ("service.deregistered", "critical", "critical")
    for part in ("checks", "states"):
        assert cache.client().hkeys(key(TENANT, part)) == ["service:web-2"]


def test_an_expiry_wakes_who_waits_though_nobody_sweeps() -> None:
    # Given
    index = join(seconds=0.4)
    started = time.monotonic()
    # When
    woken = registry.wait(TENANT, index, 10)
    # Then
    assert woken > index
    assert time.monotonic() - started >= 0.3
    assert found() == {"web-1": Status.CRITICAL}


def test_waiting_ends_with_the_time_or_with_a_change() -> None:
    # Given
    index = join()
    # When / Then
    assert registry.wait(TENANT, index, 0.2) == index
    # When
    threading.Timer(0.2, join, ("web-2",)).start()
    # Then
    assert registry.wait(TENANT, index, 10) > index
    assert set(found()) == {"web-1", "web-2"}


def test_an_instance_is_as_its_worst_check() -> None:
    # Given
    checks = [ttl("web-1").model_copy(update={"id": name}) for name in ("disk", "load")]
    registry.register(
        TENANT,
        web(weights=Weights(passing=10, warning=1)),
        [(check, Status.PASSING) for check in checks],
        owner=OWNER,
    )
    # When
    registry.beat(TENANT, "disk", Status.WARNING, "90 % full", owner=OWNER)
    # Then
    [instance], _ = registry.instances(TENANT, "web")
    assert (instance.status, instance.weight) == (Status.WARNING, 1)
    # When
    registry.beat(TENANT, "load", Status.CRITICAL, owner=OWNER)
    # Then
    [instance], _ = registry.instances(TENANT, "web")
    assert (instance.status, instance.weight) == (Status.CRITICAL, 0)
    # When a check is no longer wanted
    registry.register(TENANT, web(), [(checks[0], None)], owner=OWNER)
    # Then the other has kept its state
    assert found() == {"web-1": Status.WARNING}


def test_nobody_changes_what_others_own_but_who_may() -> None:
    # Given
    join()
    stranger = "service:stranger"
    # When / Then
    with pytest.raises(ForbiddenError):
        registry.register(TENANT, web(address="10.6.6.6"), owner=stranger)
    with pytest.raises(ForbiddenError):
        registry.beat(TENANT, "service:web-1", Status.CRITICAL, owner=stranger)
    with pytest.raises(ForbiddenError):
        registry.deregister(TENANT, "web-1", owner=stranger)
    with pytest.raises(ConflictError, match="another instance"):
        registry.register(
            TENANT,
            web("web-2"),
            [(ttl().model_copy(update={"instance": "web-2"}), None)],
            owner=OWNER,
        )
    assert found() == {"web-1": Status.PASSING}
    # When
    registry.deregister(TENANT, "web-1", owner=stranger, override=True)
    # Then
    assert found() == {}
    with pytest.raises(NotFoundError):
        registry.deregister(TENANT, "web-1", owner=OWNER)


def test_a_tenant_finds_its_own_and_the_platforms_and_cannot_take_the_platforms_names() -> None:
    # Given
    join()
    index = index_of(TENANT)
    lake = Registration(id="lake", service="lake", kind=Kind.LAMBDA, address="datapunk-lake")
    registry.register(PLATFORM, lake, owner="system")
    # When / Then
    assert index_of(TENANT) > index
    assert list(found("", TENANT)) == ["lake", "web-1"]
    assert list(found("", "other")) == ["lake"]
    with pytest.raises(ConflictError, match="service of the platform"):
        registry.register(TENANT, web("mine", service="lake"), owner=OWNER)


def test_a_tenant_has_no_more_instances_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setattr("datapunk.registry.store.MOST_INSTANCES", 2)
    join("web-1")
    join("web-2")
    # When / Then
    join("web-1", port=9000)
    with pytest.raises(ConflictError, match="2 instances"):
        join("web-3")


def test_a_probed_check_turns_critical_at_the_third_failure_and_passes_at_the_second_success() -> (
    None
):
    # Given
    check = Check(id="probe", instance="web-1", kind="http", target="http://10.0.0.7:8000/")
    registry.register(TENANT, web(), [(check, None)], owner=OWNER)
    # When
    results = [True, False, False, True, False, False, False, True, False, True, True]
    states = [
        registry.judge(TENANT, check, success=success, output=str(number))
        for number, success in enumerate(results)
    ]
    # Then it passes at the first success of all
    well, ill = Status.PASSING, Status.CRITICAL
    assert states == [well, well, well, well, well, well, ill, ill, ill, ill, well]
    with pytest.raises(ConflictError, match="takes no heartbeats"):
        registry.beat(TENANT, "probe", owner=OWNER)
    # When a probe of what is another check by now comes late
    moved = check.model_copy(update={"target": "http://10.0.0.8:8000/"})
    registry.register(TENANT, web(), [(moved, None)], owner=OWNER)
    # Then it says nothing about that
    assert registry.judge(TENANT, check, success=False, output="") is None


def test_the_sweeper_lets_leases_of_every_tenant_expire() -> None:
    # Given
    join(seconds=0.2)
    time.sleep(0.3)
    # When
    assert sweep() == 1
    # Then
    assert changes_of(TENANT)[1:] == [("service.health.changed", "passing", "critical")]


def test_the_index_does_not_go_back_where_redis_has_lost_its_data() -> None:
    # Given
    index = join()
    for part in ("instances", "checks", "states", "leases", "index", "names"):
        cache.client().delete(key(TENANT, part))
    # When / Then
    assert registry.wait(TENANT, index, 5) == 0
    with pytest.raises(NotFoundError):
        registry.beat(TENANT, "service:web-1", owner=OWNER)
    assert join() > index


def test_an_environment_remembers_for_five_seconds_and_goes_on_without_redis(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    join("web-1")
    assert [item.id for item in registry.discover("web", tenant=TENANT)] == ["web-1"]
    join("web-2")
    # When / Then
    assert [item.id for item in registry.discover("web", tenant=TENANT)] == ["web-1"]
    clock = time.monotonic() + 5
    monkeypatch.setattr("datapunk.registry.discovery.time.monotonic", lambda: clock)
    assert [item.id for item in registry.discover("web", tenant=TENANT)] == ["web-1", "web-2"]
    # When Redis does not answer
    monkeypatch.setattr("datapunk.registry.discovery.time.monotonic", lambda: clock + 6)
    with instance.frozen("redis"):
        known = registry.discover("web", tenant=TENANT)
        with pytest.raises(UnavailableError):
            registry.discover("unknown", tenant=TENANT)
        monkeypatch.setattr("datapunk.registry.discovery.time.monotonic", lambda: clock + 400)
        with pytest.raises(UnavailableError):
            registry.discover("web", tenant=TENANT)
    # Then
    assert [item.id for item in known] == ["web-1", "web-2"]
