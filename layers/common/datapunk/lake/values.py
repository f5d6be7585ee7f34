"""Values of a query, written as text, read by a column's type."""

from __future__ import annotations

import re
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import ValidationError

from datapunk.lake.columns import ColumnType, text_value

_ITEM = re.compile(r'(?:\s*"((?:[^"\\]|\\.)*)"\s*|([^,"]*))(?:,|\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_value(kind: ColumnType, text: str) -> Any:
    """Return the text as a value to bind. Raises ValueError saying what is wrong with it."""
    try:
        value = text_value(kind).validate_python(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None
    return Jsonb(value) if kind is ColumnType.JSON else value


def split_list(text: str, brackets: str) -> list[str]:
    """Return the items of a list in brackets, `(a,"b,c")`.

    Inside quotes a backslash takes the next character as it is. Raises ValueError for what is none.
    """
    if len(text) < len(brackets) or not (
        text.startswith(brackets[0]) and text.endswith(brackets[1])
    ):
        raise ValueError(f"must be a list in {brackets[0]} and {brackets[1]}")
    inner = text[1:-1]
    items, place = [], 0
    while place < len(inner):
        match = _ITEM.match(inner, place)
        if match is None:
            raise ValueError("is not a well-formed list")
        quoted, plain = match.groups()
        items.append(plain.strip() if quoted is None else _ESCAPED.sub(r"\1", quoted))
        place = match.end()
    return items
