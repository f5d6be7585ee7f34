"""Where services are, and how long a call to one may take."""

from __future__ import annotations

from functools import lru_cache

from datapunk.errors import ConfigurationError
from datapunk.settings import settings

TIMEOUT = 30.0
TIMEOUTS = {"stream": 5.0, "cortex": 10.0, "forge": 20.0}
"""Seconds a call may take; `TIMEOUT` where nothing is said."""
_ANY = "*"


def timeout_of(service: str) -> float:
    """Return the seconds a call to a service may take."""
    return TIMEOUTS.get(service, TIMEOUT)


def addresses_of(service: str) -> tuple[str, ...]:
    """Return a service's URLs, the preferred one first. Raises ConfigurationError when it has none."""
    found = _directory(settings().services)
    address = found.get(service) or found.get(_ANY)
    if not address:
        raise ConfigurationError(f"SERVICES does not say where {service} is.")
    return tuple(item.replace("{service}", service) for item in address)


@lru_cache(maxsize=4)
def _directory(text: str) -> dict[str, tuple[str, ...]]:
    entries = [item.partition("=") for item in text.split()]
    return {name: tuple(filter(None, urls.split(","))) for name, _, urls in entries}
