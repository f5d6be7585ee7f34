"""Bodies read row by row: those that fit a dataset's columns, and those that do not, with what is wrong.

Where `parsing` stops at what does not fit, this goes on. A body that is no CSV or no JSON array at all has
no rows to go on with, and is refused here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from datapunk.errors import FieldError, InvalidInputError, MalformedRequestError
from datapunk.lake.columns import Column, text_values, utc_default
from datapunk.lake.parsing import (
    CHUNK,
    CSV,
    FILES,
    NDJSON,
    csv_reader,
    decode,
    dialect_of,
    header_columns,
    quoted,
    read_rows,
    record_adapter,
    writer_of,
)

_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not taken: its number in the body, from 1, what it is, and why it was not.

    `content` is JSON: the row as it was sent, an object of texts for one of CSV.
    """

    position: int
    content: str
    errors: tuple[FieldError, ...]

    @property
    def rule(self) -> str:
        """The first rule that the row breaks."""
        return self.errors[0].code

    @property
    def reason(self) -> str:
        """What is wrong, for a person to read."""
        return "; ".join(f"{error.field}: {error.message}" for error in self.errors)[:1000]


@dataclass(slots=True)
class Batch:
    """Some rows of a body: for those that fit their numbers, what they are and lines of COPY; and the others.

    What a row is: its JSON, or its fields for the names of a `header`, or where there are no `rows` the line
    itself. Few are ever asked for their contents.
    """

    header: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    rows: list[str | list[str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def content(self, place: int) -> str:
        """Return the row that has this place in the lines as JSON, as it is kept where it is refused."""
        row = self.rows[place] if self.rows else self.lines[place].split(",")
        return row if isinstance(row, str) else json.dumps(dict(zip(self.header, row, strict=True)))


@dataclass(frozen=True, slots=True)
class Sifted:
    """A readable body: the columns it fills, in the order of the lines, and its rows."""

    columns: list[Column]
    batches: Iterator[Batch]


def sift_body(media_type: str, charset: str, content: bytes, columns: Sequence[Column]) -> Sifted:
    """Read a body of one of the media types.

    Raises MalformedRequestError when it is not well-formed, and InvalidInputError for a CSV header, or the
    columns of a file with types of its own, that do not fit; the former may come while batches are read.
    """
    if media_type in FILES:
        from datapunk.lake.binary.bodies import sift_file

        return sift_file(media_type, content, columns)
    if media_type == CSV:
        return _sift_csv(decode(content, charset).rstrip("\r\n"), columns)
    text = decode(content, "utf-8")
    rows = _lines(text) if media_type == NDJSON else _elements(text)
    return Sifted(list(columns), sift_records(rows, columns))


def sift_kept(media_type: str, content: str, columns: Sequence[Column]) -> Sifted:
    """Read one row as it was kept, `Refused.content` of a body of the media type."""
    if media_type != CSV:
        return Sifted(list(columns), sift_records([content], columns))
    found = json.loads(content)
    if not isinstance(found, dict):
        raise InvalidInputError(
            "The row has not as many fields as its header: correct it first.",
            errors=[FieldError("(row)", "has another width", "width")],
        )
    filled = header_columns(list(found), columns)
    batch = batch_of_texts([list(found.values())], 0, list(found), filled)
    return Sifted(filled, iter([batch]))


# -- JSON ------------------------------------------------------------------------------------------


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if line.strip())


def _elements(text: str) -> Iterator[str]:
    """Yield the text of each element of a JSON array. Raises MalformedRequestError where it is none."""
    decoder = json.JSONDecoder()
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        raise MalformedRequestError("The body is not a JSON array of objects, one per row.")
    place = _after_space(text, place + 1)
    end = place if text[place : place + 1] == "]" else -1
    while end < 0:
        try:
            _, after = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            raise MalformedRequestError("The body is not valid JSON.") from None
        yield text[place:after]
        place = _after_space(text, after)
        sign = text[place : place + 1]
        if sign == "]":
            end = place
        elif sign != ",":
            raise MalformedRequestError("The body is not valid JSON.")
        place = _after_space(text, place + 1)
    if _after_space(text, end + 1) != len(text):
        raise MalformedRequestError("The body is not valid JSON.")


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def sift_records(rows: Iterator[str] | Sequence[str], columns: Sequence[Column]) -> Iterator[Batch]:
    """Yield rows, each a text of JSON, in batches."""
    adapter: TypeAdapter[Any] = record_adapter(columns, many=False)
    writers = [(column.name, writer_of(column.type), utc_default(column)) for column in columns]
    batch = Batch()
    for position, text in enumerate(rows, 1):
        try:
            record = adapter.validate_json(text)
        except ValidationError as error:
            batch.refused.append(_refused_record(position, text, error))
        else:
            values = ((record.get(name, default), write) for name, write, default in writers)
            line = ",".join("" if value is None else write(value) for value, write in values)
            batch.positions.append(position)
            batch.rows.append(text)
            batch.lines.append(line)
        if len(batch.lines) + len(batch.refused) == CHUNK:
            yield batch
            batch = Batch()
    yield batch


def _refused_record(position: int, text: str, error: ValidationError) -> Refused:
    found = error.errors(include_input=False, include_url=False)
    if found[0]["type"] == "json_invalid":
        wrong = FieldError("(row)", "is not valid JSON", "json_invalid")
        return Refused(position, json.dumps(text), (wrong,))
    return Refused(position, text, tuple(_field_error(item, item["loc"]) for item in found))


def _field_error(item: Any, location: Sequence[int | str]) -> FieldError:
    code = str(item.get("ctx", {}).get("rule") or item["type"])
    message = "is not a column of the dataset" if code == "extra_forbidden" else item["msg"]
    # A name that is no column may have any characters, and this one PostgreSQL does not take.
    name = str(location[0])[:100].replace("\x00", "\ufffd") if location else "(row)"
    return FieldError(name, message, code)


# -- CSV -------------------------------------------------------------------------------------------


def _sift_csv(text: str, columns: Sequence[Column]) -> Sifted:
    reader = csv_reader(text, *dialect_of(text, columns))
    header = [name.strip() for name in read_rows(reader, 1, -1)[0]]
    filled = header_columns(header, columns)
    return Sifted(filled, _csv_batches(reader, header, filled))


def _csv_batches(reader: Any, header: list[str], columns: list[Column]) -> Iterator[Batch]:
    done = 0
    while rows := read_rows(reader, CHUNK, done):
        yield batch_of_texts(rows, done, header, columns)
        done += len(rows)


def batch_of_lines(lines: list[str], header: list[str], columns: list[Column]) -> Batch:
    """Validate lines of CSV that have no quotes, for the columns that a header names.

    A whole column at once, and only where something does not fit row by row: most often nothing is wrong.
    """
    width = len(columns)
    if {line.count(",") for line in lines} == {width - 1}:
        fields = ",".join(lines).split(",")
        values = (fields[place::width] for place in range(width))
        if not any(map(any, map(_wrong_values, values, columns))):
            return Batch(header, list(range(1, len(lines) + 1)), lines=lines)
    return batch_of_texts([line.split(",") for line in lines], 0, header, columns)


def batch_of_texts(
    rows: list[list[str]], done: int, header: list[str], columns: list[Column]
) -> Batch:
    """Validate rows of texts for the columns that a header names; they come behind `done` others."""
    batch = Batch(header)
    wrong: dict[int, list[FieldError]] = {}
    for index, row in enumerate(rows):
        if len(row) != len(columns):
            message = f"has {len(row)} fields instead of {len(columns)}"
            wrong[index] = [FieldError("(row)", message, "width")]
    whole = [index for index in range(len(rows)) if index not in wrong]
    for place, column in enumerate(columns):
        for index, error in _wrong_values([rows[index][place] for index in whole], column):
            wrong.setdefault(whole[index], []).append(error)
    for index, row in enumerate(rows):
        if index in wrong:
            fits = len(row) == len(columns)
            content = json.dumps(dict(zip(header, row, strict=True)) if fits else row)
            batch.refused.append(Refused(done + index + 1, content, tuple(wrong[index])))
        else:
            batch.positions.append(done + index + 1)
            batch.rows.append(row)
            batch.lines.append(_line(row))
    return batch


def _line(row: list[str]) -> str:
    return ",".join([quoted(value) if value else "" for value in row])


def _wrong_values(values: list[str], column: Column) -> Iterator[tuple[int, FieldError]]:
    """Yield the index of each value that does not fit the column, with what is wrong."""
    empty: set[int] = set()
    present: list[Any] = values
    if "" in values:
        empty = {index for index, value in enumerate(values) if not value}
        if column.nullable:
            present = [value or None for value in values]
        else:
            for index in sorted(empty):
                yield index, FieldError(column.name, "must not be empty", "missing")
    try:
        text_values(column).validate_python(present)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            index = int(item["loc"][0])
            if index not in empty:
                yield index, _field_error(item, (column.name,))
