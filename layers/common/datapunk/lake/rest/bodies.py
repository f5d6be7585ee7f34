"""Bodies of rows to write: one JSON object, an array of them, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from datapunk.errors import InvalidInputError
from datapunk.lake.columns import Column, ColumnType, utc_default
from datapunk.lake.datasets import Dataset
from datapunk.lake.parsing import CSV, parse_body, record_adapter, refused
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.features import rows_of_features
from datapunk.lake.rest.preferences import Preferences
from datapunk.lake.rest.requests import GEOJSON

_UNKNOWN = "extra_forbidden"


@dataclass(frozen=True, slots=True)
class Written:
    """Columns a body fills, and its rows with a value for each of them."""

    columns: list[Column]
    rows: list[dict[str, Any]]


def read_rows(
    dataset: Dataset,
    media_type: str,
    charset: str,
    content: bytes,
    chosen: Sequence[str] | None,
    preferences: Preferences,
) -> Written:
    """Read rows to insert; `chosen` are the columns to take from them.

    Raises RestError for columns there are not and rows of different shapes, and what `parse_body` raises.
    """
    columns = dataset.columns if chosen is None else [_column(dataset, name) for name in chosen]
    if media_type == CSV:
        parsed = parse_body(media_type, charset, content, dataset.columns)
        rows = [row for chunk in parsed.chunks for row in _texts(chunk.text, parsed.columns)]
        return Written([item for item in parsed.columns if item in columns], rows)
    if media_type == GEOJSON:
        content = rows_of_features(dataset, content)
    records = _records(dataset, content, columns, others=chosen is not None)
    if chosen is None:
        columns = _shape(records, columns)
    return Written(list(columns), [_filled(row, columns, preferences) for row in records])


def read_changes(dataset: Dataset, content: bytes, chosen: Sequence[str] | None) -> dict[str, Any]:
    """Read one object of new values by column. Raises as `read_rows` does."""
    columns = dataset.columns if chosen is None else [_column(dataset, name) for name in chosen]
    records = _records(dataset, content, columns, others=chosen is not None, partial=True)
    if len(records) != 1:
        raise RestError(400, "PGRST102", "A change of rows is one JSON object.")
    return dict(records[0])


def _column(dataset: Dataset, name: str) -> Column:
    column = dataset.column(name)
    if column is None:
        raise RestError(
            400,
            "PGRST204",
            f"Could not find the '{name[:100]}' column of '{dataset.name}' in the schema cache",
        )
    return column


def _records(
    dataset: Dataset,
    content: bytes,
    columns: Sequence[Column],
    *,
    others: bool,
    partial: bool = False,
) -> list[dict[str, Any]]:
    content = content.strip()
    if content.startswith(b"{"):
        content = b"[" + content + b"]"
    adapter = record_adapter(columns, many=True, partial=partial, others=others)
    try:
        records: list[dict[str, Any]] = adapter.validate_json(content)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            if item["type"] == _UNKNOWN:
                _column(dataset, str(item["loc"][-1]))
        problem = refused(error)
        if isinstance(problem, InvalidInputError) and problem.errors[0].field == "body":
            raise RestError(
                400, "PGRST102", "The body must be a JSON object or an array of objects."
            ) from None
        raise problem from None
    return records


def _shape(records: Sequence[dict[str, Any]], columns: Sequence[Column]) -> list[Column]:
    """Return the columns that all rows fill."""
    shapes = {frozenset(record) for record in records}
    if len(shapes) > 1:
        raise RestError(400, "PGRST102", "All object keys must match")
    filled = next(iter(shapes), frozenset())
    return [column for column in columns if column.name in filled]


def _filled(
    record: dict[str, Any], columns: Sequence[Column], preferences: Preferences
) -> dict[str, Any]:
    """Return the row with a value for each column: its default or null where it has none."""
    return {
        column.name: record[column.name]
        if column.name in record
        else (utc_default(column) if preferences.defaults or not column.nullable else None)
        for column in columns
    }


def _texts(chunk: str, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return rows of COPY's CSV, in which an empty field is null, as texts that PostgreSQL reads."""
    return [
        {column.name: _text(column, field) for column, field in zip(columns, fields, strict=True)}
        for fields in csv.reader(io.StringIO(chunk, newline=""), strict=True)
    ]


def _text(column: Column, field: str) -> Any:
    if not field:
        return None
    return orjson.loads(field) if column.type is ColumnType.JSON else field
