"""nexus.stream_breakers: what Hystrix's dashboard reads."""

from __future__ import annotations

import json
import uuid

import pytest
from datapunk.mesh import breaker

from tests.support.breaking import fail
from tests.support.invoking import Invoker

pytestmark = pytest.mark.usefixtures("database")


def test_hystrix_dashboards_read_breakers_too(invoke: Invoker) -> None:
    # Given
    breaker.forget()
    ill = f"orders/{uuid.uuid4().hex[:8]}"
    for _ in range(6):
        fail(ill)
    # When
    answer = invoke("nexus.stream_breakers")
    # Then
    assert answer.headers["content-type"] == "text/event-stream"
    first, *events = answer.body.split("\n\n")
    found = [json.loads(event.removeprefix("data: ")) for event in events if event]
    (command,) = [item for item in found if item["name"] == ill]
    assert first == "retry: 1000"
    assert (command["type"], command["group"]) == ("HystrixCommand", "orders")
    assert command["isCircuitBreakerOpen"] is True
    counts = [command[name] for name in ("requestCount", "errorCount", "errorPercentage")]
    assert counts == [5, 5, 100]
    assert command["rollingCountShortCircuited"] == 1


def test_others_do_not_see_them(invoke: Invoker) -> None:
    # Given / When
    answer = invoke("nexus.stream_breakers", tenant="acme", roles="admin", scopes="read admin")
    # Then
    assert answer.status == 403
