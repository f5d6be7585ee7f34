"""Ports of the platform: on loopback, below the ephemeral range, the same ones at every start.

A port taken by `bind(0)` is lost to an outgoing connection between two starts, so ports come from
15000 to 28999, walked from a place that depends on the instance: two clones side by side rarely
meet, and where they do, the later one walks on.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator

FIRST_PORT = 15000
LAST_PORT = 28999
LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 0.5
NEIGHBOURS = 100
"""How far above a preferred port the next free one is looked for."""


class NoFreePortError(RuntimeError):
    """Every port of the range is taken."""


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of the loopback address now.

    Binding alone does not tell: macOS lets an address-specific socket share the port with one
    that listens on all addresses. So a port which answers is not free either.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_SECONDS)
        return probe.connect_ex((LOOPBACK, port)) != 0


def choose_port(preferred: int | None, *, taken: set[int], seed: str) -> int:
    """Return `preferred` or the next free port above it, else the first free one of a walk.

    Without a preference the walk over the range starts at a place that depends on `seed`. `taken`
    holds ports that are promised to others and may not listen yet.
    Raises NoFreePortError when nothing is left.
    """
    for port in _candidates(preferred, seed):
        if port not in taken and is_free(port):
            return port
    raise NoFreePortError(
        f"no port between {FIRST_PORT} and {LAST_PORT} is free: stop a server that uses one"
    )


def _candidates(preferred: int | None, seed: str) -> Iterator[int]:
    if preferred is not None:
        yield from range(preferred, preferred + NEIGHBOURS)
    count = LAST_PORT - FIRST_PORT + 1
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") % count
    for step in range(count):
        yield FIRST_PORT + (start + step) % count
