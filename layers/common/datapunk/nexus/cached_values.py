"""What an administrator may say about cached values: that they are not to be believed any longer."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from datapunk.cache.writing import invalidate
from datapunk.database import Transaction
from datapunk.nexus.tenants import require_operator


class Invalidation(BaseModel):
    """Which cached values are void, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"namespace": "lake.dataset", "key": "co2_weekly"}]},
    )

    namespace: Annotated[str, Field(max_length=64, description="Kind of values.")]
    key: Annotated[
        str | None,
        Field(max_length=512, description="One value; without it, all of the namespace."),
    ] = None
    everywhere: bool = Field(
        default=False,
        strict=True,
        description="All values of every tenant; only the platform's administrators.",
    )
    cause: str = Field(
        default="nexus.invalidate_cache", max_length=200, description="What subscribers are told."
    )


def invalidate_cache(tx: Transaction, wanted: Invalidation) -> Invalidation:
    """Void values of the caller's tenant, or everywhere; return what was asked for.

    Raises NotFoundError for an unknown namespace, ForbiddenError when only the platform may do it,
    UnavailableError when Redis does not answer.
    """
    if wanted.everywhere:
        require_operator(tx)
        invalidate(wanted.namespace, None, None, wanted.cause)
    else:
        invalidate(wanted.namespace, tx.caller.tenant, wanted.key, wanted.cause)
    return wanted
