"""nexus.probe_targets: real targets are killed and come back; nobody else is asked."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from datapunk import registry, schedule
from datapunk.nexus.registry.probing import ask, probe_for
from datapunk.registry import Check, Status
from datapunk.registry.addresses import may_reach
from datapunk.settings import settings

from tests.support.invoking import run
from tests.support.registering import OWNER, TENANT, join, web
from tests.support.samples import load_sample
from tests.support.services import Broker, eventually
from tests.support.targets import Target, targets, trickling

OPERATION = "nexus.probe_targets"
ROUND = 0.1
"""Seconds between two rounds, for the 5 s of the platform."""


def _check(name: str, target: str, **changes: Any) -> Check:
    given = {"kind": "http", "target": target, "timeout_ms": 500, **changes}
    return Check(id=f"service:{name}", instance=name, **given)


def _register(name: str, target: Target, **changes: Any) -> None:
    check = _check(name, target.url, **changes)
    address = web(name, address="127.0.0.1", port=target.port)
    registry.register(TENANT, address, [(check, None)], owner=OWNER)


def _passing() -> list[str]:
    found, _ = registry.instances(TENANT, "web")
    return [item.id for item in found if item.status is Status.PASSING]


@pytest.fixture
def prober(broker: Broker) -> Any:
    """Run the prober beside the test, twenty times as fast as the platform does."""
    thread = threading.Thread(target=probe_for, args=(20.0,), kwargs={"interval": ROUND})
    yield thread
    if thread.is_alive():
        for item in registry.instances(TENANT)[0]:
            registry.deregister(TENANT, item.id, owner=OWNER)
        thread.join(10)
    assert not thread.is_alive()


def test_a_killed_instance_gets_no_traffic_after_three_probes_and_comes_back_after_two(
    broker: Broker, prober: threading.Thread
) -> None:
    with targets(3) as made:
        # Given
        for number, target in enumerate(made, start=1):
            _register(f"web-{number}", target)
        assert _passing() == []
        # When
        prober.start()
        # Then all pass after their first probe
        eventually(lambda: _passing() == ["web-1", "web-2", "web-3"])
        # When one is killed
        made[1].kill()
        killed = time.monotonic()
        # Then it is gone within three rounds, and the others stay
        eventually(lambda: _passing() == ["web-1", "web-3"], seconds=30 * ROUND)
        assert time.monotonic() - killed >= 2 * ROUND * 0.8
        asked = [len(target.asked) for target in made]
        assert abs(asked[0] - asked[2]) <= 1
        # When it is back, but fails
        made[1].status = 500
        made[1].start()
        seen = len(made[1].asked)
        eventually(lambda: len(made[1].asked) >= seen + 3)
        assert _passing() == ["web-1", "web-3"]
        # When it is well
        made[1].status = 200
        # Then it passes after the second probe that finds it so
        eventually(lambda: _passing() == ["web-1", "web-2", "web-3"])
    told = [
        (event["subject"], event["data"]["instance"], event["data"]["after"])
        for event in (
            json.loads(body)
            for _, body in eventually(lambda: _taken(broker, "service.health.changed", 5))
        )
    ]
    assert told[3:5] == [("web", "web-2", "critical"), ("web", "web-2", "passing")]


def _taken(broker: Broker, event: str, wanted: int) -> list[tuple[Any, bytes]]:
    """Return the events of a kind that were published, once there are as many as wanted."""
    found = _seen.setdefault(broker.url, [])
    found += broker.take("nexus.mirror_service")
    fitting = [item for item in found if json.loads(item[1])["type"] == event]
    return fitting if len(fitting) >= wanted else []


_seen: dict[str, list[tuple[Any, bytes]]] = {}


def test_rounds_are_apart_by_the_interval_however_long_probes_take(broker: Broker) -> None:
    # Given one that does not answer and one that does
    with targets(1) as (target,), trickling() as port:
        _register("web-1", target)
        slow = _check("web-2", f"http://127.0.0.1:{port}/", timeout_ms=150)
        address = web("web-2", address="127.0.0.1", port=port)
        registry.register(TENANT, address, [(slow, None)], owner=OWNER)
        # When
        outcome = probe_for(1.8, interval=0.6)
        # Then
        assert (outcome["rounds"], outcome["probes"], len(target.asked)) == (3, 6, 3)
        assert _passing() == ["web-1"]


def test_nothing_to_watch_is_one_round_and_a_lease_is_enough_to_watch(
    database: str, broker: Broker
) -> None:
    # Given / When
    alone = run(OPERATION, load_sample(OPERATION))
    join(seconds=0.2)
    watched = probe_for(1.0, interval=ROUND)
    # Then an expired lease was noticed and told, with nobody reading
    assert alone["rounds"] == 1
    assert watched["rounds"] > 2
    assert watched["published"] == 2
    types = [json.loads(body)["type"] for _, body in broker.take("nexus.mirror_service")]
    assert types == ["service.registered", "service.health.changed"]


def test_changes_wait_for_the_broker(
    broker: Broker, no_broker_for_now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    join()
    # When
    with no_broker_for_now():
        assert probe_for(0.1, interval=ROUND)["published"] == 0
    # Then
    assert probe_for(0.1, interval=ROUND)["published"] == 1
    assert probe_for(0.1, interval=ROUND)["published"] == 0
    [(properties, body)] = broker.take("nexus.mirror_service")
    assert properties.headers["tenant"] == TENANT
    assert json.loads(body)["data"]["instance"] == "web-1"


@pytest.fixture
def no_broker_for_now(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a context in which nobody is where the broker should be."""
    import contextlib
    import os

    from datapunk.broker import connection

    @contextlib.contextmanager
    def without() -> Any:
        url = os.environ["AMQP_URL"]
        for now in ("amqp://nobody:nothing@127.0.0.1:1/%2F", url):
            monkeypatch.setenv("AMQP_URL", now)
            settings.cache_clear()
            connection.reset()
            if now != url:
                yield

    return without


def test_only_one_runs_at_a_time(broker: Broker, database: str) -> None:
    # Given a run of another environment
    join()
    token = schedule._take(OPERATION, "another", 60.0)
    assert token is not None
    # When
    outcome = run(OPERATION, load_sample(OPERATION))
    # Then
    assert outcome == {"skipped": True}
    assert broker.take("nexus.mirror_service") == []
    # When that is over, and nothing is registered any more
    schedule._release(OPERATION, token)
    registry.deregister(TENANT, "web-1", owner=OWNER)
    # Then the next one works
    assert run(OPERATION, load_sample(OPERATION))["published"] == 2


@pytest.mark.parametrize(
    ("status", "status_is_good"), [(200, 1), (204, 1), (302, 0), (404, 0), (503, 0)]
)
def test_a_status_says_how_a_target_is_and_redirections_are_not_followed(
    environment: None, status: int, status_is_good: int
) -> None:
    with targets(1) as (target,):
        # Given
        target.status = status
        # When
        finding = ask(_check("web-1", f"{target.url}?deep=1"))
        # Then
        assert (finding.success, finding.output) == (bool(status_is_good), f"HTTP {status}")
        assert target.asked == ["/health?deep=1"]


def test_a_port_that_listens_is_enough_for_tcp(environment: None) -> None:
    with targets(1) as (target,):
        # Given
        check = _check("web-1", f"127.0.0.1:{target.port}", kind="tcp")
        # When / Then
        assert ask(check).success
        target.kill()
        assert not ask(check).success


def test_an_answer_that_trickles_in_ends_with_the_time(environment: None) -> None:
    with trickling() as port:
        # Given
        started = time.monotonic()
        # When
        finding = ask(_check("web-1", f"http://127.0.0.1:{port}/", timeout_ms=200))
        # Then
        assert finding.output == "no answer within 0.2 s"
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.1.1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "224.0.0.1",
        "0.0.0.0",  # noqa: S104 -- an address that is refused
        "::",
        "255.255.255.255",
        "240.0.0.1",
        "127.0.0.1",
        "::1",
        "localhost",
    ],
)
def test_addresses_that_lead_into_the_platform_are_refused(
    environment: None, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    # Given the platform as it runs on AWS
    monkeypatch.setenv("DATAPUNK_STAGE", "prod")
    settings.cache_clear()
    # When / Then
    assert not may_reach(address)
    assert may_reach("10.0.4.17")


def test_probes_stay_in_the_networks_that_services_may_be_in(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("SERVICE_NETWORKS", "10.0.0.0/16 2001:db8::/32")
    settings.cache_clear()
    # When
    finding = ask(_check("web-1", "http://127.0.0.1:1/"))
    # Then
    assert finding.output == "The platform does not connect to 127.0.0.1."
    assert may_reach("10.0.4.17")
    assert may_reach("2001:db8::1")
    assert not may_reach("10.1.0.1")
