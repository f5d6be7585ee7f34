"""The lake at the end of a chain: it tells what it knows of a call, and creates datasets as ever."""

from dataclasses import replace

from datapunk.context import current, remaining_seconds
from datapunk.database import Transaction
from datapunk.lake.service import SERVICE
from datapunk.mesh.generated.lake_pb2 import Dataset, GetDatasetRequest
from datapunk.rpc import rpc_function


def get_dataset(tx: Transaction, request: GetDatasetRequest) -> Dataset:
    """Return who asks through whom, in which trace, and how many milliseconds are left."""
    work = current()
    return Dataset(
        name=request.dataset,
        owner=tx.caller.principal,
        key=tx.caller.actors,
        description=work.trace.trace_id if work else "",
        version=int(remaining_seconds() * 1000),
    )


handler = rpc_function(
    "lake.serve_rpc",
    replace(SERVICE, operations={**SERVICE.operations, "get_dataset": get_dataset}),
)
