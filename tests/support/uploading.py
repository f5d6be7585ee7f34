"""Files on their way into a dataset: uploaded to the bucket, loaded by the real worker, which may die."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from backports import zstd
from datapunk.lake import loading, splitting, uploads

from tests.support.invoking import Invoker, run

OPERATION = "lake.load_upload"
PACK: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
}
"""How files are compressed, by the job's `encoding`."""
Moment = tuple[Any, str, int]
MOMENTS: list[Moment] = [
    (loading, "_digest", 1),
    (uploads, "settle", 1),
    (loading, "receipt_of", 3),
    (uploads, "advance", 3),
    (loading, "_store", 3),
    (loading, "_store", 10),
    (loading, "remove", 1),
]
"""Where a worker of 1,000 rows in chunks of 100 may be killed: behind which call of a function."""


class KilledError(BaseException):
    """What ends a worker as a kill does: nothing of it catches this."""


@dataclass
class Uploads:
    """Makes jobs, puts their files and runs their worker."""

    invoke: Invoker
    bucket: str

    def put(self, dataset: str, content: bytes, **wanted: Any) -> str:
        """Make a job for a file, put the file, and return the job's id."""
        body = {"media_type": "text/csv", **wanted}
        answer = self.invoke("lake.create_upload", path={"dataset": dataset}, body=body)
        assert answer.status == 201, answer.body
        job: str = answer.json["job"]
        self.store().upload_fileobj(io.BytesIO(content), self.bucket, f"uploads/{job}")
        return job

    def load(self, job: str, seconds: float = 300.0) -> str:
        """Run the worker as the event of the upload does, and return what became of it."""
        event = {"detail": {"object": {"key": f"uploads/{job}"}}}
        outcome: str = run(OPERATION, event, seconds=seconds)["outcome"]
        return outcome

    def job(self, job: str) -> dict[str, Any]:
        """Return what is told of the job."""
        found: dict[str, Any] = self.invoke("lake.get_job", path={"job": job}).json
        return found

    def kept(self) -> list[str]:
        """Return the keys of what is in the bucket, in any version."""
        answer = self.store().list_object_versions(Bucket=self.bucket, Prefix="uploads/")
        return [item["Key"] for item in answer.get("Versions", ())]

    def store(self) -> Any:
        """Return a client of the bucket's."""
        return boto3.client("s3")


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, call: int) -> Iterator[None]:
    """Have the worker killed behind the `call`th call of a function, in the middle of what it is doing."""
    real, calls = getattr(module, name), 0

    def counted(*args: Any, **others: Any) -> Any:
        nonlocal calls
        calls += 1
        result = real(*args, **others)
        if calls == call:
            raise KilledError
        return result

    with monkeypatch.context() as patch:
        patch.setattr(module, name, counted)
        with pytest.raises(KilledError):
            yield


def said(moment: Moment) -> str:
    """Return the name of a moment for a test's id."""
    return f"{moment[1]} {moment[2]}"


def small_chunks(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Have few rows stored at once."""
    monkeypatch.setattr(splitting, "CHUNK_ROWS", rows)


def given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a worker that says nothing count as dead at once."""
    monkeypatch.setattr(uploads, "HELD_SECONDS", 0)
