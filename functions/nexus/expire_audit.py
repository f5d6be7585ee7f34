"""Every day: remove audit records older than 365 days, and say where each chain stands."""

from typing import Any

from datapunk.audit import expire
from datapunk.audit_chain import chain_heads
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.schedule import scheduled_function
from datapunk.telemetry import logger


@scheduled_function("nexus.expire_audit")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- what is removed twice is removed once
    """Remove what is old; the heads in the log are witnesses outside of the database."""
    removed = expire()
    with transaction(SYSTEM) as tx:
        heads = chain_heads(tx)
    for head in heads:
        logger().info("audit head", extra=head)
    return {"removed": removed, "chains": len(heads)}
