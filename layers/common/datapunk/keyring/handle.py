"""A handle on a ring's key, for libraries that sign with private keys: X.509 builders."""

# The methods are RSAPrivateKey's, with its names for arguments that a handle has no use for.
# ruff: noqa: ARG002, A002, D102

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from datapunk.keyring.ring import KeyRing, RingKey

_KEPT = "The private key stays in its ring."


class SigningHandle(rsa.RSAPrivateKey):
    """A key of a ring, which signs (RSASSA-PKCS1-v1_5, SHA-256) without ever leaving it."""

    def __init__(self, ring: KeyRing, key: RingKey) -> None:
        self._ring = ring
        self._key = key

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        return self._ring.sign(self._key.kid, bytes(data))

    def public_key(self) -> rsa.RSAPublicKey:
        return self._key.public

    @property
    def key_size(self) -> int:
        return self._key.public.key_size

    def decrypt(self, ciphertext: bytes, padding: Any) -> bytes:
        raise UnsupportedAlgorithm(_KEPT)

    def private_numbers(self) -> rsa.RSAPrivateNumbers:
        raise UnsupportedAlgorithm(_KEPT)

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:
        raise UnsupportedAlgorithm(_KEPT)

    def __copy__(self) -> SigningHandle:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> SigningHandle:
        return self
