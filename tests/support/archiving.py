"""A dataset with rows of fourteen months, of which the oldest is due for storage."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import boto3
import psycopg
import pyarrow.parquet as pq
from datapunk.lake.partitions import months_around

from tests.support.invoking import Invoker, run

ARCHIVE = "lake.archive_partitions"
RESTORE = "lake.restore_archive"
MONTHS = 14
DEFINITION: dict[str, Any] = {
    "name": "readings",
    "columns": [
        {"name": "id", "type": "integer"},
        {"name": "at", "type": "timestamp"},
        {"name": "ppm", "type": "decimal"},
        {"name": "flags", "type": "json"},
        {"name": "note", "type": "text"},
    ],
    "key": ["id", "at"],
    "event_time": "at",
    "retention_months": 12,
}


def months() -> list[dt.date]:
    """Return the last fourteen months, the oldest first, which alone is due."""
    return months_around(dt.datetime.now(dt.UTC).date(), MONTHS - 1, 0)


def rows_of(month: dt.date, count: int = 40, first: int = 0) -> list[dict[str, Any]]:
    """Return rows of a month, with values that text formats like to lose."""
    notes = ["plain", 'quo"ted, \\N', "", None, "line\nfeed\tand tab", "Grüße 雪"]
    return [
        {
            "id": number,
            "at": f"{month:%Y-%m}-{number % 28 + 1:02}T23:59:59.{number:06}Z",
            "ppm": f"{number}.10",
            "flags": {"n": number} if number % 3 else None,
            "note": notes[number % len(notes)],
        }
        for number in range(first, first + count)
    ]


@dataclass
class Archives:
    """Makes the dataset and its archives, and looks at what is stored where."""

    invoke: Invoker
    bucket: str
    database: str
    name: str = "readings"

    def create(self, **changes: Any) -> None:
        """Make the dataset."""
        definition = {**DEFINITION, "name": self.name, **changes}
        answer = self.invoke("lake.create_dataset", body=definition)
        assert answer.status == 201, answer.body

    def insert(self, rows: list[dict[str, Any]], name: str | None = None) -> None:
        """Store rows."""
        path = {"dataset": name or self.name}
        answer = self.invoke(
            "lake.insert_records", path=path, body=rows, content_type="application/json"
        )
        assert answer.status == 201, answer.body

    def fill(self, count: int = 40) -> None:
        """Make the dataset with rows in each month."""
        self.create()
        for month in months():
            self.insert(rows_of(month, count))

    def run(self, seconds: float = 300.0) -> dict[str, Any]:
        """Run the schedule."""
        outcome: dict[str, Any] = run(ARCHIVE, {"id": "x"}, seconds=seconds)
        return outcome

    def restore(self, archive: str, status: int = 200) -> Any:
        """Restore an archive."""
        path = {"dataset": self.name, "archive": archive}
        answer = self.invoke(RESTORE, path=path)
        assert answer.status == status, answer.body
        return answer.json

    def change(self, *changes: dict[str, Any]) -> None:
        """Change the definition."""
        body = {"changes": list(changes), "compatibility": "none"}
        answer = self.invoke("lake.change_dataset", path={"dataset": self.name}, body=body)
        assert answer.status == 200, answer.body

    def listed(self, **others: Any) -> list[dict[str, Any]]:
        """Return the archives there are."""
        answer = self.invoke("lake.list_archives", path={"dataset": self.name}, **others)
        assert answer.status == 200, answer.body
        items: list[dict[str, Any]] = answer.json["items"]
        return items

    def records(self, month: dt.date, **query: str) -> list[dict[str, Any]]:
        """Return the rows of a month that the table has, by id."""
        asked = {"at": f"gte.{month:%Y-%m}-01T00:00:00Z", "order": "id", "limit": "1000", **query}
        answer = self.invoke("lake.query_records", path={"dataset": self.name}, query=asked)
        assert answer.status == 200, answer.body
        return [row for row in answer.json["items"] if row["at"].startswith(f"{month:%Y-%m}")]

    def objects(self) -> list[str]:
        """Return the keys of all objects, in any version."""
        found = boto3.client("s3").list_object_versions(Bucket=self.bucket, Prefix="archives/")
        return sorted(item["Key"] for item in found.get("Versions", ()))

    def content(self, key: str) -> bytes:
        """Return what an object holds."""
        content: bytes = boto3.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def file(self, archive: dict[str, Any]) -> pq.ParquetFile:
        """Return the file of an archive, as a reader of Parquet sees it."""
        return pq.ParquetFile(io.BytesIO(self.content(archive["object"])))

    def sql(self, statement: str, tenant: str = "*") -> list[tuple[Any, ...]]:
        """Run a statement in the database, as the platform."""
        with psycopg.connect(self.database) as connection:
            connection.execute("SELECT set_config('datapunk.tenant', %s, true)", (tenant,))
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def partitions(self) -> list[str]:
        """Return the months that the table has partitions for."""
        found = self.sql(
            "SELECT right(relname, 6) FROM pg_class WHERE relispartition AND relkind = 'r'"
            f" AND relname LIKE '{self.name}%' AND relname ~ '_[0-9]{{6}}$' ORDER BY 1"
        )
        return [name for (name,) in found]


def total(rows: list[dict[str, Any]], column: str = "ppm") -> Decimal:
    """Return the sum of a column of decimals."""
    return sum((Decimal(str(row[column])) for row in rows), Decimal())
