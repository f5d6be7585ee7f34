"""Queue stream.store_event: append each event to the event store, once."""

from datapunk.consumer import queue_function
from datapunk.database import Transaction
from datapunk.events import CloudEvent
from datapunk.stream.events import append_event


@queue_function("stream.store_event")
def handler(event: CloudEvent, transaction: Transaction) -> None:
    """Append the event; the same source and id twice is one event."""
    append_event(transaction, event)
