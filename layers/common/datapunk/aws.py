"""Clients of AWS' services that only some operations need: made on first use, patient for a bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from datapunk.errors import UnavailableError

STORE = "s3"


@cache
def client_of(service: str) -> Any:
    """Return this environment's client of a service, as boto3 names it."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=2,
        read_timeout=20,
        retries={"total_max_attempts": 3},
        # Of its own accord boto3 signs links to objects in a way that S3 refuses for encrypted ones.
        signature_version="s3v4" if service == STORE else None,
        # A link to put an object at shall ask for no checksum that a plain PUT does not send.
        request_checksum_calculation="when_required",
    )
    return boto3.client(service, config=config)


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Have what a client raises in the body leave it as UnavailableError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(service) from error
