"""What a module says about values of its own that are cached: where, in which form, how they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from datapunk.cache.local import Address
from datapunk.cache.namespaces import Namespace, Place
from datapunk.database import Transaction
from datapunk.identity import Caller

Value = TypeVar("Value")
Level = Literal["hit-l1", "hit-l2", "miss", "bypass"]
"""Who answered: this environment's memory, Redis, the database with Redis asked first, or it alone."""
LOADER = "system:cache"


@dataclass(frozen=True, slots=True)
class Cached(Generic[Value]):
    """Values of one namespace.

    `load` reads one by its key in a transaction of the tenant's, in nobody's name: what it returns is for
    everybody of the tenant. It returns None where there is none. `decode` raises ValueError for a text that
    another release of the code has written and this one cannot read.
    """

    namespace: Namespace
    encode: Callable[[Value], str]
    decode: Callable[[str], Value]
    load: Callable[[Transaction, str], Value | None]

    def place(self, tenant: str, key: str) -> Place:
        """Return where a value is in Redis."""
        return Place(self.namespace, tenant, key)

    def address(self, tenant: str, key: str) -> Address:
        """Return where a value is in this environment's memory."""
        return (self.namespace.name, tenant, key)


@dataclass(frozen=True, slots=True)
class Found(Generic[Value]):
    """A value that was read, None where there is none, with its version and who answered.

    The version is 0 for what was not written within a day.
    """

    value: Value | None
    version: int
    answered: Level


def loader(tenant: str) -> Caller:
    """Return in whose name values of a tenant are loaded."""
    return Caller(principal=LOADER, tenant=tenant)
