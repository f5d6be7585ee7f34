"""Events in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datapunk.events import CloudEvent, event_message
from datapunk.identity import Caller

from tests.support.invoking import Invoker
from tests.support.samples import rmq_event

Store = Callable[..., dict[str, int]]


@pytest.fixture
def store(database: str, no_broker: None, invoke: Invoker) -> Store:
    """Return `store(event, ...)`, which delivers events to `stream.store_event`."""

    def deliver(
        *events: dict[str, Any], tenant: str = "public", redelivered: bool = False
    ) -> dict[str, int]:
        messages = []
        for event in events:
            read = CloudEvent.model_validate({"source": "/s", "type": "t", **event})
            message = event_message(read.signed_by(Caller("user:ada", tenant)))
            messages.append(
                {
                    "body": message.body,
                    "message_id": message.message_id,
                    "headers": message.headers,
                }
            )
        batch = rmq_event("stream.store_event", messages, redelivered=redelivered)
        outcomes: dict[str, int] = invoke.event("stream.store_event", batch)
        return outcomes

    return deliver
