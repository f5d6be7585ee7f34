"""Keyed calls: whoever repeats one gets its answer again, and the effect is there once.

The key is claimed and the answer is kept in the transaction of the effect, so that all of it commits or
nothing does. Who repeats a call that still runs waits for it. Keys are a caller's own, for a day.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from datapunk.database import Transaction, load_queries
from datapunk.errors import ConflictError, FieldError, InvalidInputError

LONGEST = 255
"""Characters of a key."""
_SQL = Path(__file__).with_suffix(".sql")
_FIELD = "idempotency-key"


def once(
    tx: Transaction, operation: str, key: str, request: bytes, act: Callable[[], bytes]
) -> bytes:
    """Return what `act` returns, or what it returned the first time with this key.

    Raises InvalidInputError for a key that is none, ConflictError for one that was used with another
    request.
    """
    if not 1 <= len(key) <= LONGEST or not key.isprintable():
        detail = f"A key has 1 to {LONGEST} printable characters."
        raise InvalidInputError(detail, errors=[FieldError(_FIELD, detail, "key")])
    queries = load_queries(_SQL)
    names = {"operation": operation, "key": key}
    digest = hashlib.sha256(request).digest()
    if tx.execute(queries["claim"], {**names, "digest": digest}):
        answer = act()
        tx.execute(queries["answer"], {**names, "answer": answer})
        return answer
    known = tx.one(queries["find"], names)
    if known is None or bytes(known["digest"]) != digest:
        detail = "This key was used with another request."
        raise ConflictError(detail, errors=[FieldError(_FIELD, detail, "key")])
    return bytes(known["answer"])


def purge(tx: Transaction) -> int:
    """Forget keys that are older than a day, and return how many."""
    return tx.execute(load_queries(_SQL)["purge"])
