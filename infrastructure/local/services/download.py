"""Files over HTTPS: bounded in time, tried again when the network stumbles."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
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
            # Not `urlopen`: it keeps the proxies of its first call.
            with urllib.request.build_opener().open(url, timeout=TIMEOUT_SECONDS) as answer:
                parts = []
                for part in _parts(answer):
                    parts.append(part)
                    got += len(part)
                    received(len(part))
                return b"".join(parts)
        except urllib.error.HTTPError as error:
            reason: Exception = error
            error.close()
            if error.code in GONE:
                raise FileGoneError(f"{url} is gone from the server") from error
        except (OSError, EOFError, http.client.HTTPException) as error:
            reason = error
        received(-got)
        if attempt < ATTEMPTS:
            time.sleep(2 ** (attempt - 1))
    raise DownloadError(
        f"cannot fetch {url}: {reason}. Check the network (HTTPS_PROXY, SSL_CERT_FILE) and try again"
    )


def _parts(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield a body in parts. Raises EOFError when it breaks off, which looks like its end."""
    got = 0
    while part := answer.read(CHUNK_BYTES):
        got += len(part)
        yield part
    whole = answer.headers.get("Content-Length")
    if whole is not None and got != int(whole):
        raise EOFError(f"it broke off after {got} of {whole} bytes")
