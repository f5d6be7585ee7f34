"""What came of measuring rules, as it is kept and shown."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from datapunk.lake.quality.rules import CheckType, Severity


class Shares(BaseModel):
    """How values were spread: shares by buckets, below the first edge to the last edge and above."""

    edges: list[float]
    shares: list[float]


class RuleResult(BaseModel):
    """What came of a rule."""

    name: str
    severity: Severity
    threshold: float
    score: float
    holds: bool = Field(description="Whether the score is at least the threshold.")
    failed: int | None = Field(default=None, description="Rows that do not pass.")
    measured: float | None = Field(
        default=None, description="The age in seconds, the mean or the stability index."
    )
    spread: Shares | None = Field(
        default=None, description="How values were spread, to be compared with the next time."
    )
    problem: str | None = Field(
        default=None, description="Why the rule could not be measured, and scores 0."
    )


class Score(BaseModel):
    """What came of all rules of a type in one run."""

    id: UUID
    run: UUID = Field(description="What was measured at once has this in common.")
    version: int = Field(description="Version of the dataset's definition.")
    check_type: CheckType
    score: float = Field(
        description="Share of rows that pass every rule of the type, 0 to 1; of freshness and distribution "
        "the least score of a rule."
    )
    rows: int
    rules: list[RuleResult]
    measured_by: str
    measured_at: datetime
