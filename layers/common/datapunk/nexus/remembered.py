"""What this environment has lately found out about credentials, so that not every request asks again.

API Gateway's cache cannot do it (decision 15). Each environment remembers for itself whom a credential
belongs to, for `FRESH` seconds and never beyond the credential's own end: so long may something revoked
still work. While a service that is asked does not answer, nothing new can be learned, and hardly anything
revoked: what was found out is good for `STALE` seconds then. Refusals are not remembered.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from datapunk.errors import ContentionError, UnauthenticatedError, UnavailableError
from datapunk.identity import Caller
from datapunk.telemetry import count

FRESH = 5.0
"""Seconds for which an outcome stands: the bound within which a revocation takes effect."""
STALE = 60.0
"""Seconds for which it stands while PostgreSQL or Redis does not answer."""
PAUSE = 5.0
"""Seconds for which a service that did not answer is not asked about what is remembered."""
MOST = 1024
"""Credentials an environment remembers; the one found out first makes room for another."""


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    monotonic: float
    wall: float


class Memory:
    """Callers by a digest of what they presented; clocks are in seconds, `wall` since the epoch."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._known: dict[bytes, _Known] = {}
        self._paused_until = float("-inf")

    def recall(self, kind: str, credential: str, find: Callable[[], Caller]) -> Caller:
        """Return whom a credential belongs to: as remembered, else as `find` says.

        Raises what `find` raises; an UnavailableError only where nothing remembered stands in.
        """
        key = hashlib.sha256(f"{kind} {credential}".encode("utf-8", "surrogatepass")).digest()
        age = self._age(key)
        if age < FRESH or (age < STALE and self._monotonic() < self._paused_until):
            return self._known[key].caller
        # Taken before the look: what is revoked during it counts from its beginning.
        monotonic, wall = self._monotonic(), self._wall()
        try:
            caller = find()
        except UnauthenticatedError:
            self._known.pop(key, None)
            raise
        except UnavailableError as error:
            # Others who change the same data show that the database is there.
            if isinstance(error, ContentionError) or self._age(key) >= STALE:
                raise
            self._paused_until = self._monotonic() + PAUSE
            count("authentications_remembered_total", service="nexus", dependency=error.dependency)
            return self._known[key].caller
        self._known.pop(key, None)
        while len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[key] = _Known(caller, monotonic, wall)
        return caller

    def forget(self) -> None:
        """Become an environment that knows nobody."""
        self._known.clear()
        self._paused_until = float("-inf")

    def _age(self, key: bytes) -> float:
        """Return the seconds since an outcome was found out; endless where there is none that stands."""
        known = self._known.get(key)
        wall = self._wall()
        if known is None or wall >= known.caller.valid_until:
            return float("inf")
        # One clock may stand still while the environment is frozen, the other may be set back.
        return max(self._monotonic() - known.monotonic, wall - known.wall)
