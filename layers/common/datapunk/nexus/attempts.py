"""How often someone may try to sign in: per account, whether it exists or not, and per address.

An attempt counts before the password is looked at, so attempts at the same time count all. Both windows
begin with their first attempt. An account's window ends at a successful sign-in; an address only gets that
one attempt back, or whoever has one account could try all others.
"""

from __future__ import annotations

import hashlib

from datapunk.cache import client, translated
from datapunk.errors import TooManyRequestsError

WINDOW_SECONDS = 900
PER_ACCOUNT = 10
PER_ADDRESS = 100


def count_attempt(account: str, address: str) -> None:
    """Count an attempt to sign in to `account` from `address`.

    Raises TooManyRequestsError when there were too many, UnavailableError when Redis does not answer:
    nobody signs in uncounted.
    """
    limits = ((_account_key(account), PER_ACCOUNT), (_address_key(address), PER_ADDRESS))
    waits = [_count(key, most) for key, most in limits]
    if any(waits):
        raise TooManyRequestsError("Too many attempts to sign in.", retry_after=max(waits))


def forget_attempts(account: str, address: str) -> None:
    """Begin an account's window anew, and take back the attempt from the address: its user has signed in.

    Raises UnavailableError when Redis does not answer.
    """
    with translated():
        client().delete(_account_key(account))
        pipeline = client().pipeline(transaction=False)
        pipeline.decr(_address_key(address))
        # The window may have ended in between: then the key is a new one.
        pipeline.expire(_address_key(address), WINDOW_SECONDS, nx=True)
        pipeline.execute()


def _count(key: str, most: int) -> int:
    """Count one more; return how many seconds to wait when that is one too many, else 0."""
    with translated():
        pipeline = client().pipeline(transaction=False)
        pipeline.set(key, 0, ex=WINDOW_SECONDS, nx=True)
        pipeline.incr(key)
        pipeline.ttl(key)
        _, count, left = pipeline.execute()
    return max(1, int(left)) if int(count) > most else 0


def _account_key(account: str) -> str:
    # Addresses of people do not stand in plain text where keys are listed.
    return f"sign-in:account:{hashlib.sha256(account.lower().encode()).hexdigest()}"


def _address_key(address: str) -> str:
    return f"sign-in:address:{hashlib.sha256(address.encode()).hexdigest()}"
