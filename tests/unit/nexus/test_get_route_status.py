"""GET /v1/nexus/routes/{route}/status."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.nexus.routing import speed

from tests.support.invoking import Invoker
from tests.support.people import acting, add_user
from tests.support.routing import add_route, ask, enter, instances


@pytest.fixture
def operator(database: str) -> dict[str, Any]:
    """Return what makes a request one of an operator's."""
    return acting(add_user("root@example.com", roles=["admin"]))


def _status(operator: dict[str, Any]) -> Any:
    return Invoker()("nexus.get_route_status", path={"route": "billing"}, **operator)


@pytest.mark.usefixtures("authority")
def test_weights_failures_and_the_breaker_are_told(operator: dict[str, Any]) -> None:
    # Given two instances, one of them ill
    with instances("one", "two") as (one, _):
        add_route(
            timeout="ai",
            canary={"percent": 20, "version": "2"},
            ejection={"failures": 1, "base_seconds": 60},
        )
        enter(one, meta={"version": "2"})
        one.control(status=503)
        assert [ask("/things").status for _ in range(6)] == [200] * 6
        # When
        told = _status(operator)
    # Then
    assert told.status == 200, told.body
    first, second = told.json["instances"]
    assert (first["id"], first["version"], first["weight"]) == ("one", "2", 20)
    assert (first["ejections"], second["ejections"]) == (1, 0)
    assert first["ejected_until"] is not None
    assert second["weight"] == 80
    assert (told.json["breaker"]["state"], told.json["breaker"]["calls"]) == ("closed", 6)


@pytest.mark.usefixtures("authority")
def test_traffic_moves_away_from_a_slow_instance_and_the_reason_is_told(
    operator: dict[str, Any],
) -> None:
    # Given an adaptive rule, and an instance that becomes slow
    with instances("fast", "slow") as (fast, slow):
        add_route(timeout="ai", balance="adaptive")
        slow.control(seconds=0.2)
        for _ in range(12):
            assert ask("/things").status == 200
        before = len(slow.seen())
        speed.forget()
        # When
        for _ in range(20):
            assert ask("/things").status == 200
        told = _status(operator)
        # Then it has a twentieth of its share, and still that
        assert len(slow.seen()) - before <= 2
        assert len(fast.seen()) > 20
    item = next(item for item in told.json["instances"] if item["id"] == "slow")
    assert item["weight"] == pytest.approx(0.05)
    assert "times the best" in item["reason"]


def test_a_rule_without_instances(operator: dict[str, Any]) -> None:
    # Given
    add_route()
    # When
    told = _status(operator)
    # Then
    assert (told.json["instances"], told.json["breaker"]) == ([], None)
