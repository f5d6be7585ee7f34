"""Trying again: exponential with full jitter, within a deadline and a budget. The platform's one retry.

A message that fails is no matter of this module: it waits in the broker (`datapunk.consumer`).

Sources: "Exponential Backoff and Jitter", AWS Architecture Blog (full jitter); gRPC A6, "Throttling retry
attempts" (the budget).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from datapunk.errors import TooManyRequestsError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when: before attempt n+1 at most `initial * factor ** (n - 1)` seconds go by.

    With `jitter` the pause is anywhere between nothing and that, so that callers who failed together do not
    come back together.
    """

    attempts: int = 3
    initial: float = 1.0
    factor: float = 2.0
    longest: float = 20.0
    jitter: bool = True

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after the failed attempt of this number, which begins at 1."""
        most = min(self.longest, self.initial * self.factor ** (attempt - 1))
        return random.uniform(0, most) if self.jitter else most  # noqa: S311 -- no secret


DEFAULT = RetryPolicy()
ONCE = RetryPolicy(attempts=1)


class RetryBudget:
    """How many retries there may be, as a share of all calls: a bucket that each call fills a little.

    When everything fails, retries would multiply the load just where it is too much.
    """

    def __init__(self, *, share: float = 0.2, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._tokens = most

    def deposit(self) -> None:
        """Count a call that is no retry."""
        self._tokens = min(self._most, self._tokens + self._share)

    def withdraw(self) -> bool:
        """Take a retry out of the budget; False when there is none left."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def retrying(
    attempt: Callable[[int], Result],
    policy: RetryPolicy,
    *,
    again: Callable[[Exception], bool],
    remaining: Callable[[], float],
    budget: RetryBudget | None = None,
) -> Result:
    """Return what `attempt(number)` returns, tried again while it raises what `again` is true for.

    `remaining` is in seconds: nothing is tried that could not begin before the deadline. Who was told to
    wait (429) does. The last error is raised as it is.
    """
    if budget is not None:
        budget.deposit()
    number = 1
    while True:
        try:
            return attempt(number)
        except Exception as error:
            if number >= policy.attempts or not again(error):
                raise
            pause = max(policy.pause(number), _asked_for(error))
            if pause >= remaining() or (budget is not None and not budget.withdraw()):
                raise
        time.sleep(pause)
        number += 1


def _asked_for(error: Exception) -> float:
    """Return the seconds that who is asked wants to be left alone for."""
    return float(error.retry_after) if isinstance(error, TooManyRequestsError) else 0.0
