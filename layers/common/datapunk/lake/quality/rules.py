"""Rules of quality, as they are declared: data, never SQL that is run as it is.

What must hold of every row is the dataset's own declaration, and holds when it is written. These rules are
measured over the rows that are there, and may hold for most of them only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from datapunk.lake.checks import Checks, Value
from datapunk.lake.columns import Identifier

MOST_RULES = 100
Names = Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=16)]
_LONGEST_PREDICATE = 4_000


class CheckType(StrEnum):
    """What a rule looks at."""

    COMPLETENESS = "completeness"
    TYPE = "type"
    RANGE = "range"
    PATTERN = "pattern"
    UNIQUENESS = "uniqueness"
    REFERENCE = "reference"
    PREDICATE = "predicate"
    SQL = "sql"
    FRESHNESS = "freshness"
    DISTRIBUTION = "distribution"


class Severity(StrEnum):
    """What it means when a rule scores less than its threshold."""

    WARNING = "warning"
    ERROR = "error"


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Identifier
    severity: Severity = Field(
        default=Severity.WARNING,
        description="An `error` is told of by an event when the score falls below the threshold.",
    )
    threshold: float = Field(
        default=1.0, ge=0, le=1, strict=True, description="The least score that is good enough."
    )


class Completeness(_Rule):
    """A row passes that has a value in the column. The only rule for what is encrypted or masked."""

    check_type: Literal["completeness"]
    column: Identifier


class TypeShape(StrEnum):
    """What a text may be read as."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    UUID = "uuid"


class Typed(_Rule):
    """A row passes whose text can be read as the type, or that has none."""

    check_type: Literal["type"]
    column: Identifier
    type: TypeShape


class InRange(_Rule):
    """A row passes whose value is within the bounds, or that has none."""

    check_type: Literal["range"]
    column: Identifier
    minimum: Value | None = None
    maximum: Value | None = None
    exclusive_minimum: Value | None = None
    exclusive_maximum: Value | None = None

    @property
    def checks(self) -> Checks:
        """The bounds, as those of a column."""
        return Checks(
            minimum=self.minimum,
            maximum=self.maximum,
            exclusive_minimum=self.exclusive_minimum,
            exclusive_maximum=self.exclusive_maximum,
        )

    @model_validator(mode="after")
    def _has_bounds(self) -> InRange:
        if not self.checks.bounds:
            raise ValueError("give a bound: minimum, maximum, exclusive_minimum, exclusive_maximum")
        return self


class Pattern(_Rule):
    """A row passes in whose text the regular expression is found, or that has none."""

    check_type: Literal["pattern"]
    column: Identifier
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _can_be_used(self) -> Pattern:
        Checks(pattern=self.pattern)
        return self


class Uniqueness(_Rule):
    """A row passes whose values no other row has; nulls are like no other.

    All rows that share values fail, as in Great Expectations' `expect_column_values_to_be_unique`.
    """

    check_type: Literal["uniqueness"]
    columns: Names


class Referring(_Rule):
    """A row passes whose values a row of another dataset has, or that lacks one of them."""

    check_type: Literal["reference"]
    columns: Names
    dataset: Identifier
    references: Names

    @model_validator(mode="after")
    def _pairs(self) -> Referring:
        if len(self.columns) != len(self.references):
            raise ValueError("name as many columns there as here")
        return self


class Predicate(_Rule):
    """A row passes for which the condition is not false, as with CHECK in SQL."""

    check_type: Literal["predicate"]
    predicate: Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_PREDICATE)] = (
        Field(
            description="A filter as in a query of `/v1/lake/rest`: `and=(...)`, `or=(...)`, "
            "`not.and=(...)` or `not.or=(...)`.",
            examples=["and=(ppm.gte.300,ppm.lt.500)"],
        )
    )


class Expression(_Rule):
    """A row passes for which the expression is not false, as with CHECK in SQL.

    It is read and composed anew, never sent as it is: `vocabulary` lists what it may say.
    """

    check_type: Literal["sql"]
    expression: Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_PREDICATE)] = (
        Field(
            description="A condition in SQL over the columns of one row, without queries, aggregates and "
            "windows.",
            examples=["ended_at IS NULL OR ended_at > started_at"],
        )
    )


class Freshness(_Rule):
    """Scores 1 while the newest value is at most so old, and limit/age from then on; 0 without any."""

    check_type: Literal["freshness"]
    column: Identifier | None = Field(
        default=None, description="A date or timestamp; the dataset's event time by default."
    )
    seconds: float = Field(gt=0, le=10 * 366 * 86_400, description="The greatest age, in seconds.")


class MeanStatistic(BaseModel):
    """Scores 1 while the mean is within the bounds and 0 otherwise.

    Source: `expect_column_mean_to_be_between` of Great Expectations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    statistic: Literal["mean"]
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _has_bounds(self) -> MeanStatistic:
        low, high = self.minimum, self.maximum
        if low is None and high is None:
            raise ValueError("give minimum, maximum or both")
        if low is not None and high is not None and low > high:
            raise ValueError("minimum is more than maximum")
        return self


class Baseline(BaseModel):
    """Shares of values by buckets: up to the first edge, between edges, and from the last edge on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edges: Annotated[tuple[float, ...], Field(min_length=1, max_length=99)]
    shares: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=2, max_length=100)
    ]

    @model_validator(mode="after")
    def _fits(self) -> Baseline:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must rise")
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError("there is one share more than there are edges")
        if abs(sum(self.shares) - 1) > 0.01:  # noqa: PLR2004 -- shares are rounded by those who write them
            raise ValueError("shares must add up to 1")
        return self


class StabilityStatistic(BaseModel):
    """Scores 1 while the population stability index is at most the limit, and limit/index from then on.

    It compares with the baseline, or else with the measurement before, by tenths of the first one. Source: N.
    Siddiqi, "Credit Risk Scorecards" (Wiley, 2006): below 0.1 nothing has changed, above 0.25 much has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    statistic: Literal["stability"]
    limit: float = Field(default=0.25, gt=0, le=100)
    baseline: Baseline | None = None


class Distribution(_Rule):
    """Scores what a statistic says of a numeric column; 1 where it has no values."""

    check_type: Literal["distribution"]
    column: Identifier
    measure: Annotated[MeanStatistic | StabilityStatistic, Field(discriminator="statistic")]


RowRule = Completeness | Typed | InRange | Pattern | Uniqueness | Referring | Predicate | Expression
"""Rules that each row passes or not."""
Rule = Annotated[RowRule | Freshness | Distribution, Field(discriminator="check_type")]


class Catalogue(BaseModel):
    """All rules of a dataset."""

    model_config = ConfigDict(extra="forbid")

    rules: Annotated[list[Rule], Field(max_length=MOST_RULES)]
    on_change: bool = Field(
        default=False,
        strict=True,
        description="Measure a little after rows were written or deleted as well, not every hour only.",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Catalogue:
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name}")
        return self

    def stored(self) -> list[dict[str, Any]]:
        """Return the rules as they are kept."""
        return [rule.model_dump(mode="json", exclude_none=True) for rule in self.rules]
