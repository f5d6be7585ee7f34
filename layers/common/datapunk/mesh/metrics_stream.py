"""The state of breakers as Hystrix's metrics stream, which its dashboard and Turbine read.

A function does not hold a connection open: an answer is one round of the stream, and the `retry` at its start
makes clients of server-sent events come back for the next.

Source: "Metrics and Monitoring" of the Hystrix wiki (HystrixMetricsStreamServlet).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import orjson

from datapunk.mesh.breaker import BreakerState

EVENT_STREAM = "text/event-stream"
EVERY = 1_000
"""Milliseconds after which the next round is asked for."""


def event_stream(states: Iterable[BreakerState]) -> str:
    """Return one round of the stream."""
    now = int(time.time() * 1000)
    events = [f"data: {orjson.dumps(_command(state, now)).decode()}\n\n" for state in states]
    return f"retry: {EVERY}\n\n" + ("".join(events) or "ping: \n\n")


def _command(state: BreakerState, now: int) -> dict[str, str | int | bool]:
    return {
        "type": "HystrixCommand",
        "name": state.target,
        "group": state.target.partition("/")[0],
        "currentTime": now,
        "isCircuitBreakerOpen": state.state != "closed",
        "errorPercentage": round(state.error_percent),
        "errorCount": state.failures,
        "requestCount": state.calls,
        "rollingCountSuccess": state.calls - state.failures,
        "rollingCountFailure": state.failures,
        "rollingCountShortCircuited": state.refused,
        "currentConcurrentExecutionCount": state.busy,
        "reportingHosts": 1,
    }
