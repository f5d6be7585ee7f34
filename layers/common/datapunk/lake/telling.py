"""Events that tell of changed rows, each in the transaction that changed them."""

from __future__ import annotations

from datapunk.database import Transaction
from datapunk.events import CloudEvent
from datapunk.lake.datasets import Dataset
from datapunk.outbox import emit

RECORDS_INSERTED = "lake.records.inserted"
RECORDS_UPSERTED = "lake.records.upserted"
RECORDS_UPDATED = "lake.records.updated"
RECORDS_DELETED = "lake.records.deleted"
SOURCE = "/v1/lake/datasets"


def tell(tx: Transaction, dataset: Dataset, kind: str, count: int) -> CloudEvent:
    """Emit the event that `count` rows of a dataset were changed in a way, and return it."""
    return emit(
        tx,
        CloudEvent(
            source=SOURCE,
            type=kind,
            subject=dataset.name,
            datacontenttype="application/json",
            data={"dataset": dataset.name, "count": count, "version": dataset.version},
        ),
    )
