"""Columns of a dataset: their types in PostgreSQL, in JSON and in CSV."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Json, StringConstraints, TypeAdapter

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


SQL_TYPES = {
    ColumnType.TEXT: "text",
    ColumnType.INTEGER: "bigint",
    ColumnType.NUMBER: "double precision",
    ColumnType.DECIMAL: "numeric",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.UUID: "uuid",
    ColumnType.JSON: "jsonb",
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
}
"""What a value is validated as."""

Identifier = Annotated[
    str, StringConstraints(pattern=IDENTIFIER), Field(examples=["co2_weekly", "week", "ppm"])
]


class Column(BaseModel):
    """A typed column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Identifier
    type: ColumnType
    nullable: bool = Field(default=True, strict=True)
    description: str = Field(default="", max_length=1000)


@cache
def text_value(kind: ColumnType) -> TypeAdapter[Any]:
    """Return the validator of one value written as text, as in a filter."""
    return TypeAdapter(Json if kind is ColumnType.JSON else PYTHON_TYPES[kind])


@cache
def text_values(kind: ColumnType, *, nullable: bool) -> TypeAdapter[Any]:
    """Return the validator of a column of texts, as in CSV; None stands for an empty field."""
    one = Json if kind is ColumnType.JSON else PYTHON_TYPES[kind]
    return TypeAdapter(list[one | None] if nullable else list[one])  # type: ignore[valid-type]
