"""Whether clients of one definition get along with another, by Avro's rules for readers and writers.

Backward: what clients of the old definition write is taken under the new one. Forward: what is there under
the new one can be read by clients of the old. Names and types decide, as in a schema registry; checks are
rules about the data and may change at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.definition import Compatibility

_PROMOTIONS = {
    (ColumnType.INTEGER, ColumnType.NUMBER),
    (ColumnType.INTEGER, ColumnType.DECIMAL),
    (ColumnType.NUMBER, ColumnType.DECIMAL),
}
"""Types whose values, as JSON has them, are values of another type too."""


def problems(
    old: Sequence[Column], new: Sequence[Column], mode: Compatibility
) -> list[tuple[str, str]]:
    """Return what keeps the new columns from being compatible: names of columns, and why."""
    found: list[tuple[str, str]] = []
    if mode in (Compatibility.BACKWARD, Compatibility.FULL):
        found += _backward(old, new)
    if mode in (Compatibility.FORWARD, Compatibility.FULL):
        found += _forward(old, new)
    return found


def _backward(old: Sequence[Column], new: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Yield what old writers' rows lack under the new columns."""
    written = {column.name: column for column in old}
    for column in new:
        before = next((written[name] for name in column.names if name in written), None)
        if before is None:
            if column.required:
                yield column.name, "is new and must be sent, which writers so far do not"
        elif not _reads(before.type, column.type):
            yield column.name, f"{before.type} as written so far is not taken as {column.type}"
        elif before.nullable and not column.nullable:
            yield column.name, "may be null so far"


def _forward(old: Sequence[Column], new: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Yield what old readers miss in the new columns."""
    written = {column.name: column for column in new}
    renamed = {alias: column.name for column in new for alias in column.aliases}
    for column in old:
        after = written.get(column.name)
        if after is None:
            if column.name in renamed:
                yield column.name, f"is called {renamed[column.name]} now"
            elif column.required:
                yield column.name, "is gone, and readers so far always find it"
        elif not _reads(after.type, column.type):
            yield column.name, f"{after.type} is not read as {column.type}"
        elif after.nullable and not column.nullable:
            yield column.name, "may be null now"


def _reads(written: ColumnType, read: ColumnType) -> bool:
    return written is read or (written, read) in _PROMOTIONS
