"""Reading the audit trail, and checking that its chains are whole.

A chain is whole when each record's hash covers the record and the hash before it, numbers have no gap, the
first record follows the anchor of what expired, and the last one is the head that was written with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from datapunk.audit import Outcome, canonical, timestamp
from datapunk.context import remaining_seconds
from datapunk.database import Row, Transaction, load_queries
from datapunk.paging import Page, decode_cursor, encode_cursor

MARGIN = 5.0
"""Seconds before the deadline at which a check stops and says how far it came."""

_SQL = Path(__file__).with_name("audit.sql")
_NOTHING = bytes(32)
_AT_ONCE = 2_000
_NEWEST = 2**62
_LIST = "nexus.list_audit"


class AuditRecord(BaseModel):
    """One record; `sequence` is its number in the tenant's chain, `hash` covers it and what was before."""

    sequence: int
    at: datetime
    principal: str
    actors: list[str]
    action: str
    resource: str
    outcome: Outcome
    detail: dict[str, Any]
    source: str
    trace_id: str
    correlation_id: str
    hash: str


class Break(BaseModel):
    """Where a chain is broken: the number of the record, and how."""

    sequence: int
    reason: str


class Verification(BaseModel):
    """What the check of a tenant's chain has found, from the record after `after` up to `checked_to`."""

    tenant: str
    whole: bool = Field(description="No break was found in what was checked.")
    complete: bool = Field(
        description="The check reached the end; else go on with after=checked_to."
    )
    records: int = Field(description="How many records were checked.")
    checked_to: int = Field(description="Number of the last record checked.")
    head: str = Field(description="Hash of that record, in hexadecimal digits.")
    broken: list[Break] = Field(description="At most ten breaks, in order.")


MOST_BREAKS = 10


def list_audit(
    tx: Transaction,
    *,
    limit: int,
    cursor: str | None = None,
    principal: str | None = None,
    action: str | None = None,
    outcome: str | None = None,
) -> Page[AuditRecord]:
    """Return a page of the tenant's records, newest first. Raises InvalidInputError for a foreign cursor."""
    shape = f"{_LIST} {principal} {action} {outcome}"
    before = int(decode_cursor(shape, cursor, 1)[0]) if cursor else _NEWEST
    rows = tx.all(
        load_queries(_SQL)["list"],
        {
            "tenant": tx.caller.tenant,
            "before": before,
            "limit": limit + 1,
            "principal": principal,
            "action": action,
            "outcome": outcome,
        },
    )
    items = [_record(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(
        items=items, next_cursor=encode_cursor(shape, [items[-1].sequence]) if more else None
    )


def audited_tenants(tx: Transaction) -> list[str]:
    """Return every tenant that has a chain the caller may see."""
    return [str(row["tenant"]) for row in tx.all(load_queries(_SQL)["tenants"])]


def chain_heads(tx: Transaction) -> list[dict[str, Any]]:
    """Return tenant, number and hash of the last record of each chain the caller may see."""
    return [
        {**row, "hash": bytes(row["hash"]).hex()} for row in tx.all(load_queries(_SQL)["heads"])
    ]


def verify_audit(
    tx: Transaction,
    tenant: str,
    *,
    after: int = 0,
    seconds_left: Callable[[], float] = remaining_seconds,
) -> Verification:
    """Check a tenant's chain from the record after number `after`.

    It stops `MARGIN` seconds before the time is over (`seconds_left`), or after `MOST_BREAKS` breaks.
    """
    check = _Check(tenant, *_start(tx, tenant, after))
    complete = False
    # Read first and at once: what is written meanwhile belongs to the next check.
    head = tx.one(load_queries(_SQL)["head"], {"tenant": tenant}) or {}
    to = max(int(head["sequence"]), int(head["newest"]))
    while seconds_left() > MARGIN and len(check.broken) < MOST_BREAKS:
        rows = tx.all(
            load_queries(_SQL)["chain"],
            {"tenant": tenant, "after": check.number, "to": to, "limit": _AT_ONCE},
        )
        for row in rows:
            check.look_at(row)
        if len(rows) < _AT_ONCE:
            complete = True
            check.end(int(head["sequence"]), bytes(head["hash"] or _NOTHING))
            break
    return Verification(
        tenant=tenant,
        whole=not check.broken,
        complete=complete,
        records=check.records,
        checked_to=check.number,
        head=check.hash.hex(),
        broken=check.broken[:MOST_BREAKS],
    )


def hash_of(row: Mapping[str, Any], previous: bytes) -> bytes:
    """Return the hash a record must have when the one before it has the hash `previous`."""
    names = ("tenant", "principal", "actors", "action", "resource", "outcome")
    more = ("detail", "source", "trace_id", "correlation_id")
    entry = {name: row[name] for name in (*names, *more)}
    entry["at"] = timestamp(row["at"])
    covered = {"entry": entry, "previous": previous.hex(), "sequence": row["sequence"]}
    return hashlib.sha256(canonical(covered).encode()).digest()


class _Check:
    """The walk along one chain; `number` and `hash` are those of the record looked at last."""

    def __init__(self, tenant: str, number: int, digest: bytes) -> None:
        self.tenant = tenant
        self.number = number
        self.hash = digest
        self.records = 0
        self.broken: list[Break] = []

    def look_at(self, row: Row) -> None:
        """Take the next record there is."""
        number = int(row["sequence"])
        if number != self.number + 1:
            missing = f"record {self.number + 1} is missing"
            if number > self.number + 2:
                missing = f"records {self.number + 1} to {number - 1} are missing"
            self._note(self.number + 1, missing)
        elif bytes(row["previous_hash"]) != self.hash:
            self._note(number, "does not follow the record before it")
        if hash_of(row, bytes(row["previous_hash"])) != bytes(row["hash"]):
            self._note(number, "was changed: its hash does not cover what it says")
        # From here on as if this record were right, so that one change is one break.
        self.number = number
        self.hash = bytes(row["hash"])
        self.records += 1

    def end(self, last: int, digest: bytes) -> None:
        """Compare where the walk ended with where the chain does."""
        if self.number < last:
            self._note(self.number + 1, f"the chain ends here; it had {last} records")
        elif self.number > last:
            self._note(last + 1, "was put behind the end of the chain")
        elif self.hash != digest:
            self._note(self.number, "is not the record the chain ended with")

    def _note(self, number: int, reason: str) -> None:
        self.broken.append(Break(sequence=number, reason=reason))


def _start(tx: Transaction, tenant: str, after: int) -> tuple[int, bytes]:
    """Return number and hash of the record before the first to check."""
    anchor = tx.one(load_queries(_SQL)["anchor"], {"tenant": tenant})
    number, digest = (int(anchor["sequence"]), bytes(anchor["hash"])) if anchor else (0, _NOTHING)
    if after <= number:
        return number, digest
    found = tx.value(load_queries(_SQL)["hash_at"], {"tenant": tenant, "sequence": after})
    return (after, bytes(found)) if found is not None else (number, digest)


def _record(row: Row) -> AuditRecord:
    return AuditRecord.model_validate({**row, "hash": bytes(row["hash"]).hex()})
