"""The audit trail: who did what through whom, with which outcome, in a chain per tenant.

A record commits together with the effect it tells of: it is written as the last statement of the effect's
transaction, since the chain's lock is held until the commit. Records cover each other by SHA-256 over
canonical JSON (members sorted, no spaces), so that a changed, removed or inserted one is found
(`audit_chain`).

Domain code need not remember any of this: the HTTP edge watches over each request (`watching`). Code that
knows more than the edge says it with `record`, which then stands for the request's own record; code whose
effect is not in the database says so before it with `announce`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from datapunk.commits import before_each_commit, nothing_added
from datapunk.context import current
from datapunk.identity import Caller

if (
    TYPE_CHECKING
):  # imported on first use: a function without a database does not pay for its driver
    from datapunk.database import Transaction

Outcome = Literal["begun", "done", "denied", "failed"]
Detail = Mapping[str, str | int | bool | None]
MOST_TEXT = 1_024
"""Characters of any text in a record; what is longer ends there."""

_SQL = Path(__file__).with_suffix(".sql")


@dataclass(slots=True)
class Watch:
    """What is known of one request's record: what it will say, and whether it is written."""

    action: str
    resource: str
    caller: Caller
    source: str
    mutates: bool
    recorded: bool = False
    begun: bool = False
    """Whether the trail has what the request is about to do outside the database."""

    def before_commit(self, tx: Transaction) -> None:
        """Write the record of a mutating request with its first effect, unless this transaction has one."""
        if self.mutates and not self.recorded and self.committed not in tx.after_commit:
            entry = _entry(self.action, self.resource, "done", {}, self.caller, self.source)
            if _append(tx, entry, only_after_effect=True):
                tx.after_commit.append(self.committed)

    def committed(self) -> None:
        """Take note that the record is written for good."""
        self.recorded = True

    def finish(self, outcome: Outcome, detail: Detail) -> None:
        """Write the record in a transaction of its own, unless it is written."""
        if not self.recorded:
            record_alone(
                self.action, self.resource, outcome, detail, caller=self.caller, source=self.source
            )
            self.recorded = True


_watch: ContextVar[Watch | None] = ContextVar("datapunk_audit", default=None)


class watching:  # noqa: N801 -- used like a function; a generator would take three times as long
    """Have the effects of the body recorded as `watch` says."""

    __slots__ = ("_hook", "_token", "_watch")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __enter__(self) -> Watch:
        """Return what is recorded."""
        self._token = _watch.set(self._watch)
        self._hook = before_each_commit.set(self._watch.before_commit)
        return self._watch

    def __exit__(self, *_: object) -> None:
        """Go back to what was recorded before."""
        before_each_commit.reset(self._hook)
        _watch.reset(self._token)


def record(
    tx: Transaction,
    action: str,
    resource: str,
    outcome: Outcome = "done",
    detail: Detail | None = None,
    *,
    caller: Caller | None = None,
    source: str = "",
) -> None:
    """Have a record written when `tx` commits; it stands for the request's own.

    `caller` is who did it: the current request's by default, else the transaction's. `source` is the
    network address it was done from, the current request's by default. `detail` holds
    identifiers and counts, never secrets or personal data.
    """
    watch = _watch.get()
    who = caller or (watch.caller if watch else tx.caller)
    place = source or (watch.source if watch else "")
    entry = _entry(action, resource, outcome, detail or {}, who, place)

    def write(ending: Transaction) -> None:
        _append(ending, entry, only_after_effect=False)
        if watch is not None:
            ending.after_commit.append(watch.committed)

    tx.before_commit.append(write)


def announce(detail: Detail | None = None) -> None:
    """Record that the request in hand begins what it does outside the database, before it does it.

    Its outcome is recorded as that of any request. Should the database be gone by then, the trail still has
    who did what, and the answer tells the truth. Nothing is written where no request is watched over.
    Raises UnavailableError when the database does not answer: then nothing may be begun.
    """
    from datapunk.database import transaction

    watch = _watch.get()
    if watch is None or watch.begun:
        return
    entry = _entry(watch.action, watch.resource, "begun", detail or {}, watch.caller, watch.source)
    # This record is not an effect that asks for another one.
    with nothing_added(), transaction(watch.caller) as tx:
        _append(tx, entry, only_after_effect=False)
    watch.begun = True


def record_alone(
    action: str,
    resource: str,
    outcome: Outcome,
    detail: Detail | None = None,
    *,
    caller: Caller | None = None,
    source: str = "",
) -> None:
    """Write a record in a transaction of its own: for what has no effect in the database, or was denied.

    Raises UnavailableError when the database does not answer.
    """
    from datapunk.database import transaction

    with transaction(caller) as tx:
        record(tx, action, resource, outcome, detail, caller=tx.caller, source=source)


def expire() -> int:
    """Remove the records that are older than 365 days and return how many."""
    from datapunk.database import load_queries, transaction

    with transaction() as tx:
        return int(tx.value(load_queries(_SQL)["expire"]))


def _append(tx: Transaction, entry: str, *, only_after_effect: bool) -> bool:
    from datapunk.database import load_queries

    number = tx.value(
        load_queries(_SQL)["append"], {"entry": entry, "only_after_effect": only_after_effect}
    )
    return number is not None


def _entry(
    action: str,
    resource: str,
    outcome: Outcome,
    detail: Detail,
    caller: Caller,
    source: str,
) -> str:
    work = current()
    return canonical(
        {
            "tenant": _text(caller.tenant),
            "at": timestamp(datetime.now(UTC)),
            "principal": _text(caller.principal),
            "actors": [_text(actor) for actor in caller.actors],
            "action": _text(action),
            "resource": _text(resource),
            "outcome": outcome,
            "detail": {_text(name): _plain(value) for name, value in detail.items()},
            "source": _text(source),
            "trace_id": work.trace.trace_id if work else "",
            "correlation_id": _text(work.correlation_id) if work else "",
        }
    )


def canonical(value: Any) -> str:
    """Return canonical JSON: members sorted, no spaces, text as it is (UTF-8)."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def timestamp(moment: datetime) -> str:
    """Return a time as records hash it: UTC with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: str | int | bool | None) -> str | int | bool | None:  # noqa: FBT001 -- a value
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """Return text that JSON and the database can hold."""
    clean = value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return clean[:MOST_TEXT]
