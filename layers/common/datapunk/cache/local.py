"""L1: values in the memory of this environment, for two seconds at most, bounded in number and bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from datapunk.cache import clock

MAX_AGE = 2.0
"""Seconds a value is answered without asking Redis. With the age that Redis' own answers may have
(`shared.SWEPT_SECONDS`) it stays below the five that the contract allows."""
MAX_ENTRIES = 1_000
MAX_BYTES = 16 * 1024**2

Address = tuple[str, str, str]
"""Namespace, tenant, key."""


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A value as it was at the moment `since`. `value` is None for what does not exist."""

    value: Any
    version: int
    size: int
    since: tuple[float, float]


class LocalCache:
    """The least recently used entries go first."""

    def __init__(self, *, entries: int = MAX_ENTRIES, size: int = MAX_BYTES) -> None:
        self._most, self._largest = entries, size
        self._entries: OrderedDict[Address, LocalEntry] = OrderedDict()
        self.size = 0
        """Bytes of all values, as they are encoded."""

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def get(self, address: Address) -> LocalEntry | None:
        """Return an entry that is young enough."""
        entry = self._entries.get(address)
        if entry is None:
            return None
        if clock.age(entry.since) > MAX_AGE:
            self.drop(address)
            return None
        self._entries.move_to_end(address)
        return entry

    def put(self, address: Address, entry: LocalEntry) -> None:
        """Keep an entry, unless a later version is kept that is still young enough."""
        kept = self.get(address)
        if kept is not None and kept.version > entry.version:
            return
        self.drop(address)
        if entry.size > self._largest:
            return
        self._entries[address] = entry
        self.size += entry.size
        while len(self._entries) > self._most or self.size > self._largest:
            self.drop(next(iter(self._entries)))

    def drop(self, address: Address) -> None:
        """Forget an entry."""
        entry = self._entries.pop(address, None)
        if entry is not None:
            self.size -= entry.size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0


LOCAL = LocalCache()
"""This environment's."""
