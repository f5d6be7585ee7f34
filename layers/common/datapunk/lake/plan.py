"""A checked query of records: every name is a dataset's, every value has its type.

Whatever language a query came in (the words of `filters`, PostgREST's of `rest`), it becomes these, and only
these become SQL (`sql_parts`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from datapunk.lake.casts import CASTS
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.datasets import Dataset

Quantifier = Literal["any", "all"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step into a JSON value: a member's name or an element's place; `as_text` for `->>`."""

    key: str | int
    as_text: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a row: a column, what a path finds in it, and the type it is cast to."""

    column: Column
    path: tuple[Step, ...] = ()
    cast: str | None = None

    @property
    def stored_kind(self) -> ColumnType:
        """What the value is before its cast."""
        if not self.path:
            return self.column.type
        return ColumnType.TEXT if self.path[-1].as_text else ColumnType.JSON

    @property
    def kind(self) -> ColumnType:
        """What the value is."""
        return CASTS[self.cast][1] if self.cast else self.stored_kind


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`.

    The value has the field's type, a list of such for `in` or with a quantifier, and the word itself for
    `is`. `language` is the text search configuration of the full-text operators.
    """

    field: Field
    operator: str
    value: Any
    negated: bool = False
    quantifier: Quantifier | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions that all hold (`and`), or one of which does (`or`)."""

    word: Literal["and", "or"]
    items: tuple[Condition, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Related:
    """There is a row of an embedded dataset that belongs to the row and fulfils what is asked of it."""

    embed: Embed
    negated: bool = False


Condition = Comparison | Logic | Related


@dataclass(frozen=True, slots=True)
class Output:
    """A result column: a value of a row or an aggregate over one (all rows for None).

    `cast` is what an aggregate's result is cast to.
    """

    name: str
    field: Field | None
    aggregate: str | None = None
    cast: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key by the name of an output or of a column of the row's key.

    PostgreSQL's default holds: nulls last ascending, first descending.
    """

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class SortKey:
    """One sort key: a value of the row, an output of a grouped query, or a value of a row it refers to."""

    by: Field | Output
    descending: bool = False
    nulls_first: bool | None = None
    through: Relation | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """How rows belong to rows of `target`: pairs of a column here and a column there that are equal."""

    target: Dataset
    pairs: tuple[tuple[str, str], ...]
    many: bool


@dataclass(frozen=True, slots=True)
class Embed:
    """Rows of another dataset inside each row; `inner` leaves out rows that have none.

    `spread` puts the outputs beside those of the row instead of into a value of their own.
    """

    name: str
    relation: Relation
    select: Select
    inner: bool = False
    spread: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """Records of a dataset. A `limit` of None means all of them."""

    dataset: Dataset
    outputs: tuple[Output, ...]
    embeds: tuple[Embed, ...] = ()
    where: tuple[Condition, ...] = ()
    order: tuple[SortKey, ...] = ()
    limit: int | None = None
    offset: int = 0
    names: tuple[str, ...] = field(default=())
    """Names of outputs and embeds in the order asked for."""

    @property
    def grouped(self) -> bool:
        """Whether rows are aggregated."""
        return any(output.aggregate for output in self.outputs)
