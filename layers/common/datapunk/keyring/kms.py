"""A key ring in AWS KMS: one asymmetric key per period, found by its alias.

The alias carries the moment from which the key signs (`alias/<prefix>/<seconds>`), so the list of aliases is
the whole state, one call reads it, and two rotations at once cannot make the same key twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from datapunk.errors import UnavailableError
from datapunk.keyring.ring import RingKey, thumbprint

LIST_SECONDS = 60.0
"""How long a list of keys is good: keys are published long before they sign."""
_DELETION_DAYS = 7
_DEPENDENCY = "kms"


class KmsKeyRing:
    """Keys whose aliases begin with `prefix` (`alias/...`). The public halves never change: kept."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.rstrip("/") + "/"
        self._listed: tuple[float, tuple[RingKey, ...]] | None = None
        self._targets: dict[str, str] = {}
        self._public: dict[str, Any] = {}

    def list_keys(self) -> tuple[RingKey, ...]:
        """Return all keys, the first to sign first. Raises UnavailableError without KMS."""
        now = time.monotonic()
        if self._listed is None or now - self._listed[0] > LIST_SECONDS:
            self._listed = (now, tuple(sorted(self._list(), key=lambda key: key.signs_from)))
        return self._listed[1]

    def sign(self, kid: str, message: bytes) -> bytes:
        """Return the signature of `message`. Raises UnavailableError when KMS cannot sign."""
        if kid not in self._targets:
            raise UnavailableError(_DEPENDENCY, "The signing key is not in the key ring.")
        with _translated():
            answer = self._client.sign(
                KeyId=self._targets[kid],
                Message=message,
                MessageType="RAW",
                SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256",
            )
        return bytes(answer["Signature"])

    def add(self, signs_from: int) -> str | None:
        """Make a key that signs from that second on; None when another begins there already."""
        alias = f"{self._prefix}{signs_from}"
        with _translated():
            made = self._client.create_key(
                KeySpec="RSA_2048",
                KeyUsage="SIGN_VERIFY",
                Description="Datapunk: signs access tokens or certificates",
                # Whoever makes keys is told them by the tag: a new alias may take minutes to count.
                Tags=[
                    {"TagKey": "platform", "TagValue": "datapunk"},
                    {"TagKey": "ring", "TagValue": self._prefix.removeprefix("alias/").rstrip("/")},
                ],
            )["KeyMetadata"]["KeyId"]
            try:
                self._client.create_alias(AliasName=alias, TargetKeyId=made)
            except self._client.exceptions.AlreadyExistsException:
                self._delete(made)
                return None
        self._listed = None
        return next((key.kid for key in self.list_keys() if self._targets[key.kid] == made), None)

    def remove(self, kid: str) -> None:
        """Forget a key; KMS keeps it for a week, in which it can be restored."""
        target = self._targets[kid]
        with _translated():
            for alias in self._aliases():
                if alias.get("TargetKeyId") == target:
                    self._client.delete_alias(AliasName=alias["AliasName"])
            self._delete(target)
        self._listed = None

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
        return boto3.client("kms", config=config)

    def _delete(self, target: str) -> None:
        self._client.schedule_key_deletion(KeyId=target, PendingWindowInDays=_DELETION_DAYS)

    def _aliases(self) -> Iterator[dict[str, Any]]:
        for page in self._client.get_paginator("list_aliases").paginate():
            for alias in page["Aliases"]:
                if alias["AliasName"].startswith(self._prefix) and "TargetKeyId" in alias:
                    yield alias

    def _list(self) -> Iterator[RingKey]:
        with _translated():
            for alias in self._aliases():
                start = alias["AliasName"].removeprefix(self._prefix)
                if start.isascii() and start.isdigit():
                    public = self._public_key(alias["TargetKeyId"])
                    kid = thumbprint(public)
                    self._targets[kid] = alias["TargetKeyId"]
                    yield RingKey(kid, int(start), public)

    def _public_key(self, target: str) -> Any:
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        if target not in self._public:
            answer = self._client.get_public_key(KeyId=target)
            self._public[target] = load_der_public_key(answer["PublicKey"])
        return self._public[target]


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(_DEPENDENCY) from error
