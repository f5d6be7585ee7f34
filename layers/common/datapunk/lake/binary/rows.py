"""Rows of files that have types of their own, each as the JSON that stands for it.

So they are validated, written and kept aside as rows of JSON are, by the same code: a decimal is a text with
all its digits, a time is written as in RFC 3339, one without an offset is read as UTC by the column. Only
what JSON has no type for depends on the column. A text for a column of JSON is read as JSON, as in CSV:
neither format has a type for any value, and this is how files have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from pydantic_core import PydanticSerializationError, from_json, to_json

from datapunk.errors import FieldError
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.splitting import MOST_RECORD_BYTES, Record

_UUID_BYTES = 16


class RowFile(Protocol):
    """A file of rows that is read from a place on, where reading may begin again."""

    position: int
    """The place behind the last record."""

    nullable: dict[str, bool]
    """The names of its columns, and whether they may have nothing in a row."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows as Python's values. Raises MalformedRequestError, PayloadTooLargeError."""

    def records(self) -> Iterator[Record]:
        """Yield the rows, each as a text of JSON. Raises what `rows` does."""

    def bytes_done(self) -> int:
        """Return how many bytes of the file have been read, about."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that Python has no value for, such as a day in the year 20,000."""

    reason: str


class Rendering:
    """Writes rows as JSON, for columns by the names that a file has for them."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._kinds = {name: column.type for column in columns for name in column.names}
        self._json = {name for name, kind in self._kinds.items() if kind is ColumnType.JSON}

    def record(self, row: Mapping[str, Any]) -> Record:
        """Return a row as a record; it is `wrong` where a value has no JSON that could fit its column."""
        values, wrong = dict(row), None
        for name, value in row.items():
            fit = _FITTING.get(type(value))
            if fit is None or (fit is _json and name not in self._json):
                continue
            try:
                values[name] = fit(value, self._kinds.get(name))
            except _UnfitError as error:
                values[name] = error.shown
                wrong = wrong or FieldError(name[:100], str(error), error.code)
        try:
            text = to_json(values, inf_nan_mode="constants", bytes_mode="base64").decode()
        except (PydanticSerializationError, ValueError) as error:
            text = to_json(
                repr(values)[:1000].encode("utf-8", "backslashreplace").decode()
            ).decode()
            wrong = FieldError("(row)", f"cannot be written as JSON: {str(error)[:200]}", "json")
        if len(text) > MOST_RECORD_BYTES:
            text = to_json(text[:1000]).decode()
            wrong = FieldError(
                "(row)", f"has more than {MOST_RECORD_BYTES:,} characters", "too_long"
            )
        return Record(text, wrong=wrong)


class _UnfitError(Exception):
    """A value that cannot stand in its column, with what is shown of it in its row."""

    def __init__(self, message: str, code: str, shown: Any) -> None:
        super().__init__(message)
        self.code = code
        self.shown = shown


def _bytes(value: bytes, kind: ColumnType | None) -> Any:
    if kind is ColumnType.UUID and len(value) == _UUID_BYTES:
        return UUID(bytes=value)
    if kind is ColumnType.JSON:
        return value  # as inside of lists and records: base64
    raise _UnfitError(f"is binary, which no column of {kind} holds", "bytes_type", value)


def _decimal(value: Decimal, kind: ColumnType | None) -> Any:
    if kind is ColumnType.NUMBER:
        return float(value)
    if kind is ColumnType.INTEGER and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return value


def _json(value: str, _: ColumnType | None) -> Any:
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError:
        raise _UnfitError("is not valid JSON", "json_invalid", value) from None


def _unreadable(value: Unreadable, _: ColumnType | None) -> Any:
    raise _UnfitError(f"cannot be read: {value.reason}", "unreadable", value.reason)


_FITTING: dict[type, Callable[[Any, ColumnType | None], Any]] = {
    bytes: _bytes,
    Decimal: _decimal,
    str: _json,
    Unreadable: _unreadable,
}
