"""Rows as the documents of an answer."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from psycopg import sql

from datapunk.database import Row
from datapunk.lake.plan import Select
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.features import feature
from datapunk.lake.rest.requests import CSV, GEOJSON, Form, RestRequest, Window
from datapunk.lake.sql_parts import texts_of

MOST_BYTES = 4_500_000
"""Bytes of a body: Lambda's limit for a response, less what writing it into another JSON text may add."""


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """A status, headers and a body; the media type is None where there is no body."""

    status: int
    headers: dict[str, str | list[str]] = field(default_factory=dict)
    body: str = ""
    media_type: str | None = None


def document_columns(select: Select, form: Form) -> sql.Composed:
    """Return what to select from `rows`: how many there are (`found`) and the text of them (`documents`).

    PostgreSQL writes the JSON, which is much faster at it. CSV fields come as an array for each row.
    """
    if form.media_type == CSV:
        documents: sql.Composable = sql.SQL("coalesce(json_agg({}), '[]')").format(
            texts_of(select.names)
        )
    else:
        row: sql.Composable = sql.SQL("row_to_json(rows)")
        if form.media_type == GEOJSON:
            row = feature(select)
        elif form.without_nulls:
            row = sql.SQL("json_strip_nulls(row_to_json(rows))")
        documents = sql.SQL("coalesce(string_agg({}::text, ','), '')").format(row)
    return sql.SQL("count(*) AS found, {} AS documents").format(documents)


def render(row: Row, select: Select, form: Form, disclosure: Disclosure) -> str:
    """Return the body as the caller may see it. Raises RestError for one that is too large to be sent."""
    if form.media_type == CSV:
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow(select.names)
        writer.writerows(disclosure.reveal_fields(row["documents"]))
        body = written.getvalue()
    else:
        body = disclosure.reveal([row["documents"]])[0]
        if form.media_type == GEOJSON:
            body = f'{{"type":"FeatureCollection","features":[{body}]}}'
        elif not form.single:
            body = f"[{body}]"
    if len(body.encode()) > MOST_BYTES:
        raise RestError(
            413,
            "54000",
            f"The answer would have more than {MOST_BYTES:,} bytes.",
            None,
            "Ask for fewer rows (limit) or columns (select).",
        )
    return body


def require_single(found: int, form: Form) -> None:
    """Refuse any other number of rows than one, where one object was asked for."""
    if form.single and found != 1:
        raise RestError(
            406,
            "PGRST116",
            "Cannot coerce the result to a single JSON object",
            f"The result contains {found} rows",
        )


def content_range(first: int, found: int, total: int | None) -> dict[str, str | list[str]]:
    """Return the header that tells which rows of how many these are."""
    rows = f"{first}-{first + found - 1}" if found and total != 0 else "*"
    return {"Content-Range": f"{rows}/{'*' if total is None else total}"}


def range_status(window: Window, found: int, total: int | None) -> int:
    """Return 200 for all rows and 206 for some of those counted.

    Raises RestError (416) where the first row asked for is beyond the last.
    """
    if total is None:
        return 200
    if window.offset > total:
        raise RestError(
            416,
            "PGRST103",
            "Requested range not satisfiable",
            f"An offset of {window.offset} was requested, but there are only {total} rows.",
        )
    return 206 if found < total else 200


def applied(request: RestRequest, *names: str) -> dict[str, str | list[str]]:
    """Return the header that tells which preferences were heeded."""
    return request.preferences.applied(("handling", *names))
