"""Requests that are completed in the background: kept in the database, sent once, answered for a day.

A request is stored before anything is sent, so that nothing accepted is lost. Exactly one worker claims it.
One whose worker has died is sent again only if it may be sent twice; of any other it is said that nobody
knows whether it took effect.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb
from pydantic import BaseModel, Field

from datapunk import cache, functions
from datapunk.database import Transaction, load_queries, transaction
from datapunk.errors import (
    BadGatewayError,
    ConfigurationError,
    DatapunkError,
    DeadlineExceededError,
    FieldError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.routing.messages import Answer
from datapunk.telemetry import logger

WORKER = "nexus.run_request"
INTERRUPTED = {
    "status": 502,
    "code": BadGatewayError.code,
    "detail": "What sent the request has died; whether the service has done what was asked is not known.",
}

_SQL = Path(__file__).with_suffix(".sql")
_LOOK_EVERY = 0.2
"""Seconds between two looks at the database where Redis does not tell of an end."""
_SIGNAL_SECONDS = 60

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that will be completed. Its answer can be read until `expires_at`."""

    id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request is, and what came of it."""

    id: UUID
    state: State
    needs: str
    created_at: datetime
    expires_at: datetime
    answer: Answer | None = None
    problem: Mapping[str, Any] | None = None


class AcceptedRequest(BaseModel):
    """A request that is being completed, and where its answer will be."""

    id: UUID
    status: Literal["waiting", "running"]
    url: str
    expires_at: datetime = Field(description="Until when the answer can be read, by its sender.")

    @classmethod
    def of(cls, known: Accepted | Progress) -> AcceptedRequest:
        """Return what the sender is told of a request that is not finished."""
        running = isinstance(known, Progress) and known.state == "running"
        return cls(
            id=known.id,
            status="running" if running else "waiting",
            url=f"/v1/nexus/requests/{known.id}",
            expires_at=known.expires_at,
        )


def accept(
    caller: Caller, work: Mapping[str, Any], *, needs: str, seconds: float, repeatable: bool
) -> Accepted:
    """Store a request of `caller` and have a worker send it.

    Raises UnavailableError when it cannot be stored; nothing has been sent then.
    """
    parameters = {
        "repeatable": repeatable,
        "needs": needs,
        "seconds": seconds,
        "work": orjson.dumps(dict(work)),
    }
    with transaction(caller) as tx:
        row = tx.one(load_queries(_SQL)["accept"], parameters) or {}
    accepted = Accepted(row["id"], row["expires_at"])
    start(accepted.id)
    return accepted


def start(request: UUID) -> None:
    """Have a worker look at a request; when that fails the next sweep does. Never raises."""
    try:
        functions.invoke_later(functions.sibling(WORKER), orjson.dumps({"request": str(request)}))
    except (UnavailableError, ConfigurationError) as error:
        logger().warning("worker not started", extra={"reason": error.detail})


def claim(request: UUID) -> dict[str, Any] | None:
    """Return the request's work if it is this worker's to do; None if it is not."""
    parameters = {"id": request, "interrupted": Jsonb(INTERRUPTED)}
    with transaction(SYSTEM) as tx:
        row = tx.one(load_queries(_SQL)["claim"], parameters)
    if row is None or row["status"] != "running":
        return None
    work: dict[str, Any] = orjson.loads(bytes(row["work"]))
    return work


def finish(request: UUID, answer: Answer) -> None:
    """Keep the answer to a request, and tell whoever waits."""
    parameters = {
        "id": request,
        "status": answer.status,
        "headers": Jsonb([list(pair) for pair in answer.headers]),
        "body": answer.body,
    }
    with transaction(SYSTEM) as tx:
        tx.execute(load_queries(_SQL)["finish"], parameters)
    _signal(request)


def fail(request: UUID, error: DatapunkError) -> None:
    """Keep why there is no answer, and tell whoever waits."""
    problem = {"status": error.status, "code": error.code, "detail": error.detail}
    with transaction(SYSTEM) as tx:
        tx.execute(load_queries(_SQL)["fail"], {"id": request, "problem": Jsonb(problem)})
    _signal(request)


def find(tx: Transaction, request: UUID) -> Progress:
    """Return how far a request of the caller is. Raises NotFoundError when he has none such."""
    row = tx.one(load_queries(_SQL)["find"], {"id": request})
    if row is None:
        raise NotFoundError(
            "There is no such request, or its answer has expired.",
            errors=[FieldError("request", "does not exist", "not_found")],
        )
    answer = None
    if row["status"] == "done":
        headers = [(str(name), str(value)) for name, value in row["response_headers"]]
        answer = Answer(row["response_status"], headers, bytes(row["response_body"]))
    return Progress(
        id=row["id"],
        state=row["status"],
        needs=row["needs"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        answer=answer,
        problem=row["problem"],
    )


def answer_of(progress: Progress, service: str) -> Answer:
    """Return the answer of a finished request; raise what came of it where there is none."""
    if progress.answer is not None:
        return progress.answer
    problem = progress.problem or {}
    status, detail = int(problem.get("status", 500)), problem.get("detail")
    if status == UnavailableError.status:
        raise UnavailableError(service, detail)
    known = (BadGatewayError, DeadlineExceededError, ForbiddenError)
    raise next((cls for cls in known if cls.status == status), DatapunkError)(detail)


def wait(caller: Caller, request: UUID, seconds: float) -> Progress | None:
    """Return what came of a request as soon as it is finished, None when that takes longer."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _await_signal(request, min(left, cache.TIMEOUT / 2))
        with transaction(caller) as tx:
            progress = find(tx, request)
        if progress.state in ("done", "failed"):
            return progress
    return None


def sweep(limit: int = 100) -> dict[str, int]:
    """Start what waits or whose worker has died, remove what has expired; return how many each were."""
    with transaction(SYSTEM) as tx:
        expired = tx.execute(load_queries(_SQL)["expire"])
        overdue = [row["id"] for row in tx.all(load_queries(_SQL)["overdue"], {"limit": limit})]
    for request in overdue:
        start(request)
    return {"started": len(overdue), "expired": expired}


def _signal(request: UUID) -> None:
    try:
        with cache.translated():
            pipeline = cache.client().pipeline()
            pipeline.rpush(_key(request), "done")
            pipeline.expire(_key(request), _SIGNAL_SECONDS)
            pipeline.execute()
    except (UnavailableError, ConfigurationError) as error:
        logger().warning("nobody told of an end", extra={"reason": error.detail})


def _await_signal(request: UUID, seconds: float) -> None:
    """Return when a request may be finished."""
    try:
        with cache.translated():
            cache.client().blpop([_key(request)], timeout=seconds)
    except (UnavailableError, ConfigurationError):
        time.sleep(min(_LOOK_EVERY, seconds))


def _key(request: UUID) -> str:
    return f"route:done:{{{request}}}"
