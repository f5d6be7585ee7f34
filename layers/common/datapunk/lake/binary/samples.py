"""Samples of files that have types of their own: their first rows, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from datapunk.errors import MalformedRequestError
from datapunk.lake.binary.bodies import MOST_TEXT, opened_body
from datapunk.lake.binary.rows import Unreadable


@dataclass(frozen=True, slots=True)
class SampledColumn:
    """A column of a file: its name there, whether it may be empty, its values, and those as JSON."""

    name: str
    nullable: bool
    values: list[Any]
    shown: list[Any]


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
            nullable,
            [row.get(name) for row in rows],
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
