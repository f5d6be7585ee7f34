"""What a team would write by hand: FastAPI, pydantic and psycopg take a CSV file into a table.

Each row is read by `csv`, validated by a model and written to COPY while the request arrives, in one
transaction. It has neither sign-in nor quarantine, keeps no place to go on from, and answers when all rows
are stored. It is run by uvicorn, in a process of its own:

    DATABASE_URL=postgresql://... python benchmarks/_ingest_peer.py PORT
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import os
import sys
from collections.abc import AsyncIterator

import psycopg
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, ValidationError

CHUNK = 1_000
COPY = "COPY public.keyed (id, day, value, station, ok) FROM STDIN"


class Row(BaseModel):
    """A row as the benchmark's tables have them."""

    id: int
    day: dt.date | None
    value: float | None
    station: str | None
    ok: bool | None


app = FastAPI()


@app.put("/rows")
async def put_rows(request: Request) -> dict[str, int]:
    """Store the rows of a CSV file with a header; all or none."""
    count = 0
    url = os.environ["DATABASE_URL"]
    async with (
        await psycopg.AsyncConnection.connect(url) as connection,
        connection.cursor() as cursor,
        cursor.copy(COPY) as copy,
    ):
        names: list[str] = []
        async for lines in _lines(request):
            reader = csv.reader(lines)
            if not names:
                names = next(reader)
            for fields in reader:
                named = {name: field or None for name, field in zip(names, fields, strict=True)}
                try:
                    row = Row.model_validate(named)
                except ValidationError as error:
                    raise HTTPException(422, f"row {count}: {error}") from error
                await copy.write_row((row.id, row.day, row.value, row.station, row.ok))
                count += 1
    return {"inserted": count}


async def _lines(request: Request) -> AsyncIterator[list[str]]:
    """Yield whole lines, some at a time; a field with a line feed in it would need more care."""
    decoder, rest = codecs.getincrementaldecoder("utf-8")(), ""
    async for piece in request.stream():
        whole, feed, rest = (rest + decoder.decode(piece)).rpartition("\n")
        lines = (whole + feed).splitlines()
        for start in range(0, len(lines), CHUNK):
            yield lines[start : start + CHUNK]
    if rest:
        yield [rest]


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
