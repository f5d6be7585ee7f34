"""Every minute: publish the messages that wait in the outbox, forget what no repetition asks for."""

from typing import Any

from datapunk.database import transaction
from datapunk.idempotency import purge as purge_keys
from datapunk.identity import SYSTEM
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
    with transaction(SYSTEM) as tx:
        forgotten += purge_keys(tx)
    return {"published": published, "waiting": messages, "forgotten": forgotten}
