"""A ring of keys that wrap other keys: AES-256-GCM, bound to what the wrapped key is for.

It stands beside the ring that signs. On one machine it is a file, readable by its owner only; on AWS it is a
symmetric key of KMS (`wrapping_kms`), which never leaves it and is rotated there.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.settings import settings

ROTATION_SECONDS = 90 * 86_400
"""How long one key of the ring wraps. What it wrapped stays readable."""
DEPENDENCY = "key ring"
_ID, _NONCE = 8, 12
_OWNER_ONLY = 0o600

Context = Mapping[str, str]
"""What a wrapped key is for: it can be unwrapped for nothing else."""


class WrappingRing(Protocol):
    """Wraps keys with a key that does not leave it."""

    def wrap(self, key: bytes, context: Context) -> bytes:
        """Return the key, encrypted. Raises UnavailableError when the ring cannot."""
        ...

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Return a wrapped key. Raises UnavailableError when the ring cannot, or it is for another use."""
        ...


def data_key_ring() -> WrappingRing:
    """Return the ring that wraps data keys. Raises ConfigurationError when `KEY_RING` names none."""
    return open_wrapping_ring(settings().key_ring)


@cache
def open_wrapping_ring(place: str) -> WrappingRing:
    """Return the ring beside the key ring at `place`, one object per place."""
    scheme, _, name = place.partition(":")
    if scheme == "file" and name:
        return FileWrappingRing(Path(f"{name}-data"))
    if scheme == "kms" and name:
        from datapunk.keyring.wrapping_kms import KmsWrappingRing

        return KmsWrappingRing(f"{name.rstrip('/')}-data")
    raise ConfigurationError("KEY_RING is neither `file:<path>` nor `kms:alias/<prefix>`.")


class FileWrappingRing:
    """Keys in a JSON file that is replaced as a whole. The first is made when it is needed.

    A key is replaced by a new one after 90 days; those before are kept for what they wrapped.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[bytes, AESGCM] = {}
        self._newest: tuple[float, bytes] = (0.0, b"")

    def wrap(self, key: bytes, context: Context) -> bytes:
        """Return `id of the ring's key | nonce | key`, encrypted."""
        self._read()
        if not self._newest[1] or self._now() - self._newest[0] >= ROTATION_SECONDS:
            self._add()
        name, nonce = self._newest[1], os.urandom(_NONCE)
        return name + nonce + self._keys[name].encrypt(nonce, key, _bound(context))

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Return a wrapped key. Raises UnavailableError where the ring lost its key, or it was changed."""
        self._read()
        name, nonce, content = (
            wrapped[:_ID],
            wrapped[_ID : _ID + _NONCE],
            wrapped[_ID + _NONCE :],
        )
        if name not in self._keys:
            raise UnavailableError(DEPENDENCY, "The key that wraps data keys is not in the ring.")
        try:
            return self._keys[name].decrypt(nonce, content, _bound(context))
        except InvalidTag as error:
            raise UnavailableError(
                DEPENDENCY, "A data key is damaged, or not for this use."
            ) from error

    def _add(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f"{self._path.name}.lock").open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            entries = self._load()
            now = self._now()
            if not entries or now - max(entry["from"] for entry in entries) >= ROTATION_SECONDS:
                entry = {"id": _text(os.urandom(_ID)), "key": _text(os.urandom(32)), "from": now}
                self._write([*entries, entry])
        self._read()

    def _write(self, entries: list[dict[str, Any]]) -> None:
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"keys": entries}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def _load(self) -> list[dict[str, Any]]:
        with self._readable():
            try:
                entries: list[dict[str, Any]] = json.loads(self._path.read_text())["keys"]
            except FileNotFoundError:
                return []
            return entries

    def _read(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys, self._newest = None, {}, (0.0, b"")
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._stamp:
            return
        with self._readable():
            entries = self._load()
            self._keys = {_raw(entry["id"]): AESGCM(_raw(entry["key"])) for entry in entries}
            self._newest = max((float(entry["from"]), _raw(entry["id"])) for entry in entries)
        self._stamp = stamp

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Never made anew: what its keys encrypt would be lost.
            raise ConfigurationError(
                f"The key ring {self._path} cannot be read: restore it."
            ) from error


def _bound(context: Context) -> bytes:
    return orjson.dumps(dict(context), option=orjson.OPT_SORT_KEYS)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
