"""Request bodies read as rows of a dataset: JSON array, NDJSON or CSV, validated against its columns.

A body becomes chunks of COPY input. JSON values are validated strictly (the number 5 is no text); CSV
fields are texts, read by the column's type, and an empty field is null.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

import orjson
from pydantic import AliasChoices, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from datapunk.errors import FieldError, InvalidInputError, MalformedRequestError
from datapunk.lake.columns import (
    NEARNESS,
    Column,
    ColumnType,
    annotation,
    text_values,
    utc_default,
)

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
AVRO = "application/vnd.apache.avro"
AVRO_SHORT = "avro/binary"
PARQUET = "application/vnd.apache.parquet"
FILES = (AVRO, AVRO_SHORT, PARQUET)
"""Formats with types of their own, which `binary` reads."""
CHUNK = 5_000
DELIMITERS = ",;\t|"
_HEADER_LENGTH = 65_536
MAX_ERRORS = 100


@dataclass(frozen=True, slots=True)
class Rows:
    """A chunk of validated rows as COPY's CSV input, fields in the order of the body's columns."""

    count: int
    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A readable body: the columns it fills, in order, and its rows chunk by chunk."""

    columns: list[Column]
    chunks: Iterator[Rows]


def parse_body(media_type: str, charset: str, content: bytes, columns: Sequence[Column]) -> Parsed:
    """Read a body of one of the media types.

    Raises MalformedRequestError when it is not well-formed and InvalidInputError, naming row and column,
    when it does not fit the columns; for rows of CSV the latter may come while the chunks are read, of a file
    with types of its own all, and PayloadTooLargeError.
    """
    if media_type in FILES:
        from datapunk.lake.binary.bodies import parse_file

        return parse_file(media_type, content, columns)
    if media_type == CSV:
        return _parse_csv(decode(content, charset), columns)
    validate = _validate_lines if media_type == NDJSON else _validate_array
    records = validate(content, columns)
    return Parsed(list(columns), rows_of_records(records, columns))


def decode(content: bytes, charset: str) -> str:
    """Return a body as text. Raises MalformedRequestError when it is not in the charset, or that is none."""
    try:
        text = content.decode(charset)
        if charset != "utf-8":
            text.encode()  # some codecs make lone surrogates, which nothing behind us can store
    except UnicodeError as error:
        reason = getattr(error, "reason", "not decodable")
        raise MalformedRequestError(f"The body is not {charset}: {reason}.") from None
    except (LookupError, ValueError):
        raise MalformedRequestError(f"The charset {charset!r} is not known.") from None
    return text.removeprefix("\ufeff")


# -- JSON ------------------------------------------------------------------------------------------


def record_adapter(
    columns: Sequence[Column], *, many: bool, partial: bool = False, others: bool = False
) -> TypeAdapter[Any]:
    """Return the validator of rows as dictionaries, which is twice as fast as one of model instances.

    `partial` rows may leave out any column; `others` may stand in them and are dropped.
    """
    fields: dict[str, Any] = {}
    for column in columns:
        kind = annotation(column)
        value = kind | None if column.nullable else kind
        if column.aliases:
            value = Annotated[value, Field(validation_alias=AliasChoices(*column.names))]
        fields[column.name] = value if column.required and not partial else NotRequired[value]
    # Column names are only known at run time, which the type checker cannot follow.
    make: Any = TypedDict
    record: Any = make("Record", fields)
    record.__pydantic_config__ = ConfigDict(extra="ignore" if others else "forbid", strict=True)
    return TypeAdapter(list[record] if many else record)


def _validate_array(content: bytes, columns: Sequence[Column]) -> list[Any]:
    try:
        records: list[Any] = record_adapter(columns, many=True).validate_json(content)
    except ValidationError as error:
        raise refused(error) from None
    return records


def _validate_lines(content: bytes, columns: Sequence[Column]) -> list[Any]:
    adapter = record_adapter(columns, many=False)
    records: list[Any] = []
    errors: list[tuple[int, list[Any]]] = []
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            records.append(adapter.validate_json(line))
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            if found[0]["type"] == "json_invalid":
                row = len(records) + len(errors) + 1
                raise MalformedRequestError(f"Row {row} is not valid JSON.") from None
            errors.append((len(records) + len(errors), found))
            if len(errors) >= MAX_ERRORS:
                break
    if errors:
        raise invalid(
            row_error(index, item["loc"], item["msg"], item["type"])
            for index, found in errors
            for item in found
        )
    return records


def refused(error: ValidationError) -> MalformedRequestError | InvalidInputError:
    """Return our error for what a validator of rows says of a body."""
    found = error.errors(include_input=False, include_url=False)
    first = found[0]
    if first["type"] == "json_invalid":
        return MalformedRequestError("The body is not valid JSON.")
    if not first["loc"]:
        return InvalidInputError(
            "The body must be a JSON array of objects, one per row.",
            errors=[FieldError("body", first["msg"], first["type"])],
        )
    return invalid(
        row_error(int(item["loc"][0]), item["loc"][1:], item["msg"], item["type"]) for item in found
    )


def row_error(index: int, location: Sequence[int | str], message: str, code: str) -> FieldError:
    """Name a value of a row; rows are counted from 0 in the field, as elements of an array are."""
    column = str(location[0]) if location else ""
    if code == "extra_forbidden":
        message = "is not a column of the dataset"
    return FieldError(f"records.{index}.{column}".rstrip("."), message, code)


def invalid(errors: Iterator[FieldError]) -> InvalidInputError:
    """Return the error that lists what is wrong with rows, the first of it."""
    listed = list(errors)
    total, listed = len(listed), listed[:MAX_ERRORS]
    more = f" (the first {MAX_ERRORS} of {total} errors are listed)" if total > MAX_ERRORS else ""
    return InvalidInputError(
        f"Not valid: {listed[0].field}: {listed[0].message}.{more}", errors=listed
    )


def rows_of_records(records: list[Any], columns: Sequence[Column]) -> Iterator[Rows]:
    """Yield validated rows in chunks of COPY's input."""
    writers = [(column.name, writer_of(column.type), utc_default(column)) for column in columns]
    for start in range(0, len(records), CHUNK):
        part = records[start : start + CHUNK]
        fields = []
        for name, write, default in writers:
            values = [record.get(name, default) for record in part]
            fields.append(["" if value is None else write(value) for value in values])
        yield Rows(len(part), "\n".join(map(",".join, zip(*fields, strict=True))) + "\n")


def writer_of(kind: ColumnType) -> Any:
    """Return the function that writes a validated value as a CSV field."""
    if kind in (ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DECIMAL, ColumnType.UUID):
        return str
    if kind is ColumnType.BOOLEAN:
        return lambda value: "t" if value else "f"
    if kind in (ColumnType.DATE, ColumnType.TIMESTAMP):
        return lambda value: value.isoformat()
    if kind in (ColumnType.JSON, *NEARNESS):
        return lambda value: quoted(orjson.dumps(value).decode())
    return quoted


def quoted(text: str) -> str:
    """Return a text as a CSV field."""
    return '"' + text.replace('"', '""') + '"'


# -- CSV -------------------------------------------------------------------------------------------


def _parse_csv(text: str, columns: Sequence[Column]) -> Parsed:
    text = text.rstrip("\r\n")
    delimiter, quote = dialect_of(text, columns)
    # A body with signs is written anew from what was validated; any other goes to the database as it came.
    plain = text.replace("\r\n", "\n")
    if delimiter != "," or has_signs(plain, quote):
        reader = csv_reader(text, delimiter, quote)
        filled = header_columns(read_rows(reader, 1, -1)[0], columns)
        return Parsed(filled, _quoted_chunks(reader, filled))
    lines = plain.split("\n")
    filled = header_columns(lines[0].split(","), columns)
    return Parsed(filled, _plain_chunks(lines, filled))


def has_signs(text: str, quote: str) -> bool:
    r"""Tell whether CSV may be read in more than one way.

    Python and PostgreSQL read quotes, carriage returns and a lone \. differently.
    """
    return any(sign in text for sign in (quote, '"', "\r", "\\"))


def dialect_of(text: str, columns: Sequence[Column]) -> tuple[str, str]:
    """Return the delimiter and the quote of a CSV text, those with which its header names most columns.

    A header whose first name stands in single quotes says that they are the quotes; else double ones are.
    """
    header = text[: _HEADER_LENGTH + 1].partition("\n")[0]
    quote = "'" if header.startswith("'") else '"'
    known = {name for column in columns for name in column.names}

    def named(delimiter: str) -> int:
        return sum(name.strip().strip(quote) in known for name in header.split(delimiter))

    return max(DELIMITERS, key=named), quote


def csv_reader(text: str, delimiter: str, quote: str) -> Any:
    """Return Python's reader of a CSV text."""
    source = io.StringIO(text, newline="")
    return csv.reader(source, strict=True, delimiter=delimiter, quotechar=quote)


def header_columns(header: list[str], columns: Sequence[Column]) -> list[Column]:
    """Return the columns that a CSV header names, in its order. Raises InvalidInputError."""
    by_name = {name: column for column in columns for name in column.names}
    errors = []
    names = [name.strip() for name in header]
    filled = [by_name[name].name for name in names if name in by_name]
    for name in names:
        if name not in by_name:
            message = "is not a column of the dataset"
            errors.append(FieldError(name[:100] or "(empty)", message, "extra_forbidden"))
        elif filled.count(by_name[name].name) > 1:
            errors.append(FieldError(name, "stands twice in the header", "duplicate"))
    errors += [
        FieldError(column.name, "is required and not in the header", "missing")
        for column in columns
        if column.required and column.name not in filled
    ]
    if errors:
        listed = ", ".join(dict.fromkeys(error.field for error in errors))
        raise InvalidInputError(
            f"The CSV header is not valid: {listed}.", errors=errors[:MAX_ERRORS]
        )
    return [by_name[name] for name in names]


def _plain_chunks(lines: list[str], columns: list[Column]) -> Iterator[Rows]:
    """Split rows at every comma, a chunk at once: several times as fast as a CSV reader."""
    width = len(columns)
    for start in range(1, len(lines), CHUNK):
        part = lines[start : start + CHUNK]
        if {line.count(",") for line in part} != {width - 1} or "" in part:
            _check_widths([line.split(",") if line else [] for line in part], width, start - 1)
        fields = ",".join(part).split(",")
        for place, column in enumerate(columns):
            _check_column(fields[place::width], column, start - 1)
        yield Rows(len(part), "\n".join(part) + "\n")


def _quoted_chunks(reader: Any, columns: list[Column]) -> Iterator[Rows]:
    done = 0
    while rows := read_rows(reader, CHUNK, done):
        _check_widths(rows, len(columns), done)
        for place, column in enumerate(columns):
            _check_column([row[place] for row in rows], column, done)
        lines = [",".join([quoted(field) if field else "" for field in row]) for row in rows]
        yield Rows(len(rows), "\n".join(lines) + "\n")
        done += len(rows)


def read_rows(reader: Any, most: int, done: int) -> list[list[str]]:
    """Return the next rows, `most` at most, after `done`. Raises MalformedRequestError."""
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) == most:
                break
    except csv.Error as error:
        place = "The header" if done < 0 else f"Row {done + len(rows) + 1}"
        raise MalformedRequestError(f"{place} is not well-formed CSV: {error}.") from None
    return rows


def _check_widths(rows: list[list[str]], width: int, done: int) -> None:
    for index, row in enumerate(rows):
        if len(row) != width:
            raise InvalidInputError(
                f"Row {done + index + 1} has {len(row)} fields instead of {width}.",
                errors=[FieldError(f"records.{done + index}", "has another width", "width")],
            )


def _check_column(values: list[str], column: Column, first: int) -> None:
    """Validate one column of a chunk. Raises InvalidInputError naming the rows."""
    present: list[str | None] = list(values)
    if "" in values:
        if not column.nullable:
            raise invalid(
                row_error(first + index, (column.name,), "must not be empty", "missing")
                for index, value in enumerate(values)
                if not value
            )
        present = [value or None for value in values]
    try:
        text_values(column).validate_python(present)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise invalid(
            row_error(first + int(item["loc"][0]), (column.name,), item["msg"], item["type"])
            for item in found
        ) from None
