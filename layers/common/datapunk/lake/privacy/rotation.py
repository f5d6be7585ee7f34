"""The daily round of the data keys: new ones where the newest is 30 days old, others wrapped by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datapunk.context import remaining_seconds
from datapunk.database import load_queries, transaction
from datapunk.identity import SYSTEM, Caller
from datapunk.lake.privacy.data_keys import DataKeys

BATCH = 1_000
"""Keys that are wrapped in one transaction."""
_RESERVE = 5.0
_SQL = Path(__file__).parent / "data_keys.sql"


def rotate_data_keys(batch: int = BATCH) -> dict[str, Any]:
    """Rotate the keys of every tenant; what time does not allow is left for the next run.

    Returns how many tenants there are, how many of their keys the ring wrapped anew, how many keys of persons
    were wrapped by a newer key, and whether any were left.
    """
    with transaction(SYSTEM) as tx:
        tenants = [row["tenant"] for row in tx.all(load_queries(_SQL)["tenants"])]
    own = persons = 0
    left = False
    for tenant in tenants:
        caller = Caller(principal=SYSTEM.principal, tenant=tenant)
        with transaction(caller) as tx:
            keys = DataKeys(tx)
            own += keys.rewrap_own()
            keys.newest()
        while True:
            if remaining_seconds() < _RESERVE:
                left = True
                break
            with transaction(caller) as tx:
                done = DataKeys(tx).rewrap_persons(batch)
            persons += done
            if done < batch:
                break
    return {"tenants": len(tenants), "own": own, "persons": persons, "left": left}
