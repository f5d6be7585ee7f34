"""What must be written at the end of each transaction of the work in hand.

Apart from the database, so that a function without one can be watched over without importing its driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datapunk.database import Transaction

Hook = Callable[["Transaction"], None]

before_each_commit: ContextVar[Hook | None] = ContextVar(
    "datapunk_before_each_commit", default=None
)
"""Called with each transaction before its commit; whoever sets it resets it."""


@contextmanager
def nothing_added() -> Iterator[None]:
    """Have the transactions of the body commit as they are: housekeeping is no part of the work in hand."""
    token = before_each_commit.set(None)
    try:
        yield
    finally:
        before_each_commit.reset(token)
