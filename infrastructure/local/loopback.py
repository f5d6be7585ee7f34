"""HTTP to servers of this machine."""

from __future__ import annotations

import http.client
import urllib.request
from typing import cast


def open_url(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """Send a request to a server on this machine; as `urlopen`, but never by way of a proxy.

    `timeout` is in seconds. Raises OSError when nothing answers, HTTPError for an error status.
    """
    # A proxy named in the user's environment leads away from here.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return cast("http.client.HTTPResponse", opener.open(request, timeout=timeout))
