"""Queue lake.measure_changed: measure a dataset whose rows have changed, if its rules say so."""

from datapunk.consumer import queue_function
from datapunk.database import Transaction
from datapunk.events import CloudEvent
from datapunk.lake.quality.service import measure_changed


@queue_function("lake.measure_changed")
def handler(event: CloudEvent, transaction: Transaction) -> None:
    """Measure the dataset the event is about, once for all changes that came together."""
    measure_changed(transaction, event.subject or "")
