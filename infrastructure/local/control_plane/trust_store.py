"""The trust store of the API's mutual TLS, as it lies in its bucket."""

from __future__ import annotations

from urllib.parse import urlsplit

from infrastructure.local.control_plane.aws import Clients

_NOT_MODIFIED = 304


class TrustStoreReader:
    """Reads trust stores by URI (`s3://bucket/key`), and only when they have changed."""

    def __init__(self, aws_endpoint: str) -> None:
        self._clients = Clients(aws_endpoint)
        self._tags: dict[str, str] = {}

    def __call__(self, uri: str) -> str | None:
        """Return the content, None when it is the one returned last or nothing is there yet."""
        from botocore.exceptions import ClientError

        parts = urlsplit(uri)
        storage = self._clients("s3")
        known = {"IfNoneMatch": self._tags[uri]} if uri in self._tags else {}
        try:
            answer = storage.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"), **known)
        except storage.exceptions.NoSuchKey:
            return None
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == _NOT_MODIFIED:
                return None
            raise
        content: str = answer["Body"].read().decode()
        self._tags[uri] = answer["ETag"]
        return content
