"""Objects that callers upload: links to put them with, and reading them by ranges.

An object is read in the version that was found first, so that what is put there later changes nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from datapunk.aws import STORE, client_of, translated
from datapunk.settings import settings

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
    with translated(STORE):
        link: str = client_of(STORE).generate_presigned_url(
            "put_object", Params={"Bucket": settings().bucket(), "Key": key}, ExpiresIn=seconds
        )
    return link


def look_up(key: str, version: str | None = None) -> Found | None:
    """Return the object, in one version or the newest, None where there is none."""
    with _unless_missing():
        answer = client_of(STORE).head_object(**_named(key, version))
        return Found(key, int(answer["ContentLength"]), answer.get("VersionId"))
    return None


def remove(found: Found) -> None:
    """Remove the version of the object for good."""
    with _unless_missing():
        client_of(STORE).delete_object(**_named(found.key, found.version))


class ObjectFile(io.RawIOBase):
    """An object as a file that is read, by one ranged request for each `readinto`.

    A server may answer with all of it instead (RFC 9110, 14.2): then that answer is read on as long as
    reading goes forward.
    """

    def __init__(self, found: Found) -> None:
        super().__init__()
        self._found = found
        self._place = 0
        self._whole: Any = None
        self._whole_place = 0

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
        with translated(STORE):
            content = self._read(wanted)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def close(self) -> None:
        """Forget the answer that was not read to its end."""
        if self._whole is not None:
            self._whole.close()
            self._whole = None
        super().close()

    def _read(self, wanted: int) -> bytes:
        if self._whole is None or self._whole_place > self._place:
            scope = f"bytes={self._place}-{self._place + wanted - 1}"
            answer = client_of(STORE).get_object(
                **_named(self._found.key, self._found.version), Range=scope
            )
            if "ContentRange" in answer:
                with closing(answer["Body"]) as body:
                    return bytes(body.read(wanted))
            self._whole, self._whole_place = answer["Body"], 0
        while skipped := self._whole.read(min(self._place - self._whole_place, PART_BYTES)):
            self._whole_place += len(skipped)
        content = bytes(self._whole.read(wanted))
        self._whole_place += len(content)
        return content


def _named(key: str, version: str | None) -> dict[str, str]:
    named = {"Bucket": settings().bucket(), "Key": key}
    return named if version is None else {**named, "VersionId": version}


@contextmanager
def _unless_missing() -> Iterator[None]:
    """Have the body end where it asks for what is not there; raise UnavailableError for all else."""
    from botocore.exceptions import ClientError

    with translated(STORE):
        try:
            yield
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status != HTTPStatus.NOT_FOUND:
                raise
