"""Bodies and files that came compressed: gzip and Zstandard (RFC 9110, 8.4.1; RFC 8878), unpacked in bounds.

A few bytes can stand for gigabytes. What is unpacked is counted as it comes, and a window that Zstandard asks
for is no larger than what browsers give.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from datapunk.errors import (
    MalformedRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

IDENTITY, GZIP, ZSTD = "identity", "gzip", "zstd"
_GZIP_HEADER = 31
"""What zlib calls the format with gzip's header."""
_UNPACKED_BYTES = 256 * 1024
"""Of a file that are held at once."""
_MOST_PARTS = 1_000
"""Compressed files may be joined; to look for the next one costs as much as all that is left."""
_WINDOW_LOG = 23
"""8 MiB, the largest window that a receiver should support (RFC 9659)."""


def unpacked(content: bytes, encoding: str, accepted: Sequence[str], most: int) -> bytes:
    """Return a body as it was before it was compressed, `most` bytes at most.

    Raises UnsupportedMediaTypeError for an encoding that is not accepted, MalformedRequestError for what is
    none, or not all of it, and PayloadTooLargeError for what would become too large.
    """
    encoding = encoding.strip().lower() or IDENTITY
    if encoding == IDENTITY:
        return content
    if encoding not in accepted:
        listed = ", ".join((IDENTITY, *accepted))
        raise UnsupportedMediaTypeError(f"The encoding {encoding!r} is not one of: {listed}.")
    found, complete = _gzip(content, most) if encoding == GZIP else _zstd(content, most)
    if len(found) > most:
        raise PayloadTooLargeError(f"A body may have {most:,} bytes at most when it is unpacked.")
    if not complete:
        raise MalformedRequestError(f"The body is not all of its {encoding}.")
    return found


def unpacking(packed: io.BufferedReader, encoding: str) -> io.BufferedReader:
    """Return a file as it was before it was compressed, which may be read from any place on.

    Going back unpacks it anew. What reading raises where it is none, `is_broken` knows.
    """
    unpacked: Any  # which the types of the standard library have as no raw stream, though it serves as one
    if encoding == GZIP:
        from gzip import GzipFile

        unpacked = GzipFile(fileobj=packed)
    else:
        library = _library()
        options = {library.DecompressionParameter.window_log_max: _WINDOW_LOG}
        unpacked = library.ZstdFile(packed, options=options)
    return io.BufferedReader(unpacked, _UNPACKED_BYTES)


def is_broken(error: BaseException | None) -> bool:
    """Tell whether an error says that what was unpacked is no compressed file, or not all of one."""
    from gzip import BadGzipFile

    return isinstance(error, (BadGzipFile, EOFError, zlib.error, _library().ZstdError))


def _gzip(content: bytes, most: int) -> tuple[bytes, bool]:
    """Return the members of a gzip file, one after the other, and whether the last one has its end."""
    found, rest = b"", content
    for _ in range(_MOST_PARTS):
        unpacker = zlib.decompressobj(wbits=_GZIP_HEADER)
        try:
            found += unpacker.decompress(rest, most + 1 - len(found))
        except zlib.error:
            raise MalformedRequestError("The body is not gzip.") from None
        rest = unpacker.unused_data
        if len(found) > most or not rest:
            return found, unpacker.eof
    raise MalformedRequestError(f"The body has more than {_MOST_PARTS:,} members of gzip.")


def _zstd(content: bytes, most: int) -> tuple[bytes, bool]:
    """Return the frames of a Zstandard file, one after the other, and whether the last one has its end."""
    library = _library()
    options = {library.DecompressionParameter.window_log_max: _WINDOW_LOG}
    found, rest = b"", content
    for _ in range(_MOST_PARTS):
        unpacker = library.ZstdDecompressor(options=options)
        try:
            found += unpacker.decompress(rest, most + 1 - len(found))
        except library.ZstdError:
            raise MalformedRequestError("The body is not zstd.") from None
        rest = unpacker.unused_data if unpacker.eof else b""
        if len(found) > most or not rest:
            return found, unpacker.eof
    raise MalformedRequestError(f"The body has more than {_MOST_PARTS:,} frames of zstd.")


def _library() -> Any:
    """Return Python's own module from 3.14 on, and before it the one that has the same names."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
