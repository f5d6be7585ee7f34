"""Objects written part by part: there whole or not at all, and read by links.

An object may be larger than memory: what is held is one part. What an environment that was killed has left
unfinished goes by the bucket's rule for abandoned uploads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datapunk.aws import STORE, client_of, translated
from datapunk.errors import DatapunkError
from datapunk.settings import settings
from datapunk.telemetry import logger

PART = 8 * 1024 * 1024
"""Bytes of a part. S3 takes 10,000 of them, none but the last below 5 MiB."""


class Upload:
    """An object in the making. Nobody sees any of it before it is finished."""

    def __init__(self, key: str, media_type: str, disposition: str) -> None:
        self.key = key
        self.size = 0
        """Bytes written so far."""
        self._digest = hashlib.sha256()
        self._client = client_of(STORE)
        self._place = {"Bucket": settings().bucket(), "Key": key}
        self._about = {"ContentType": media_type, "ContentDisposition": disposition}
        self._held = bytearray()
        self._id: str | None = None
        self._parts: list[dict[str, Any]] = []

    @property
    def sha256(self) -> str:
        """The digest of what has been written so far, as hexadecimal digits."""
        return self._digest.hexdigest()

    def write(self, content: bytes) -> None:
        """Add to the object. Raises UnavailableError when S3 does not take a part."""
        self._digest.update(content)
        self.size += len(content)
        self._held += content
        while len(self._held) >= PART:
            self._send(bytes(self._held[:PART]))
            del self._held[:PART]

    def finish(self) -> None:
        """Have the object exist. Raises UnavailableError when S3 does not answer."""
        if self._id is None:
            # Smaller than a part: one request instead of three.
            with translated(STORE):
                self._client.put_object(**self._place, **self._about, Body=bytes(self._held))
            return
        if self._held:
            self._send(bytes(self._held))
        with translated(STORE):
            self._client.complete_multipart_upload(
                **self._place, UploadId=self._id, MultipartUpload={"Parts": self._parts}
            )

    def abort(self) -> None:
        """Have S3 forget all parts. What it does not take note of goes by the bucket's rule."""
        if self._id is None:
            return
        try:
            with translated(STORE):
                self._client.abort_multipart_upload(**self._place, UploadId=self._id)
        except DatapunkError:
            logger().warning("upload not aborted", extra={"key": self.key}, exc_info=True)

    def _send(self, part: bytes) -> None:
        with translated(STORE):
            if self._id is None:
                begun = self._client.create_multipart_upload(**self._place, **self._about)
                self._id = str(begun["UploadId"])
            number = len(self._parts) + 1
            sent = self._client.upload_part(
                **self._place, UploadId=self._id, PartNumber=number, Body=part
            )
            self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})


@contextmanager
def uploading(key: str, media_type: str, *, file_name: str) -> Iterator[Upload]:
    """Open an object to be written: it exists when the body has ended, and not when the body raises.

    `file_name` is what browsers call it when they keep it. Raises ConfigurationError when there is no bucket,
    UnavailableError when S3 does not answer.
    """
    upload = Upload(key, media_type, f'attachment; filename="{file_name}"')
    try:
        yield upload
        upload.finish()
    except BaseException:
        upload.abort()
        raise


def link_to(key: str, *, seconds: int) -> str:
    """Return an address that anybody may read the object at, for so long.

    It has the rights of the function that made it, and ends with its credentials if that is earlier.
    """
    place = {"Bucket": settings().bucket(), "Key": key}
    with translated(STORE):
        link = client_of(STORE).generate_presigned_url(
            "get_object", Params=place, ExpiresIn=seconds
        )
    return str(link)
