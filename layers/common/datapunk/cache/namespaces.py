"""The one table of what Redis holds: every use declares its keys here, and how long they may stay.

A key of the cache reads `cache:{<namespace>:<partition>}:<part>:<tenant>:<key>`. The braces put all that one
call touches into one slot of a cluster; the partitions spread a namespace over its nodes. The tenant is part
of every key, so that no caller can be given another tenant's value, whatever his key looks like.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from urllib.parse import quote

Sensitivity = Literal["internal", "personal"]
"""What a value may be. `personal`: keys say who it is about, and stand in Redis digested. Secrets and what
decides on access (sessions, revocations, roles) are never cached."""

PARTITIONS = 16
"""Parts of a namespace; each has an epoch, a share of the bytes and a slot of its own."""
HOT_DATA_TTL = 3600
"""Seconds that hot data may stay (003-034)."""
HOT_DATA_BYTES = 2 * 1024**3
"""Bytes that all namespaces of hot data may have together (003-035)."""
_LONGEST = 200
_ANY_KEY = "*"


@dataclass(frozen=True, slots=True)
class Namespace:
    """One kind of cached values. `ttl` and `absent_ttl` are in seconds, sizes in bytes of Redis' memory.

    `absent_ttl` is how long it is remembered that there is no value. `early` is the part of the lifetime
    at whose end one reader renews the value while the others go on with it.
    """

    name: str
    module: str
    holds: str
    ttl: int = HOT_DATA_TTL
    absent_ttl: int = 30
    max_bytes: int = HOT_DATA_BYTES
    max_value: int = 1024**2
    early: float = 0.1
    sensitivity: Sensitivity = "internal"
    warmed: int = 64
    """How many of the keys read most the schedule keeps warm."""

    @property
    def partition_bytes(self) -> int:
        """Bytes that one partition may have."""
        return self.max_bytes // PARTITIONS

    def lifetime(self, *, absent: bool) -> int:
        """Return the milliseconds that a value, or its absence, may stay."""
        return 1000 * (self.absent_ttl if absent else self.ttl)

    @property
    def keep(self) -> int:
        """Milliseconds that a partition's own keys outlive the last write: longer than any value."""
        return 2000 * self.ttl

    def prefix(self, partition: int) -> str:
        """Return what every key of a partition begins with."""
        return f"cache:{{{self.name}:{partition}}}:"

    def key_text(self, key: str) -> str:
        """Return the key as it stands in Redis and in messages: digested where it is long or says who."""
        if self.sensitivity == "personal" or len(key) > _LONGEST:
            return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        return key


@dataclass(frozen=True)
class Place:
    """Where one value is: its namespace, tenant and key, and the Redis keys that belong to it."""

    namespace: Namespace
    tenant: str
    key: str

    @cached_property
    def member(self) -> str:
        """The name of the value within its partition. The tenant holds no colon, so it ends at the first."""
        return f"{quote(self.tenant, safe='*')}:{self.namespace.key_text(self.key)}"

    @cached_property
    def partition(self) -> int:
        """The partition the value is in."""
        return zlib.crc32(self.member.encode("utf-8", "replace")) % PARTITIONS

    def keys(self) -> tuple[str, str, str, str, str, str, str]:
        """Return the keys of entry, lease, epoch, use, sizes, heat and sweep, as the scripts expect them."""
        member, prefix = self.member, self.namespace.prefix(self.partition)
        return (
            f"{prefix}entry:{member}",
            f"{prefix}lease:{member}",
            f"{prefix}epoch",
            f"{prefix}used",
            f"{prefix}size",
            f"{prefix}heat",
            f"{prefix}sweep",
        )


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Keys of one use: how they begin (`pattern`, as SCAN matches), who writes them, how long they stay."""

    pattern: str
    module: str
    holds: str
    longest: int
    """Seconds that a key may stay at most."""


LAKE_DATASET = Namespace(
    name="lake.dataset",
    module="lake",
    holds="definitions of datasets, by name",
    # A definition of 250 columns with long descriptions is large; what is larger is read from the database.
    max_value=4 * 1024**2,
)

NAMESPACES: dict[str, Namespace] = {item.name: item for item in (LAKE_DATASET,)}
"""Every namespace of the cache by its name."""

KEYSPACES: tuple[Keyspace, ...] = (
    Keyspace("cache:{*", "cache", "cached values and what belongs to them", 2 * HOT_DATA_TTL),
    Keyspace("rate:{*", "limits", "requests of a client, for its rate limit", 86_400),
    Keyspace("session:*", "nexus", "a session", 86_400),
    Keyspace("sessions:*", "nexus", "the sessions of a user", 86_400),
    Keyspace("sign-in:account:*", "nexus", "attempts to sign in, by account", 900),
    Keyspace("sign-in:address:*", "nexus", "attempts to sign in, by network address", 900),
    Keyspace("sign-in:familiar:*", "nexus", "a place where a user has signed in before", 2_592_000),
    Keyspace("sign-in:state:*", "nexus", "a sign-in elsewhere that is on its way", 600),
)
"""Every use of Redis. A key that fits none of these, or has no time to live, is a mistake."""
