"""Objects that callers upload: links to put them with, and reading them by ranges.

An object is read in the version that was found first, so that what is put there later changes nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.settings import settings

DEPENDENCY = "s3"
PART_BYTES = 4 * 1024 * 1024
"""Bytes of one ranged read."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object: its size in bytes, and its version where the bucket keeps those."""

    key: str
    size: int
    version: str | None


def link_to_put(key: str, seconds: int) -> str:
    """Return an address to which whoever has it may put the object, by HTTP PUT, for that long.

    The time ends sooner where the credentials of the function do.
    """
    with _translated():
        link: str = _client().generate_presigned_url(
            "put_object", Params={"Bucket": _bucket(), "Key": key}, ExpiresIn=seconds
        )
    return link


def look_up(key: str, version: str | None = None) -> Found | None:
    """Return the object, in one version or the newest, None where there is none."""
    with _translated(missing=True):
        answer = _client().head_object(**_named(key, version))
        return Found(key, int(answer["ContentLength"]), answer.get("VersionId"))
    return None


def remove(found: Found) -> None:
    """Remove the version of the object for good."""
    with _translated(missing=True):
        _client().delete_object(**_named(found.key, found.version))


class ObjectFile(io.RawIOBase):
    """An object as a file that is read, by one ranged request for each `readinto`."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self._found = found
        self._place = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that reading may go on anywhere."""
        return True

    def tell(self) -> int:
        """Return where the next read begins, in bytes."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Have the next read begin elsewhere."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._found.size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there is something. Raises UnavailableError."""
        wanted = min(len(buffer), self._found.size - self._place)
        if wanted <= 0:
            return 0
        scope = f"bytes={self._place}-{self._place + wanted - 1}"
        with _translated():
            answer = _client().get_object(
                **_named(self._found.key, self._found.version), Range=scope
            )
            content = answer["Body"].read()
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def forget() -> None:
    """Forget the client, and the address and credentials it was made with."""
    _client.cache_clear()


def _named(key: str, version: str | None) -> dict[str, str]:
    named = {"Bucket": _bucket(), "Key": key}
    return named if version is None else {**named, "VersionId": version}


def _bucket() -> str:
    bucket = settings().storage_bucket
    if bucket is None:
        raise ConfigurationError("STORAGE_BUCKET is not set.")
    return bucket


@cache
def _client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=2,
        read_timeout=20,
        retries={"total_max_attempts": 3},
        # An object under a key of KMS is only put with this signature; some regions would sign otherwise.
        signature_version="s3v4",
        # A link shall ask for no checksum that a plain PUT does not send.
        request_checksum_calculation="when_required",
    )
    return boto3.client("s3", config=config)


@contextmanager
def _translated(*, missing: bool = False) -> Iterator[None]:
    """Raise UnavailableError for what S3 does not do; with `missing` not where nothing is there."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if not (missing and status == HTTPStatus.NOT_FOUND):
            raise UnavailableError(DEPENDENCY) from error
    except BotoCoreError as error:
        raise UnavailableError(DEPENDENCY) from error
