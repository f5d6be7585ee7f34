"""What a sample of rows looks like: a definition that would take them, to be looked at before it is used."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from datapunk.errors import FieldError, InvalidInputError, MalformedRequestError
from datapunk.lake.columns import (
    IDENTIFIER,
    RESERVED,
    Column,
    ColumnType,
    Sensitivity,
    stored_value,
    text_value,
)
from datapunk.lake.definition import DatasetDefinition
from datapunk.lake.parsing import CSV, DELIMITERS, FILES, NDJSON, csv_reader, decode
from datapunk.lake.privacy.recognisers import Finding, proposed, recognise

MOST_ROWS = 10_000
_TYPES: dict[type, ColumnType] = {
    bool: ColumnType.BOOLEAN,
    Decimal: ColumnType.DECIMAL,
    date: ColumnType.DATE,
    datetime: ColumnType.TIMESTAMP,
    UUID: ColumnType.UUID,
    str: ColumnType.TEXT,
}
"""What files with types of their own have, besides numbers."""
_EXAMPLES = 3
_LOOKED_AT = 100
"""Rows by which the delimiter is found."""
_RECOGNISED = 1_000
_EXACT = 2**53
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_JSON = re.compile(r"\s*[{\[]")


class InferredColumn(BaseModel):
    """What was seen of a column."""

    name: str
    source: str
    """The name in the sample, where it is no name of a column."""
    type: ColumnType
    nulls: int
    nullable: bool
    """Whether rows may have no value: some have none, or the file says that some may."""
    distinct: bool
    """Whether no two rows share a value: it could be the key."""
    examples: list[Any]
    findings: list[Finding] = []
    """Personal data that it seems to hold."""


class Inference(BaseModel):
    """A definition as it could be, and what it was inferred from. Nothing is created."""

    definition: DatasetDefinition
    rows: int
    columns: list[InferredColumn]


def infer_dataset(name: str, media_type: str, charset: str, content: bytes) -> Inference:
    """Return a definition that would take the rows of a sample; at most 10,000 of them are looked at.

    Raises MalformedRequestError when the sample cannot be read, InvalidInputError when it has no columns or
    more than a dataset may have.
    """
    if media_type == CSV:
        names, texts = _csv_rows(decode(content, charset))
        found = [
            _infer(source, [row[place] or None for row in texts], _of_texts)
            for place, source in enumerate(names)
        ]
        rows = len(texts)
    elif media_type in FILES:
        found, rows = _typed(media_type, content)
    else:
        records = _records(media_type, content)
        names = list(dict.fromkeys(key for record in records for key in record))
        found = [
            _infer(source, [record.get(source) for record in records], _of_values)
            for source in names
        ]
        rows = len(records)
    if not found or len(found) > 250:  # noqa: PLR2004 -- as many columns as a dataset may have
        raise _unusable("needs 1 to 250 columns, and a row at least")
    _rename(found)
    columns = [
        Column(
            name=item.name,
            type=item.type,
            nullable=item.nullable,
            sensitivity=proposed(item.findings) or Sensitivity.INTERNAL,
        )
        for item in found
    ]
    return Inference(
        definition=DatasetDefinition(name=name, columns=columns), rows=rows, columns=found
    )


def _csv_rows(text: str) -> tuple[list[str], list[list[str]]]:
    reader = csv_reader(text, *_dialect(text))
    rows: list[list[str]] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        for row in filter(None, reader):
            if len(row) != len(names):
                raise _unusable(f"row {len(rows) + 1} has {len(row)} fields, not {len(names)}")
            rows.append(row)
            if len(rows) == MOST_ROWS:
                break
    except csv.Error as error:
        raise MalformedRequestError(f"The sample is not well-formed CSV: {error}.") from None
    return names, rows


def _dialect(text: str) -> tuple[str, str]:
    """Return the first delimiter by which the first rows have several fields, and all as many; and the quote.

    A header whose first name stands in single quotes says that they are the quotes, as where rows are stored.
    """
    quote = "'" if text.startswith("'") else '"'

    def widths(delimiter: str) -> set[int]:
        try:
            rows = islice(csv_reader(text, delimiter, quote), _LOOKED_AT)
            return {len(row) for row in rows if row}
        except csv.Error:
            return set()

    several = (sign for sign in DELIMITERS if len(found := widths(sign)) == 1 and found != {1})
    return next(several, DELIMITERS[0]), quote


def _records(media_type: str, content: bytes) -> list[dict[str, Any]]:
    try:
        if media_type == NDJSON:
            lines = [line for line in content.split(b"\n") if line.strip()][:MOST_ROWS]
            records = [from_json(line, allow_inf_nan=False) for line in lines]
        else:
            records = from_json(content, allow_inf_nan=False)
    except ValueError:
        raise MalformedRequestError("The sample is not valid JSON.") from None
    if not isinstance(records, list) or not all(isinstance(item, dict) for item in records):
        raise _unusable("must be a JSON array of objects, one per row")
    return records[:MOST_ROWS]


def _typed(media_type: str, content: bytes) -> tuple[list[InferredColumn], int]:
    """Return the columns of a file that says their types, and how many rows were looked at."""
    from datapunk.lake.binary.samples import read_sample

    sampled, rows = read_sample(media_type, content, MOST_ROWS)
    found = []
    for item in sampled:
        column = _infer(item.name, item.values, _of_typed, item.shown)
        column.nullable = column.nullable or item.nullable
        found.append(column)
    return found, rows


def _unusable(message: str) -> InvalidInputError:
    return InvalidInputError(
        f"The sample {message}.", errors=[FieldError("body", message, "sample")]
    )


def _infer(
    source: str,
    values: Sequence[Any],
    kind_of: Callable[[Sequence[Any]], ColumnType],
    shown: Sequence[Any] | None = None,
) -> InferredColumn:
    """Say what a column is by its values; `shown` is what they are as JSON, where they are none of it."""
    present = [value for value in values if value is not None]
    told = present if shown is None else [value for value in shown if value is not None]
    seen = {repr(value) for value in present}
    return InferredColumn(
        name=source,
        source=source,
        type=kind_of(present) if present else ColumnType.TEXT,
        nulls=len(values) - len(present),
        nullable=len(present) < len(values) or not values,
        distinct=len(seen) == len(values) > 0,
        examples=told[:_EXAMPLES],
        findings=recognise(source, [_as_text(value) for value in told[:_RECOGNISED]]),
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _of_texts(texts: Sequence[str]) -> ColumnType:
    """Return the narrowest type that every text is written in; numbers with leading zeros are texts."""
    if all(text.lower() in ("true", "false") for text in texts):
        return ColumnType.BOOLEAN
    if _all(_INTEGER, texts) and _taken(ColumnType.INTEGER, texts):
        return ColumnType.INTEGER
    if _all(_NUMBER, texts):
        exact = all(Decimal(text) == Decimal(repr(float(text))) for text in texts)
        kind = ColumnType.NUMBER if exact else ColumnType.DECIMAL
        return kind if _taken(kind, texts) else ColumnType.TEXT
    for pattern, kind in (
        (_DATE, ColumnType.DATE),
        (_TIMESTAMP, ColumnType.TIMESTAMP),
        (_UUID, ColumnType.UUID),
        (_JSON, ColumnType.JSON),
    ):
        if _all(pattern, texts) and _taken(kind, texts):
            return kind
    return ColumnType.TEXT


def _all(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    return all(pattern.match(text) for text in texts)


def _taken(kind: ColumnType, texts: Sequence[str]) -> bool:
    """Tell whether ingest would take the texts as values of the type."""
    validator = text_value(kind)
    try:
        for text in texts:
            validator.validate_python(text)
    except ValidationError:
        return False
    return True


def _of_values(values: Sequence[Any]) -> ColumnType:
    """Return the type of JSON values; what has no common one is kept as JSON."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return ColumnType.BOOLEAN
    if kinds == {int}:
        small = all(-(2**63) <= value < 2**63 for value in values)
        return ColumnType.INTEGER if small else ColumnType.DECIMAL
    if kinds <= {int, float}:
        exact = all(isinstance(value, float) or abs(value) <= _EXACT for value in values)
        return ColumnType.NUMBER if exact else ColumnType.DECIMAL
    if kinds == {str}:
        for pattern, kind in (
            (_DATE, ColumnType.DATE),
            (_TIMESTAMP, ColumnType.TIMESTAMP),
            (_UUID, ColumnType.UUID),
        ):
            if _all(pattern, values) and _stored(kind, values):
                return kind
        return ColumnType.TEXT
    return ColumnType.JSON


def _of_typed(values: Sequence[Any]) -> ColumnType:
    """Return the type of Python's values; those of no type of a column are kept as JSON."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float}:
        return _of_values(values)
    return _TYPES.get(kinds.pop(), ColumnType.JSON) if len(kinds) == 1 else ColumnType.JSON


def _stored(kind: ColumnType, values: Sequence[Any]) -> bool:
    try:
        for value in values:
            stored_value(kind, value)
    except ValidationError:
        return False
    return True


def _rename(columns: Sequence[InferredColumn]) -> None:
    """Give columns names that columns can have, each another."""
    taken = {column.source for column in columns if _usable(column.source)}
    kept: set[str] = set()
    for column in columns:
        if _usable(column.source) and column.source not in kept:
            kept.add(column.source)
            continue
        words = re.sub(r"[^a-z0-9]+", "_", column.source.lower()).strip("_")[:50]
        base = words if words[:1].isalpha() else f"c_{words}".rstrip("_")
        name, number = base, 1
        while not _usable(name) or name in taken:
            number += 1
            name = f"{base}_{number}"
        column.name = name
        taken.add(name)


def _usable(name: str) -> bool:
    return re.match(rf"{IDENTIFIER[:-1]}\Z", name) is not None and name not in RESERVED
