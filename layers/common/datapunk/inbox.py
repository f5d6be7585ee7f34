"""What became of each delivered message: the memory that makes a redelivery a no-op."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from datapunk.database import Transaction, load_queries
from datapunk.identity import Caller

Outcome = Literal["done", "retry", "dead"]
KEEP = "7 days"
"""How long outcomes are remembered; no broker returns a message later than that."""
_SQL = Path(__file__).with_suffix(".sql")


def decided(tx: Transaction, consumer: str, ids: Sequence[str]) -> set[tuple[str, int]]:
    """Return the (message id, attempt) pairs of `ids` whose outcome is known."""
    rows = tx.all(load_queries(_SQL)["decided"], {"consumer": consumer, "ids": list(ids)})
    return {(row["message_id"], row["attempt"]) for row in rows}


def decide(tx: Transaction, consumer: str, message_id: str, attempt: int, outcome: Outcome) -> bool:
    """Record an outcome in the transaction of its effect; False when another one was recorded first.

    Waits for a concurrent transaction that is deciding on the same message.
    """
    touched = tx.execute(
        load_queries(_SQL)["decide"],
        {"consumer": consumer, "message_id": message_id, "attempt": attempt, "outcome": outcome},
    )
    return touched == 1


def count_starts(tx: Transaction, consumer: str, ids: Sequence[str]) -> dict[str, int]:
    """Record that work on redelivered messages begins again; return how often it has begun."""
    rows = tx.all(load_queries(_SQL)["start"], {"consumer": consumer, "ids": sorted(set(ids))})
    return {row["message_id"]: row["starts"] for row in rows}


def forget_starts(tx: Transaction, consumer: str, ids: Sequence[str]) -> None:
    """Forget the starts of messages whose outcome is being recorded."""
    tx.execute(load_queries(_SQL)["forget_starts"], {"consumer": consumer, "ids": list(ids)})


def act_for(tx: Transaction, caller: Caller) -> None:
    """Let row-level security see the caller of the message in hand."""
    tx.execute(
        load_queries(_SQL)["set_caller"],
        {"tenant": caller.tenant, "principal": caller.principal},
    )
    tx.caller = caller


def purge(tx: Transaction) -> int:
    """Delete what is older than the memory reaches; return how many rows that were."""
    return int(tx.value(load_queries(_SQL)["purge"], {"keep": KEEP}) or 0)
