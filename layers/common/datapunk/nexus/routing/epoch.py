"""The epoch of the rules: a number that every change raises, announced in Redis right after its commit.

So the next request follows a change. When the announcement is lost, rules are at most `BELIEVED` seconds old:
that long an epoch lives in Redis before the database is asked again. Without Redis the database is asked at
every request.
"""

from __future__ import annotations

from pathlib import Path

from datapunk import cache
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.scripts import Pause, script
from datapunk.telemetry import logger

BELIEVED = 5.0
"""Seconds that an epoch counts without a look at the database."""

_KEY = "route:epoch"
_run = script(Path(__file__).with_suffix(".lua"))
_pause = Pause()


def announced() -> int | None:
    """Return the epoch in Redis; None where the database must be asked."""
    if _pause.active():
        return None
    try:
        with cache.translated():
            known = cache.client().get(_KEY)
    except (UnavailableError, ConfigurationError) as error:
        _pause.begin()
        logger().warning("epoch of the rules not known", extra={"reason": error.detail})
        return None
    return None if known is None else int(str(known))


def announce(epoch: int) -> None:
    """Tell all environments of an epoch; never raises, since it is the change that counts."""
    if _pause.active():
        return
    try:
        with cache.translated():
            _run((_KEY,), (str(epoch), str(int(BELIEVED * 1000))))
    except (UnavailableError, ConfigurationError) as error:
        _pause.begin()
        logger().warning("epoch of the rules not announced", extra={"reason": error.detail})


def forget() -> None:
    """Become an environment that has not met Redis yet."""
    _pause.end()
