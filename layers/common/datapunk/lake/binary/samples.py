"""Samples of files that have types of their own: their first rows, and what their columns are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import PydanticSerializationError, from_json, to_json

from datapunk.errors import MalformedRequestError
from datapunk.lake.binary.bodies import MOST_TEXT, opened_body
from datapunk.lake.binary.rows import Unreadable
from datapunk.lake.columns import ColumnType

_TYPES: dict[type, ColumnType] = {
    bool: ColumnType.BOOLEAN,
    float: ColumnType.NUMBER,
    Decimal: ColumnType.DECIMAL,
    date: ColumnType.DATE,
    datetime: ColumnType.TIMESTAMP,
    UUID: ColumnType.UUID,
    str: ColumnType.TEXT,
}
_LEAST, _MOST = -(2**63), 2**63


@dataclass(frozen=True, slots=True)
class SampledColumn:
    """A column of a file: its name there, its type, whether the file lets it be empty, its values as JSON."""

    name: str
    type: ColumnType
    nullable: bool
    values: list[Any]


def read_sample(media_type: str, content: bytes, most: int) -> tuple[list[SampledColumn], int]:
    """Return the columns of a file and how many rows of it were looked at, `most` at most.

    Raises MalformedRequestError for what cannot be read, PayloadTooLargeError for what would unpack to too
    much.
    """
    file = opened_body(media_type, content, None)
    rows: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    size = 0
    for row in file.rows():
        known = {name: None if isinstance(it, Unreadable) else it for name, it in row.items()}
        text = _as_json(known)
        rows.append(known)
        shown.append(from_json(text))
        size += len(text)
        if len(rows) == most or size > MOST_TEXT:
            break
    columns = [
        SampledColumn(
            name,
            _type_of([row[name] for row in rows if row.get(name) is not None]),
            nullable,
            [row.get(name) for row in shown],
        )
        for name, nullable in file.nullable.items()
    ]
    return columns, len(rows)


def _as_json(row: dict[str, Any]) -> bytes:
    try:
        return to_json(row, inf_nan_mode="strings", bytes_mode="base64")
    except (PydanticSerializationError, ValueError) as error:
        raise MalformedRequestError(f"A row cannot be written as JSON: {error}.") from None


def _type_of(values: list[Any]) -> ColumnType:
    """Return the type of a column with such values; what has no common one is kept as JSON."""
    kinds = {type(value) for value in values}
    if not kinds:
        return ColumnType.TEXT
    if kinds == {int}:
        small = all(_LEAST <= value < _MOST for value in values)
        return ColumnType.INTEGER if small else ColumnType.DECIMAL
    if kinds == {int, float}:
        return ColumnType.NUMBER
    return _TYPES.get(kinds.pop(), ColumnType.JSON) if len(kinds) == 1 else ColumnType.JSON
