"""Redis: one client per environment, and what is kept there.

The package itself is only the client, which most functions need. What reads and writes through the cache
imports `datapunk.cache.reading` and `datapunk.cache.writing`; nobody else pays for them.
"""

from datapunk.cache.connection import (
    DEPENDENCY,
    TIMEOUT,
    check_cache,
    client,
    forget,
    translated,
)

__all__ = ["DEPENDENCY", "TIMEOUT", "check_cache", "client", "forget", "translated"]
