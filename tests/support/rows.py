"""Random rows of a dataset, and the ways to write them down."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.geometry import GeoRules
from datapunk.lake.searchable import VectorRules
from hypothesis import strategies as st

DIMENSION = 3
"""Of the vectors."""
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
JSON_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def _ranges(bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Return ranges as PostgreSQL writes them back."""
    pairs = st.lists(bounds, min_size=2, max_size=2, unique=True).map(sorted)
    return st.just("empty") | pairs.map(lambda pair: f"[{pair[0]},{pair[1]})")


NOT_EVERYWHERE = (ColumnType.GEO,)
"""Types that need an extension few databases have; tests of their own draw their values."""
KINDS = tuple(kind for kind in ColumnType if kind not in NOT_EVERYWHERE)
"""Types that columns have in every database."""
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    # An empty CSV field is null, so no format can be asked for an empty text in all three.
    ColumnType.TEXT: TEXTS.filter(bool),
    ColumnType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    ColumnType.NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    ColumnType.DECIMAL: st.decimals(
        min_value=-(10**20), max_value=10**20, places=6, allow_nan=False, allow_infinity=False
    ),
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.DATE: st.dates(),
    ColumnType.TIMESTAMP: st.datetimes(
        dt.datetime(1900, 1, 1),  # noqa: DTZ001 -- hypothesis wants bounds without a zone
        dt.datetime(2100, 1, 1),  # noqa: DTZ001 -- the same
        timezones=st.just(dt.UTC),
    ),
    ColumnType.UUID: st.uuids(),
    ColumnType.JSON: JSON_VALUES,
    ColumnType.INTEGER_RANGE: _ranges(st.integers(-1000, 1000)),
    ColumnType.DECIMAL_RANGE: _ranges(
        st.integers(-1000, 1000).map(lambda n: Decimal(n) / 4 + Decimal("0.00"))
    ),
    ColumnType.DATE_RANGE: _ranges(st.dates()),
    ColumnType.TIMESTAMP_RANGE: st.sampled_from(
        ["empty", '["2026-01-01 00:00:00+00",)', '(,"2026-11-28 04:30:00+00"]']
    ),
    # Eighths, which the four bytes of a vector's number keep exactly; never all zero.
    ColumnType.VECTOR: st.lists(
        st.integers(-4000, 4000).map(lambda n: (n + 0.5) / 4),
        min_size=DIMENSION,
        max_size=DIMENSION,
    ),
}


def column_of(name: str, kind: ColumnType, *, nullable: bool = True) -> Column:
    """Return a column of any type, with what the type needs to be declared."""
    rules = VectorRules(dimension=DIMENSION) if kind is ColumnType.VECTOR else None
    places = GeoRules() if kind is ColumnType.GEO else None
    return Column(name=name, type=kind, nullable=nullable, vector=rules, geo=places)


@st.composite
def columns_and_rows(draw: st.DrawFn) -> tuple[list[Column], list[dict[str, Any]]]:
    """Draw columns of any types, and rows that fit them; None stands for null."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    columns = [
        column_of(f"c{place}_{kind}", kind, nullable=draw(st.booleans()))
        for place, kind in enumerate(kinds)
    ]
    fields: dict[str, st.SearchStrategy[Any]] = {
        column.name: VALUES[column.type] | st.none() if column.nullable else VALUES[column.type]
        for column in columns
    }
    return columns, draw(st.lists(st.fixed_dictionaries(fields), max_size=6))


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | uuid.UUID) else value


def as_json(columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps(
        [{name: plain(value) for name, value in row.items()} for row in rows]
    ).encode()


def as_ndjson(columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> bytes:
    lines = [json.dumps({name: plain(value) for name, value in row.items()}) for row in rows]
    return "\n".join(lines).encode()


def as_csv(columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    for row in rows:
        writer.writerow([_csv_field(column, row[column.name]) for column in columns])
    return written.getvalue().encode()


def _csv_field(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.type in (ColumnType.JSON, ColumnType.VECTOR):
        return json.dumps(value)
    return str(plain(value))


_AVRO_TYPES: dict[ColumnType, Any] = {
    ColumnType.INTEGER: "long",
    ColumnType.NUMBER: "double",
    ColumnType.DECIMAL: {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 6},
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: {"type": "int", "logicalType": "date"},
    ColumnType.TIMESTAMP: {"type": "long", "logicalType": "timestamp-micros"},
    ColumnType.UUID: {"type": "string", "logicalType": "uuid"},
    ColumnType.VECTOR: {"type": "array", "items": "double"},
}
_ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.NUMBER: pa.float64(),
    ColumnType.DECIMAL: pa.decimal128(38, 6),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.UUID: pa.uuid(),
    ColumnType.VECTOR: pa.list_(pa.float32(), DIMENSION),
}
"""What is not in these is a text."""


def _typed_value(column: Column, value: Any) -> Any:
    if column.type is ColumnType.JSON and value is not None:
        return json.dumps(value)
    return value


def _typed_rows(columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {column.name: _typed_value(column, row[column.name]) for column in columns} for row in rows
    ]


def avro_schema(columns: Sequence[Column]) -> dict[str, Any]:
    """Return the schema of records with these columns."""
    fields = []
    for column in columns:
        kind = _AVRO_TYPES.get(column.type, "string")
        fields.append({"name": column.name, "type": ["null", kind] if column.nullable else kind})
    return {"type": "record", "name": "Row", "fields": fields}


def as_avro(columns: Sequence[Column], rows: Sequence[dict[str, Any]], **options: Any) -> bytes:
    written = io.BytesIO()
    options = {"codec": "deflate", **options}
    fastavro.writer(written, avro_schema(columns), _typed_rows(columns, rows), **options)
    return written.getvalue()


def arrow_table(columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return the rows as a table of Arrow's."""
    typed = _typed_rows(columns, rows)
    arrays = {
        column.name: pa.array(
            [row[column.name] for row in typed], _ARROW_TYPES.get(column.type, pa.string())
        )
        for column in columns
    }
    return pa.table(arrays)


def as_parquet(columns: Sequence[Column], rows: Sequence[dict[str, Any]], **options: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(arrow_table(columns, rows), written, **options)
    return written.getvalue()


Writer = Callable[[Sequence[Column], Sequence[dict[str, Any]]], bytes]
WRITERS: dict[str, Writer] = {
    "application/json": as_json,
    "application/x-ndjson": as_ndjson,
    "text/csv": as_csv,
}
FILE_WRITERS: dict[str, Callable[..., bytes]] = {
    "application/vnd.apache.avro": as_avro,
    "application/vnd.apache.parquet": as_parquet,
}
"""Formats with types of their own."""
