"""Operators of filters: their words, how they are written in SQL, and which values they compare."""

from __future__ import annotations

from typing import LiteralString

from datapunk.lake.columns import RANGES as RANGE_TYPES
from datapunk.lake.columns import ColumnType

COMPARISONS: dict[str, LiteralString] = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
}
NOTHING: dict[str, LiteralString] = {
    "null": "IS NULL",
    "not_null": "IS NOT NULL",
    "true": "IS TRUE",
    "false": "IS FALSE",
    "unknown": "IS UNKNOWN",
}
PATTERNS: dict[str, LiteralString] = {
    "like": "LIKE",
    "ilike": "ILIKE",
    "match": "~",
    "imatch": "~*",
}
SEARCHES: dict[str, LiteralString] = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
CONTAINMENTS: dict[str, LiteralString] = {"cs": "@>", "cd": "<@"}
RANGES: dict[str, LiteralString] = {
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
FINDING = ("within", "intersects", "dwithin", "bbox")
"""What finds places (`geo`)."""
SIGNS: dict[str, LiteralString] = {
    **COMPARISONS,
    **PATTERNS,
    **CONTAINMENTS,
    **RANGES,
    "isdistinct": "IS DISTINCT FROM",
}
"""What stands between two values."""
OPERATORS = (*SIGNS, *SEARCHES, *FINDING, "in", "is")
QUANTIFIED = frozenset({"eq", "gt", "gte", "lt", "lte", *PATTERNS})
"""Operators that `(any)` and `(all)` go with."""
AGGREGATES = ("avg", "count", "max", "min", "sum")

_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DECIMAL)
_UNORDERED = (
    ColumnType.JSON,
    ColumnType.BOOLEAN,
    ColumnType.UUID,
    ColumnType.VECTOR,
    ColumnType.GEO,
    *RANGE_TYPES,
)


def operator_problem(operator: str, kind: ColumnType) -> str | None:
    """Say why an operator does not go with values of a kind, or return None."""
    if kind is ColumnType.VECTOR and operator != "is":
        return f"{operator} does not compare vectors, which a search does"
    if kind is ColumnType.GEO and operator not in (*FINDING, "is"):
        return f"{operator} does not compare places, which {', '.join(FINDING)} do"
    if operator in FINDING and kind is not ColumnType.GEO:
        return f"{operator} finds places, and this is {kind}"
    if operator in PATTERNS and kind is not ColumnType.TEXT:
        return f"{operator} compares texts, and this is {kind}"
    if operator in SEARCHES and kind not in (ColumnType.TEXT, ColumnType.JSON):
        return f"{operator} searches texts, and this is {kind}"
    if operator in CONTAINMENTS and kind is not ColumnType.JSON and kind not in RANGE_TYPES:
        return f"{operator} compares json values or ranges, and this is {kind}"
    if operator in RANGES and kind not in RANGE_TYPES:
        return f"{operator} compares ranges, and this is {kind}"
    return None


def aggregate_problem(aggregate: str, kind: ColumnType | None, name: str) -> str | None:
    """Say why an aggregate does not go with values of a kind (None for whole rows), or return None."""
    if aggregate not in AGGREGATES:
        return f"{aggregate[:20]} is not one of {', '.join(AGGREGATES)}"
    if kind is None:
        return None if aggregate == "count" else f"{aggregate} needs a column: column.{aggregate}()"
    if aggregate in ("avg", "sum") and kind not in _NUMERIC:
        return f"{aggregate} needs a numeric column, and {name} is {kind}"
    if aggregate in ("min", "max") and (kind in _UNORDERED):
        return f"{aggregate} needs values with an order, and {name} is {kind}"
    return None


def aggregate_kind(aggregate: str, kind: ColumnType | None) -> ColumnType:
    """Return what an aggregate over values of a kind results in."""
    if aggregate == "count" or kind is None:
        return ColumnType.INTEGER
    if aggregate in ("avg", "sum"):
        return kind if kind is ColumnType.NUMBER else ColumnType.DECIMAL
    return kind
