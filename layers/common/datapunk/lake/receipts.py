"""What is wanted where rows do not fit, and what a caller is told of rows that came."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field


class OnError(StrEnum):
    """What becomes of a request with rows that do not fit."""

    REJECT = "reject"
    QUARANTINE = "quarantine"


class Receipt(BaseModel):
    """What became of the rows of one request, and the event that tells of them (none for no rows)."""

    dataset: str
    inserted: int
    updated: int = 0
    skipped: int = Field(
        default=0, description="Rows whose key existed, or that stand again further down."
    )
    quarantined: int = 0
    reasons: dict[str, int] = Field(
        default_factory=dict, description="How many quarantined rows broke which rule first."
    )
    batch: UUID | None = Field(
        default=None, description="What the quarantined rows of this request have in common."
    )
    event_id: str | None
