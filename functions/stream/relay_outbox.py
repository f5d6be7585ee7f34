"""Every minute: publish the messages that wait in the outbox, forget what the inbox need not know."""

from typing import Any

from datapunk.database import transaction
from datapunk.inbox import purge
from datapunk.outbox import relay_all, waiting
from datapunk.schedule import scheduled_function
from datapunk.telemetry import observe


@scheduled_function("stream.relay_outbox")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- the rows' locks fence each other
    """Publish until nothing waits; report how much was published and what still waits."""
    try:
        published = relay_all()
    finally:
        messages, seconds = waiting()
        observe("outbox_oldest_seconds", seconds, service="stream")
    with transaction() as tx:
        forgotten = purge(tx)
    return {"published": published, "waiting": messages, "forgotten": forgotten}
