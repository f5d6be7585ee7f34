"""Jobs: files that callers upload to storage and that are loaded from there: how far each is, who holds it.

A job is held by one worker at a time. Who holds it says so again with each chunk; one that says nothing has
died, and the next may go on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import orjson
from psycopg.types.json import Jsonb
from pydantic import BaseModel, Field

from datapunk import encodings, functions
from datapunk.database import Row, Transaction, beside, load_queries, transaction
from datapunk.errors import (
    ConfigurationError,
    ConflictError,
    DatapunkError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from datapunk.identity import SYSTEM, Caller, caller_from_document
from datapunk.lake.datasets import Dataset
from datapunk.lake.parsing import AVRO, CSV, FILES, JSON, NDJSON, PARQUET
from datapunk.lake.receipts import OnError, Receipt
from datapunk.lake.splitting import Layout
from datapunk.lake.staging import OnConflict
from datapunk.storage.reading import Found, link_to_put
from datapunk.telemetry import logger

WORKER = "lake.load_upload"
PREFIX = "uploads/"
LINK_SECONDS = 3600
HELD_SECONDS = 60
"""How long a worker may say nothing before another goes on."""
MOST_ATTEMPTS = 10
"""How often a job is begun without a chunk being stored."""
_SQL = Path(__file__).with_suffix(".sql")


class Encoding(StrEnum):
    """How a file is compressed."""

    GZIP = encodings.GZIP
    ZSTD = encodings.ZSTD


class UploadRequest(BaseModel, extra="forbid"):
    """A file that is going to be uploaded, and what is wanted where its rows do not fit or exist."""

    media_type: str = Field(
        description=f"`{CSV}` or `{NDJSON}`, in UTF-8; `{AVRO}` or `{PARQUET}`.", examples=[CSV]
    )
    encoding: Encoding | None = Field(default=None, description="How the file is compressed.")
    on_error: OnError = Field(
        default=OnError.QUARANTINE,
        description="`reject`: all rows are stored, in one transaction, or none.",
    )
    on_conflict: OnConflict = OnConflict.ERROR
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the file as it is uploaded; another file is refused.",
    )


class Link(BaseModel):
    """Where the file is to be put."""

    method: Literal["PUT"] = "PUT"
    url: str
    expires_at: datetime = Field(description="Until when the upload may begin.")


class Upload(BaseModel):
    """A job that waits for its file."""

    job: UUID
    url: str = Field(description="Where the job is told of.")
    upload: Link


class Job(BaseModel):
    """How far a file is on its way into a dataset; once it is done, the receipt."""

    id: UUID
    dataset: str
    state: Literal["waiting", "running", "done", "failed"]
    media_type: str
    encoding: Encoding | None
    on_error: OnError
    on_conflict: OnConflict
    same_as: UUID | None = Field(
        description="The job that loaded the same file before; the numbers here are its."
    )
    sha256: str | None = Field(description="Of the file as it was uploaded, once it has been read.")
    bytes_done: int
    bytes_total: int | None = Field(description="Size of the file as it was uploaded.")
    rows_read: int = Field(description="Rows of the file that are stored or in quarantine.")
    inserted: int
    updated: int
    skipped: int
    quarantined: int
    reasons: dict[str, int] = Field(description="How many quarantined rows broke which rule first.")
    batch: UUID | None = Field(description="What the quarantined rows have in common.")
    problem: dict[str, Any] | None = Field(
        description="Why the job failed, as a problem document; rows read before stay stored."
    )
    created_by: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A job that this worker holds."""

    id: UUID
    holder: UUID
    dataset_id: UUID
    dataset: str
    caller: Caller
    media_type: str
    encoding: Encoding | None
    on_error: OnError
    on_conflict: OnConflict
    announced: str | None
    attempts: int
    object_version: str | None
    digest: str | None
    layout: Layout | None
    position: int
    rows_read: int
    quarantined: int
    expired: bool

    @property
    def key(self) -> str:
        """Where in the bucket the file is."""
        return f"{PREFIX}{self.id}"


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of a chunk, how far in the file it ends, and whether it is the last one."""

    receipt: Receipt
    rows_read: int
    position: int
    bytes_done: int
    ended: bool


class NotHeldError(Exception):
    """Somebody else holds the job, or it is gone: nothing of it may be stored."""


def create_upload(tx: Transaction, dataset: Dataset, wanted: UploadRequest) -> Upload:
    """Make a job for a file that the caller is going to upload, with the link to put it to.

    Raises InvalidInputError for what an upload cannot be, UnavailableError.
    """
    _require_possible(dataset, wanted)
    job = uuid4()
    parameters = {
        "id": job,
        "dataset_id": dataset.id,
        "dataset": dataset.name,
        "caller": Jsonb(tx.caller.as_document()),
        "media_type": wanted.media_type,
        "encoding": wanted.encoding,
        "on_error": wanted.on_error,
        "on_conflict": wanted.on_conflict,
        "announced": wanted.sha256,
        "seconds": LINK_SECONDS,
    }
    expires_at = tx.value(load_queries(_SQL)["create"], parameters)
    link = Link(url=link_to_put(f"{PREFIX}{job}", LINK_SECONDS), expires_at=expires_at)
    return Upload(job=job, url=f"/v1/lake/jobs/{job}", upload=link)


def find_job(tx: Transaction, job: UUID) -> Job:
    """Return how far a job of the caller's tenant is. Raises NotFoundError."""
    row = tx.one(load_queries(_SQL)["find"], {"id": job})
    if row is None:
        raise NotFoundError(
            "There is no such job, or it ended more than 30 days ago.",
            errors=[FieldError("job", "does not exist", "not_found")],
        )
    return Job.model_validate({**row, "sha256": row["digest"]})


def start(job: UUID) -> None:
    """Have a worker look at a job; when that fails the next sweep does. Never raises."""
    try:
        functions.invoke_later(functions.sibling(WORKER), orjson.dumps({"job": str(job)}))
    except (UnavailableError, ConfigurationError) as error:
        logger().warning("worker not started", extra={"reason": error.detail})


def sweep(limit: int = 100) -> dict[str, int]:
    """Start what waits or whose worker has died, forget what ended long ago; return how many each were."""
    with transaction(SYSTEM) as tx:
        forgotten = tx.execute(load_queries(_SQL)["forget"])
        overdue = [row["id"] for row in tx.all(load_queries(_SQL)["overdue"], {"limit": limit})]
    for job in overdue:
        start(job)
    return {"started": len(overdue), "forgotten": forgotten}


# -- What a worker does ----------------------------------------------------------------------------


def claim(job: UUID) -> Held | None:
    """Hold a job, if it is there to be worked at and nobody does."""
    holder = uuid4()
    parameters = {"id": job, "holder": holder, "seconds": HELD_SECONDS}
    with transaction(SYSTEM) as tx:
        row = tx.one(load_queries(_SQL)["claim"], parameters)
    return None if row is None else _held(row, holder)


def renew(job: Held, found: Found) -> None:
    """Say that the worker is alive, and which version of the file it reads. Raises NotHeldError."""
    parameters = {
        "id": job.id,
        "holder": job.holder,
        "seconds": HELD_SECONDS,
        "object_version": found.version,
        "bytes_total": found.size,
    }
    with transaction(SYSTEM) as tx:
        if not tx.execute(load_queries(_SQL)["renew"], parameters):
            raise NotHeldError


def tell(job: Held, bytes_done: int) -> None:
    """Say, while a transaction is open, that the worker is alive and how far it has read.

    Raises NotHeldError.
    """
    parameters = {
        "id": job.id,
        "holder": job.holder,
        "bytes_done": bytes_done,
        "seconds": HELD_SECONDS,
    }
    with beside(SYSTEM) as tx:
        if not tx.execute(load_queries(_SQL)["tell"], parameters):
            raise NotHeldError


def hold(tx: Transaction, job: Held) -> None:
    """Keep the job this worker's until the end of the transaction. Raises NotHeldError."""
    if tx.one(load_queries(_SQL)["hold"], {"id": job.id, "holder": job.holder}) is None:
        raise NotHeldError


def settle(job: Held, digest: str) -> UUID | None:
    """Note what file it is. If another job loads or has loaded it, leave it to that one and return its id."""
    parameters = {
        "id": job.id,
        "digest": digest,
        "dataset_id": job.dataset_id,
        "media_type": job.media_type,
        "encoding": job.encoding,
        "on_error": job.on_error,
        "on_conflict": job.on_conflict,
    }
    queries = load_queries(_SQL)
    with transaction(job.caller) as tx:
        hold(tx, job)
        try:
            with tx.savepoint():
                tx.execute(queries["digest"], parameters)
        except ConflictError as error:
            same: UUID | None = tx.value(queries["same"], parameters)
            if same is None:  # it failed just now: this one tries again
                raise UnavailableError("lake") from error
            tx.execute(queries["point"], {**parameters, "same_as": same})
            return same
    return None


def advance(tx: Transaction, job: Held, layout: Layout | None, done: Progress) -> None:
    """Note, with the rows of a chunk, that they are stored; with the last one that the job is done."""
    parameters = {
        "id": job.id,
        "layout": None if layout is None else Jsonb(asdict(layout)),
        "position": done.position,
        "bytes_done": done.bytes_done,
        "rows_read": done.rows_read,
        "inserted": done.receipt.inserted,
        "updated": done.receipt.updated,
        "skipped": done.receipt.skipped,
        "quarantined": done.receipt.quarantined,
        "reasons": Jsonb(done.receipt.reasons),
        "ended": done.ended,
        "seconds": HELD_SECONDS,
    }
    tx.execute(load_queries(_SQL)["advance"], parameters)


def release(job: Held, *, waiting: bool = False) -> None:
    """Let another worker go on; a job that is `waiting` still waits for its file, or for an operator."""
    parameters = {"id": job.id, "holder": job.holder, "waiting": waiting}
    with transaction(SYSTEM) as tx:
        tx.execute(load_queries(_SQL)["release"], parameters)


def fail(job: Held, error: DatapunkError, trace_id: str) -> None:
    """Keep why the job cannot go on, with the members that a problem document has (RFC 9457)."""
    problem = {
        "type": f"urn:datapunk:error:{error.code}",
        "title": error.title(),
        "status": error.status,
        "detail": error.detail,
        "instance": f"/v1/lake/jobs/{job.id}",
        "code": error.code,
        "trace_id": trace_id,
        "errors": [item.as_dict() for item in error.errors],
    }
    parameters = {"id": job.id, "holder": job.holder, "problem": Jsonb(problem)}
    with transaction(SYSTEM) as tx:
        tx.execute(load_queries(_SQL)["fail"], parameters)


def require_attempts(job: Held) -> None:
    """Raise DatapunkError for a job that was begun again and again and never came further."""
    if job.attempts > MOST_ATTEMPTS:
        raise DatapunkError("Loading the file was tried several times and did not come further.")


def _held(row: Row, holder: UUID) -> Held:
    names = set(Held.__dataclass_fields__)
    known: dict[str, Any] = {name: value for name, value in row.items() if name in names}
    known["caller"] = caller_from_document(row["caller"])
    known["encoding"] = Encoding(row["encoding"]) if row["encoding"] else None
    known["on_error"] = OnError(row["on_error"])
    known["on_conflict"] = OnConflict(row["on_conflict"])
    known["layout"] = None if row["layout"] is None else Layout(**row["layout"])
    return Held(holder=holder, **known)


def _require_possible(dataset: Dataset, wanted: UploadRequest) -> None:
    if wanted.media_type not in (CSV, NDJSON, *FILES):
        more = " An array has no lines: write one object on each." * (wanted.media_type == JSON)
        listed = f"{CSV}, {NDJSON}, {AVRO} or {PARQUET}"
        raise InvalidInputError(
            f"A file that is uploaded is {listed}.{more}",
            errors=[FieldError("media_type", f"must be {listed}", "enum")],
        )
    if wanted.encoding is not None and wanted.media_type in FILES:
        raise InvalidInputError(
            "Avro and Parquet are compressed inside: leave `encoding` out, and upload the file as it is.",
            errors=[FieldError("encoding", "does not go with the media type", "encoding")],
        )
    if wanted.on_conflict is not OnConflict.ERROR and not dataset.key:
        raise InvalidInputError(
            f"{dataset.name} has no key by which rows could be the same.",
            errors=[FieldError("on_conflict", "needs a dataset with a key", "key")],
        )
