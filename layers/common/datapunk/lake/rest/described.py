"""What the API's document says of PostgREST's parameters and answers."""

from __future__ import annotations

from typing import Any

from datapunk.lake.operators import OPERATORS

_SELECT = {
    "name": "select",
    "in": "query",
    "description": "Columns of the answer, e.g. `id,name:label,doc->>city,amount.sum(),stations(name)`.",
    "schema": {"type": "string"},
}
_ORDER = {
    "name": "order",
    "in": "query",
    "description": "Sort keys, e.g. `year.desc.nullslast,id`.",
    "schema": {"type": "string"},
}
_FILTERS = {
    "name": "filters",
    "in": "query",
    "description": "Filters, `column=operator.value`, `or=(...)`, `and=(...)`. Operators: "
    + ", ".join(f"`{name}`" for name in OPERATORS),
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "RFC 7240, e.g. `count=exact`, `return=representation`, `handling=strict`.",
    "schema": {"type": "string"},
}

READ_PARAMETERS: tuple[dict[str, Any], ...] = (
    _SELECT,
    _ORDER,
    *(
        {
            "name": name,
            "in": "query",
            "description": text,
            "schema": {"type": "integer"},
        }
        for name, text in (("limit", "Most rows."), ("offset", "Rows to leave out at the start."))
    ),
    _FILTERS,
    _PREFER,
    {
        "name": "Range",
        "in": "header",
        "description": "Rows by place, from 0, where neither `limit` nor `offset` is given: `0-9`.",
        "schema": {"type": "string"},
    },
)
WRITE_PARAMETERS: tuple[dict[str, Any], ...] = (
    _SELECT,
    _ORDER,
    *(
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in (
            ("columns", "Columns to take from the rows of the body."),
            ("on_conflict", "Columns that are unique together, by which rows are merged."),
        )
    ),
    _FILTERS,
    _PREFER,
)

READ_RESPONSES: dict[int, Any] = {
    200: {"description": "The rows."},
    206: {"description": "Some of the rows that were counted."},
}
CALL_RESPONSES: dict[int, Any] = {
    200: {"description": "The rows, the row or the value that the function finds."},
    206: {"description": "Some of the rows that were counted."},
}
WRITE_RESPONSES: dict[int, Any] = {
    200: {"description": "The rows that were changed, with `Prefer: return=representation`."},
    204: {"description": "The rows are changed."},
}
INSERT_RESPONSES: dict[int, Any] = {201: {"description": "The rows are inserted."}}
