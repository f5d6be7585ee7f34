"""Lua scripts in Redis, and leaving Redis alone after a failure: what every shared count needs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from datapunk import cache as redis_cache

PAUSE = 5.0
"""Seconds that Redis is left alone after a failure, so that not every request waits for it."""


class Pause:
    """Whether Redis is left alone at the moment. One for each thing that can do without."""

    def __init__(self) -> None:
        self._until = 0.0

    def active(self) -> bool:
        """Tell whether Redis failed within the last `PAUSE` seconds."""
        return time.monotonic() < self._until

    def begin(self) -> None:
        """Leave Redis alone from now on."""
        self._until = time.monotonic() + PAUSE

    def end(self) -> None:
        """Ask Redis again."""
        self._until = 0.0


@cache
def _text(path: Path) -> tuple[str, str]:
    """Return a script and the digest the server knows it by."""
    text = path.read_text(encoding="utf-8")
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def script(path: Path) -> Callable[[Sequence[str], Sequence[str]], str]:
    """Return a function that runs the script of a file with keys and arguments, in one round trip.

    The keys must be in one slot. Use it inside of `cache.translated()`, as any command.
    """

    def run(keys: Sequence[str], arguments: Sequence[str]) -> str:
        from redis.exceptions import NoScriptError

        client = redis_cache.client()
        text, digest = _text(path)
        try:
            return str(client.evalsha(digest, len(keys), *keys, *arguments))
        except NoScriptError:
            # Also teaches it to this server; each node of a cluster learns it on its own.
            return str(client.eval(text, len(keys), *keys, *arguments))

    return run
