"""What a key ring is: RSA keys by key id, each with the moment from which it signs."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class RingKey:
    """The public half of a key. `signs_from` is in seconds since the epoch."""

    kid: str
    signs_from: int
    public: RSAPublicKey


class KeyRing(Protocol):
    """Keeps RSA keys and signs with them (RSASSA-PKCS1-v1_5, SHA-256)."""

    def list_keys(self) -> tuple[RingKey, ...]:
        """Return all keys, the first to sign first."""
        ...

    def sign(self, kid: str, message: bytes) -> bytes:
        """Return the signature of `message`. Raises UnavailableError when the ring cannot."""
        ...

    def add(self, signs_from: int) -> str | None:
        """Make a key that signs from that second on and return its id.

        None when another key already begins at that second: somebody else was quicker.
        """
        ...

    def remove(self, kid: str) -> None:
        """Forget a key."""
        ...


def number_text(value: int) -> str:
    """Return an integer as JOSE writes it (RFC 7518, 2: Base64urlUInt)."""
    content = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def thumbprint(public: RSAPublicKey) -> str:
    """Return the key's thumbprint (RFC 7638), which is its id: the same key has the same everywhere."""
    numbers = public.public_numbers()
    members = {"e": number_text(numbers.e), "kty": "RSA", "n": number_text(numbers.n)}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    digest = hashlib.sha256(canonical).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
