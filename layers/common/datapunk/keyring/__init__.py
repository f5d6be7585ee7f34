"""The key ring: where the platform's signing keys live. Private halves never leave it.

The setting `KEY_RING` names it: `file:<path>` on one machine, `kms:<alias prefix>` on AWS.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from datapunk.errors import ConfigurationError
from datapunk.keyring.ring import KeyRing, RingKey
from datapunk.settings import settings

__all__ = ["KeyRing", "RingKey", "authority_key_ring", "key_ring", "open_key_ring"]


def key_ring() -> KeyRing:
    """Return this environment's key ring. Raises ConfigurationError when `KEY_RING` names none."""
    return open_key_ring(settings().key_ring)


def authority_key_ring() -> KeyRing:
    """Return the ring of the certificate authority's keys, which stands beside the other.

    Whoever may sign tokens may not sign certificates: on AWS each ring has its own permissions.
    Raises ConfigurationError when `KEY_RING` names none.
    """
    place = settings().key_ring
    return open_key_ring(f"{place}-authority" if place else place)


@cache
def open_key_ring(place: str) -> KeyRing:
    """Return the key ring at `place`, one object per place."""
    scheme, _, name = place.partition(":")
    if scheme == "file" and name:
        from datapunk.keyring.file import FileKeyRing

        return FileKeyRing(Path(name))
    if scheme == "kms" and name:
        from datapunk.keyring.kms import KmsKeyRing

        return KmsKeyRing(name)
    raise ConfigurationError("KEY_RING is neither `file:<path>` nor `kms:alias/<prefix>`.")
