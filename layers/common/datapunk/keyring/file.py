"""A key ring in one file, readable by its owner only: for the platform on one machine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.keyring.ring import KEY_BITS, RingKey, thumbprint

_OWNER_ONLY = 0o600
_EXPONENT = 65537


class FileKeyRing:
    """Keys as PEM in a JSON file that is replaced as a whole.

    A file that is not there is an empty ring. It is read again when it has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, tuple[RingKey, RSAPrivateKey]] = {}

    def list_keys(self) -> tuple[RingKey, ...]:
        """Return all keys, the first to sign first."""
        self._read()
        return tuple(sorted((key for key, _ in self._keys.values()), key=lambda k: k.signs_from))

    def sign(self, kid: str, message: bytes) -> bytes:
        """Return the signature of `message`. Raises UnavailableError when the key is gone."""
        self._read()
        if kid not in self._keys:
            raise UnavailableError("key ring", "The signing key is not in the key ring.")
        return self._keys[kid][1].sign(message, padding.PKCS1v15(), hashes.SHA256())

    def add(self, signs_from: int) -> str | None:
        """Make a key that signs from that second on; None when another begins there already."""
        with self._changing() as entries:
            if any(entry["signs_from"] == signs_from for entry in entries):
                return None
            private = rsa.generate_private_key(_EXPONENT, KEY_BITS)
            kid = thumbprint(private.public_key())
            pem = private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            entries.append({"kid": kid, "signs_from": signs_from, "private": pem.decode()})
            return kid

    def remove(self, kid: str) -> None:
        """Forget a key."""
        with self._changing() as entries:
            entries[:] = [entry for entry in entries if entry["kid"] != kid]

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[dict[str, Any]]]:
        """Give out the entries under a lock, and write them when the body ends well."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        with lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            entries = self._load()
            yield entries
            self._write(entries)

    def _write(self, entries: list[dict[str, Any]]) -> None:
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"keys": entries}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def _load(self) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = json.loads(self._path.read_text())["keys"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Never made anew: an unreadable ring holds the keys of tokens that are still good.
            raise ConfigurationError(
                f"The key ring {self._path} cannot be read; restore it, or delete it for new keys."
            ) from error
        return entries

    def _read(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return
        # Each change is a new file, and two changes may share a clock tick.
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._stamp:
            return
        keys: dict[str, tuple[RingKey, RSAPrivateKey]] = {}
        for entry in self._load():
            # Whether the numbers are a key was known when `add` made it, and takes long to find out again.
            private = serialization.load_pem_private_key(
                entry["private"].encode(), password=None, unsafe_skip_rsa_key_validation=True
            )
            if not isinstance(private, RSAPrivateKey):
                raise ConfigurationError(f"The key ring {self._path} holds a key that is not RSA.")
            key = RingKey(entry["kid"], int(entry["signs_from"]), private.public_key())
            keys[key.kid] = (key, private)
        self._keys, self._stamp = keys, stamp
