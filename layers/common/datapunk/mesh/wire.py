"""What transports have in common: a call on its way, and connections that are kept.

`urllib3` is no part of the common layer: Lambda's runtime has it, for botocore.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from datapunk.errors import DeadlineExceededError, UnavailableError
from datapunk.identity import Caller
from datapunk.mesh.contract import Method

if TYPE_CHECKING:  # imported on first use
    import urllib3

RPC = "rpc"
"""The member that an event has which was sent by invoke; API Gateway's events never have it."""
CONNECT = 1.0
"""Seconds a connection may take to open."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it leaves. `timeout` is in seconds; `address` is what the directory says."""

    method: Method
    address: str
    media_type: str
    content: bytes
    headers: dict[str, str]
    timeout: float
    caller: Caller


class Transport(Protocol):
    """A way to a service."""

    def __call__(self, call: Call) -> bytes:
        """Return the response's message as it came.

        Raises the error the callee raised, NotServedError when it does not speak so, UnavailableError when
        nobody answers, DeadlineExceededError when no answer comes in time.
        """


class NotServedError(Exception):
    """The service does not answer in this way; nothing of the call was done."""


def post(url: str, content: bytes, headers: dict[str, str], timeout: float, service: str) -> Any:
    """Send a request and return the answer (`urllib3.HTTPResponse`), with its body read.

    Raises DeadlineExceededError when it takes longer than `timeout` seconds, UnavailableError when nobody
    answers.
    """
    import urllib3

    try:
        return _pool().request(
            "POST",
            url,
            body=content,
            headers=headers,
            timeout=urllib3.Timeout(connect=min(CONNECT, timeout), read=timeout),
            retries=False,
            redirect=False,
        )
    except urllib3.exceptions.ReadTimeoutError as error:
        raise DeadlineExceededError(f"{service} did not answer in time.") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(service) from error


def forget() -> None:
    """Close every connection."""
    _pool().clear()


@cache
def _pool() -> urllib3.PoolManager:
    import urllib3

    return urllib3.PoolManager(maxsize=4)
