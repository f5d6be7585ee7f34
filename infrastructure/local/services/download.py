"""Files over HTTPS: bounded in time, tried again when the network stumbles."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus

ATTEMPTS = 4
TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 18
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class DownloadError(RuntimeError):
    """A file could not be fetched; the message names it and the reason."""


class FileGoneError(DownloadError):
    """The server is there, the file is not."""


def fetch(url: str, *, received: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the content of `url`.

    `received` is told the number of bytes as they come. Raises FileGoneError for a 404 or 410,
    DownloadError when all attempts fail.
    """
    for attempt in range(1, ATTEMPTS + 1):
        got = 0
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                parts = []
                while part := answer.read(CHUNK_BYTES):
                    parts.append(part)
                    got += len(part)
                    received(len(part))
                return b"".join(parts)
        except urllib.error.HTTPError as error:
            reason: Exception = error
            error.close()
            if error.code in GONE:
                raise FileGoneError(f"{url} is gone from the server") from error
        except (OSError, EOFError) as error:
            reason = error
        received(-got)
        if attempt < ATTEMPTS:
            time.sleep(2 ** (attempt - 1))
    raise DownloadError(
        f"cannot fetch {url}: {reason}. Check the network (HTTPS_PROXY, SSL_CERT_FILE) and try again"
    )
