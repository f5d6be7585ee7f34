"""`If-Match`: change a resource only in the state that was read (RFC 9110, 13.1.1)."""

from __future__ import annotations

from datapunk.errors import PreconditionFailedError


def require_match(if_match: str | None, etag: str) -> None:
    """Raise PreconditionFailedError unless one of the tags in the header is the resource's.

    Without a header anything goes, and `*` matches whatever exists. Weak tags never match: the comparison
    is the strong one.
    """
    if if_match is None:
        return
    tags = [tag.strip() for tag in if_match.split(",")]
    if "*" not in tags and etag not in tags:
        raise PreconditionFailedError
