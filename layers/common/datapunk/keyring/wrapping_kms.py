"""A key of AWS KMS that wraps data keys. KMS rotates it by itself and keeps what came before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datapunk.errors import UnavailableError

if TYPE_CHECKING:
    from datapunk.keyring.wrapping import Context

_DEPENDENCY = "kms"


class KmsWrappingRing:
    """The symmetric key with an alias. Its encryption context binds a data key to its use."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def wrap(self, key: bytes, context: Context) -> bytes:
        """Return the key as KMS encrypts it. Raises UnavailableError when it does not answer."""
        with _translated():
            answer = self._client.encrypt(
                KeyId=self._alias, Plaintext=key, EncryptionContext=dict(context)
            )
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Return a wrapped key. Raises UnavailableError when KMS refuses, or does not answer."""
        with _translated():
            answer = self._client.decrypt(
                KeyId=self._alias, CiphertextBlob=wrapped, EncryptionContext=dict(context)
            )
        return bytes(answer["Plaintext"])

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
        return boto3.client("kms", config=config)


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(_DEPENDENCY) from error
