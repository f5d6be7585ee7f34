"""Columns of a dataset: their types in PostgreSQL, in JSON and in CSV."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, LiteralString

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import to_json

from datapunk.lake.checks import Checks, as_utc, checked_type
from datapunk.lake.geometry import Geometry, GeoRules, read_geometry
from datapunk.lake.privacy.declared import Mask, Masking, Protection
from datapunk.lake.ranges import range_of
from datapunk.lake.searchable import Language, Vector, VectorRules

IDENTIFIER = r"^[a-z][a-z0-9_]{0,62}$"
RESERVED = frozenset(
    {"select", "order", "limit", "offset", "cursor", "columns", "on_conflict", "and", "or", "not"}
)
"""Names that mean something else in a query."""
_BIGINT = 2**63


class ColumnType(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    UUID = "uuid"
    JSON = "json"
    INTEGER_RANGE = "integer_range"
    DECIMAL_RANGE = "decimal_range"
    DATE_RANGE = "date_range"
    TIMESTAMP_RANGE = "timestamp_range"
    VECTOR = "vector"
    GEO = "geo"


NEARNESS = frozenset({ColumnType.VECTOR, ColumnType.GEO})
"""Types that are found by how near they are: nothing else compares them, and texts of them are JSON."""
SQL_TYPES: dict[ColumnType, LiteralString] = {
    ColumnType.TEXT: "text",
    ColumnType.INTEGER: "bigint",
    ColumnType.NUMBER: "double precision",
    ColumnType.DECIMAL: "numeric",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.UUID: "uuid",
    ColumnType.JSON: "jsonb",
    ColumnType.INTEGER_RANGE: "int8range",
    ColumnType.DECIMAL_RANGE: "numrange",
    ColumnType.DATE_RANGE: "daterange",
    ColumnType.TIMESTAMP_RANGE: "tstzrange",
    ColumnType.VECTOR: "vector",
    ColumnType.GEO: "geometry",
}
"""PostgreSQL's type of each column type; `timestamp` without an offset is read as UTC."""

PYTHON_TYPES: dict[ColumnType, Any] = {
    ColumnType.TEXT: Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")],
    ColumnType.INTEGER: Annotated[int, Field(ge=-_BIGINT, lt=_BIGINT)],
    ColumnType.NUMBER: Annotated[float, Field(allow_inf_nan=False)],
    ColumnType.DECIMAL: Annotated[Decimal, Field(allow_inf_nan=False)],
    ColumnType.BOOLEAN: bool,
    ColumnType.DATE: dt.date,
    ColumnType.TIMESTAMP: dt.datetime,
    ColumnType.UUID: uuid.UUID,
    ColumnType.JSON: Any,
    ColumnType.VECTOR: Vector,
    ColumnType.GEO: Geometry,
}
RANGES = {
    ColumnType.INTEGER_RANGE: ColumnType.INTEGER,
    ColumnType.DECIMAL_RANGE: ColumnType.DECIMAL,
    ColumnType.DATE_RANGE: ColumnType.DATE,
    ColumnType.TIMESTAMP_RANGE: ColumnType.TIMESTAMP,
}
"""Ranges, which are written as PostgreSQL's texts, and what their bounds are."""
PYTHON_TYPES |= {
    kind: Annotated[str, AfterValidator(range_of(PYTHON_TYPES[element]))]
    for kind, element in RANGES.items()
}
"""What a value is validated as."""

Identifier = Annotated[
    str, StringConstraints(pattern=IDENTIFIER), Field(examples=["co2_weekly", "week", "ppm"])
]


class Sensitivity(StrEnum):
    """How careful one must be with what a column holds."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PERSONAL = "personal"
    SECRET = "secret"  # noqa: S105 -- a class of data


class Column(BaseModel):
    """A typed column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Identifier
    type: ColumnType
    nullable: bool = Field(default=True, strict=True)
    description: str = Field(default="", max_length=1000)
    default: Any = Field(
        default=None, description="Value of rows that are written without one; null means none."
    )
    checks: Checks | None = Field(default=None, description="Rules that every value keeps to.")
    sensitivity: Sensitivity = Field(
        default=Sensitivity.INTERNAL, description="How careful one must be with the values."
    )
    protection: Protection | None = Field(
        default=None, description="How the values are stored; null stores them as they are."
    )
    searchable: bool = Field(
        default=False,
        strict=True,
        description="Whether rows can be found by an encrypted value (`eq`, `in`).",
    )
    masking: Masking | None = Field(
        default=None, description="What is shown to whom; null shows the values to all readers."
    )
    deprecated: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Why the column should not be used any more; null while it should.",
    )
    aliases: Annotated[tuple[Identifier, ...], Field(max_length=16)] = Field(
        default=(), description="Names the column had before; requests may go on using them."
    )
    vector: VectorRules | None = Field(
        default=None, description="Length and distance, which vectors need and nothing else has."
    )
    geo: GeoRules | None = Field(
        default=None, description="Kind of geometry, which places need and nothing else has."
    )
    full_text: Language | None = Field(
        default=None, description="Language by whose words a text can be searched."
    )

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> Column:
        self._require_searchable()
        if self.checks is not None:
            self.checks.require_fit(self.type, lambda value: stored_value(self.type, value))
        if self.default is not None:
            try:
                column_value(self).validate_json(to_json(self.default), strict=True)
            except ValidationError as error:
                problem = error.errors()[0]["msg"]
                raise ValueError(f"the default of {self.name} does not fit: {problem}") from None
        self._require_protectable()
        return self

    def _require_protectable(self) -> None:
        if self.encrypted and self.default is not None:
            raise ValueError(
                f"{self.name} is encrypted and has no default, which would be stored in clear"
            )
        if self.searchable and not self.encrypted:
            raise ValueError(f"{self.name} is searchable as it is: only encrypted columns say so")
        if self.searchable and self.type is ColumnType.JSON:
            raise ValueError(f"{self.name} is json, whose values are not found by equality")
        if self.masking is not None and self.type is not ColumnType.TEXT:
            for method in sorted(self.masking.methods - {Mask.CLEAR, Mask.FULL}):
                raise ValueError(f"{self.name} is no text, so that {method} cannot mask it")

    def _require_searchable(self) -> None:
        if (self.type is ColumnType.VECTOR) != (self.vector is not None):
            raise ValueError(
                'a vector says how long it is, "vector": {"dimension": 384}, and nothing else does'
            )
        if self.vector is not None and self.default is not None:
            raise ValueError("a vector has no default: all rows would be the same distance away")
        if (self.type is ColumnType.GEO) != (self.geo is not None):
            raise ValueError(
                'a place says what it is, "geo": {"kind": "Point"}, and nothing else does'
            )
        if self.geo is not None and self.default is not None:
            raise ValueError("a place has no default: rows that are nowhere are null")
        if self.full_text is not None and self.type is not ColumnType.TEXT:
            raise ValueError(f"full_text is for text, not for {self.type}")
        if self.encrypted and self.type is ColumnType.GEO:
            raise ValueError(
                f"{self.name} is a place, which is found by its index, and that would tell it: mask it, "
                "or keep encrypted places as json"
            )
        if self.encrypted and (self.vector is not None or self.full_text is not None):
            raise ValueError(f"{self.name} is encrypted, and an index of it would tell its values")

    @property
    def required(self) -> bool:
        """Whether a row must come with a value."""
        return not self.nullable and self.default is None

    @property
    def encrypted(self) -> bool:
        """Whether values are stored encrypted."""
        return self.protection is Protection.ENCRYPTED

    @property
    def names(self) -> tuple[str, ...]:
        """The column's name and those it had before."""
        return (self.name, *self.aliases)


def stored_type(column: Column) -> LiteralString:
    """Return PostgreSQL's type of the column in its table."""
    return "bytea" if column.encrypted else SQL_TYPES[column.type]


def stored_value(kind: ColumnType, value: Any) -> Any:
    """Return a JSON value as a value of the type. Raises ValueError (pydantic's) when it is none."""
    return _plain(kind).validate_json(to_json(value), strict=True)


def default_value(column: Column) -> Any:
    """Return the column's default as a value of its type, None when it has none."""
    return None if column.default is None else stored_value(column.type, column.default)


def utc_default(column: Column) -> Any:
    """Return the default as `default_value` does, a timestamp without an offset as one in UTC."""
    return as_utc(default_value(column))


@cache
def _plain(kind: ColumnType) -> TypeAdapter[Any]:
    return TypeAdapter(PYTHON_TYPES[kind])


Rules = VectorRules | GeoRules


def _rules(column: Column) -> Rules | None:
    return column.vector or column.geo


@cache
def _annotation(kind: ColumnType, checks: Checks | None, rules: Rules | None) -> Any:
    if rules is not None:
        return Annotated[PYTHON_TYPES[kind], AfterValidator(rules.check)]
    if checks is None or checks.empty:
        return PYTHON_TYPES[kind]
    check = checked_type(checks, lambda value: stored_value(kind, value))
    return Annotated[PYTHON_TYPES[kind], AfterValidator(check)]


def annotation(column: Column) -> Any:
    """Return what a value of the column, other than null, is validated as: its type and its checks."""
    return _annotation(column.type, column.checks, _rules(column))


def column_value(column: Column) -> TypeAdapter[Any]:
    """Return the validator of one value of the column, other than null."""
    return _value(column.type, column.checks, _rules(column))


@cache
def _value(kind: ColumnType, checks: Checks | None, rules: Rules | None) -> TypeAdapter[Any]:
    return TypeAdapter(_annotation(kind, checks, rules))


_GEOMETRY_TEXT: Any = Annotated[str, AfterValidator(read_geometry)]


@cache
def text_value(kind: ColumnType) -> TypeAdapter[Any]:
    """Return the validator of one value written as text, as in a filter."""
    if kind is ColumnType.JSON:
        return TypeAdapter(Json)
    if kind is ColumnType.GEO:
        return TypeAdapter(_GEOMETRY_TEXT)
    return TypeAdapter(Json[Vector] if kind is ColumnType.VECTOR else PYTHON_TYPES[kind])


def text_values(column: Column) -> TypeAdapter[Any]:
    """Return the validator of a column of texts, as in CSV; None stands for an empty field."""
    return _texts(column.type, column.checks, _rules(column), column.nullable)


@cache
def _texts(
    kind: ColumnType,
    checks: Checks | None,
    rules: Rules | None,
    nullable: bool,  # noqa: FBT001
) -> TypeAdapter[Any]:
    one = Json if kind is ColumnType.JSON else _annotation(kind, checks, rules)
    if isinstance(rules, VectorRules):
        one = Json[one]  # type: ignore[misc,valid-type]
    elif isinstance(rules, GeoRules):
        one = Annotated[_GEOMETRY_TEXT, AfterValidator(rules.check)]
    return TypeAdapter(list[one | None] if nullable else list[one])  # type: ignore[valid-type]
