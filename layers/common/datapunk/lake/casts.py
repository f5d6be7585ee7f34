"""Types that a value may be cast to, and how, so that no cast is an error of the statement.

PostgreSQL has no cast between some types, and says so about the statement instead of the value. Those go
through text, which has one to and from every type; a text that does not fit is then the value's fault.
"""

from __future__ import annotations

from typing import LiteralString

from datapunk.lake.columns import ColumnType

_INTEGERS = ("int", "integer", "int4", "int8", "bigint", "smallint", "int2")
_NUMBERS = ("real", "float4", "float8", "double precision")
_DECIMALS = ("numeric", "decimal")
_DATES = ("date", "timestamp", "timestamptz")

CASTS: dict[str, tuple[LiteralString, ColumnType]] = {
    "text": ("text", ColumnType.TEXT),
    "varchar": ("text", ColumnType.TEXT),
    "int2": ("int2", ColumnType.INTEGER),
    "smallint": ("int2", ColumnType.INTEGER),
    "int": ("int4", ColumnType.INTEGER),
    "int4": ("int4", ColumnType.INTEGER),
    "integer": ("int4", ColumnType.INTEGER),
    "int8": ("int8", ColumnType.INTEGER),
    "bigint": ("int8", ColumnType.INTEGER),
    "real": ("float4", ColumnType.NUMBER),
    "float4": ("float4", ColumnType.NUMBER),
    "float8": ("float8", ColumnType.NUMBER),
    "double precision": ("float8", ColumnType.NUMBER),
    "numeric": ("numeric", ColumnType.DECIMAL),
    "decimal": ("numeric", ColumnType.DECIMAL),
    "bool": ("bool", ColumnType.BOOLEAN),
    "boolean": ("bool", ColumnType.BOOLEAN),
    "date": ("date", ColumnType.DATE),
    "timestamp": ("timestamp", ColumnType.TIMESTAMP),
    "timestamptz": ("timestamptz", ColumnType.TIMESTAMP),
    "uuid": ("uuid", ColumnType.UUID),
    "json": ("jsonb", ColumnType.JSON),
    "jsonb": ("jsonb", ColumnType.JSON),
}
"""The name in a query, PostgreSQL's type, and what a value of it is to us."""

_ANY_NUMBER = (*_INTEGERS, *_NUMBERS, *_DECIMALS)
_DIRECT: dict[ColumnType, tuple[str, ...]] = {
    ColumnType.INTEGER: _ANY_NUMBER,
    ColumnType.NUMBER: _ANY_NUMBER,
    ColumnType.DECIMAL: _ANY_NUMBER,
    ColumnType.BOOLEAN: ("int", "int4", "integer", "bool", "boolean"),
    ColumnType.DATE: _DATES,
    ColumnType.TIMESTAMP: _DATES,
    ColumnType.JSON: (*_ANY_NUMBER, "bool", "boolean", "json", "jsonb"),
}


def cast_sql(kind: ColumnType, name: str) -> LiteralString:
    """Return what to write behind an expression of a kind to cast it to the type called `name`."""
    target = CASTS[name][0]
    if name in _DIRECT.get(kind, ()):
        return f"::{target}"
    return f"::text::{target}"
