"""At deployment: declare the exchanges, queues and bindings of every consumer."""

from typing import Any

from datapunk.broker.connection import channel
from datapunk.broker.topology import declare
from datapunk.deployment import deployment_function
from datapunk.stream.subscriptions import SUBSCRIPTIONS


@deployment_function("stream.declare_topology")
def handler() -> dict[str, Any]:
    """Declare everything idempotently and name the queues."""
    with channel() as opened:
        return {"queues": declare(opened, SUBSCRIPTIONS)}
