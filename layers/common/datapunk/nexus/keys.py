"""The platform's signing keys: which one signs, which ones verify, when the next one begins.

Keys follow each other. A new key is published before it signs, so that whoever caches the key set knows it
by then; an old one stays published until every token it signed has expired.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from datapunk.keyring import RingKey, key_ring
from datapunk.keyring.ring import number_text
from datapunk.keyring.rotation import Succession, signing_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHM = "RS256"
PERIOD = 30 * 86_400
"""Seconds that a key signs."""
LEAD = 600
"""Seconds a key is published before it signs: twice as long as the key set may be cached."""
OVERLAP = 3600
"""Seconds a key is published after it signed last: longer than any token it signed lives."""
_KEYS = Succession(PERIOD, LEAD, OVERLAP)


def sign(claims: Mapping[str, Any], *, typ: str) -> str:
    """Return the claims as a signed JWT (RFC 7519) whose header names its type and key.

    Raises UnavailableError when the key ring has no key that signs now.
    """
    ring = key_ring()
    kid = signing_key(ring, time.time()).kid
    header = {"alg": ALGORITHM, "kid": kid, "typ": typ}
    message = b".".join(_encoded(orjson.dumps(part)) for part in (header, dict(claims)))
    return b".".join((message, _encoded(ring.sign(kid, message)))).decode()


def find_key(kid: str, *, now: float | None = None) -> RSAPublicKey | None:
    """Return the public key with this id, None when no such key is published now."""
    published = _KEYS.published(key_ring().list_keys(), time.time() if now is None else now)
    return next((key.public for key in published if key.kid == kid), None)


def public_jwks() -> dict[str, Any]:
    """Return the published keys as a JWK set (RFC 7517)."""
    return {"keys": [_jwk(key) for key in _KEYS.published(key_ring().list_keys(), time.time())]}


def rotate(*, now: float | None = None, force: bool = False) -> dict[str, Any]:
    """Make the next key when it is due (or `force`), remove those that verify nothing any more.

    The first key of a ring signs at once, every later one after `LEAD` seconds. Returns what was done.
    """
    return _KEYS.rotate(key_ring(), int(time.time() if now is None else now), force=force)


def _jwk(key: RingKey) -> dict[str, str]:
    numbers = key.public.public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": ALGORITHM,
        "kid": key.kid,
        "n": number_text(numbers.n),
        "e": number_text(numbers.e),
    }


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
