"""How often someone may try to sign in: per account, whether it exists or not, and per address.

An attempt counts before the password is looked at, so attempts at the same time count all. Both windows
begin with their first attempt. An account's window ends at a successful sign-in; an address only gets that
one attempt back, or whoever has one account could try all others.

Where a user has signed in before, his attempts are counted apart: whoever guesses at his account from
elsewhere, however long, does not keep him out.
"""

from __future__ import annotations

import hashlib
import ipaddress

from datapunk.cache import client, translated
from datapunk.errors import TooManyRequestsError

WINDOW_SECONDS = 900
PER_ACCOUNT = 10
PER_ADDRESS = 100
FAMILIAR_SECONDS = 30 * 86_400
"""How long an address counts as one of the user's after he has signed in there."""
_IPV6_NETWORK = 64
"""Bits of an IPv6 address that a connection is given: whoever has one has all addresses of its network."""


def count_attempt(account: str, address: str) -> None:
    """Count an attempt to sign in to `account` from `address`.

    Raises TooManyRequestsError when there were too many, UnavailableError when Redis does not answer:
    nobody signs in uncounted.
    """
    limits = ((_account_key(account, address), PER_ACCOUNT), (_address_key(address), PER_ADDRESS))
    waits = [_count(key, most) for key, most in limits]
    if any(waits):
        raise TooManyRequestsError("Too many attempts to sign in.", retry_after=max(waits))


def forget_attempts(account: str, address: str) -> None:
    """Begin an account's window anew, and take back the attempt from the address: its user has signed in.

    From now on the address is one of his. Raises UnavailableError when Redis does not answer.
    """
    with translated():
        client().delete(_account_key(account, address))
        client().set(_familiar_key(account, address), 1, ex=FAMILIAR_SECONDS)
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


def _account_key(account: str, address: str) -> str:
    """Return where attempts at the account are counted: apart for an address of its user's."""
    with translated():
        familiar = client().exists(_familiar_key(account, address))
    return f"sign-in:account:{_digest(account.lower(), _network(address) if familiar else '')}"


def _familiar_key(account: str, address: str) -> str:
    return f"sign-in:familiar:{_digest(account.lower(), _network(address))}"


def _address_key(address: str) -> str:
    return f"sign-in:address:{_digest(_network(address))}"


def _network(address: str) -> str:
    """Return what one sender has of addresses: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 -- the version's number
        return str(parsed)
    return str(ipaddress.ip_network((parsed.packed, _IPV6_NETWORK), strict=False))


def _digest(*parts: str) -> str:
    # Addresses of people do not stand in plain text where keys are listed.
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
