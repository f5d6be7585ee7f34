"""Queue nexus.mirror_service: bring a changed service's instances in AWS Cloud Map up to date."""

from datapunk.consumer import queue_function
from datapunk.database import Transaction
from datapunk.events import CloudEvent
from datapunk.nexus.registry.mirror import mirror_event


@queue_function("nexus.mirror_service")
def handler(event: CloudEvent, transaction: Transaction) -> None:  # noqa: ARG001 -- the effect is in AWS
    """Mirror the service the event is about; on one machine there is nothing to mirror to."""
    mirror_event(event)
