"""Clients of the control plane: one session, dummy credentials, nothing of the user's own AWS setup."""

from __future__ import annotations

from functools import cache
from typing import Any

REGION = "us-east-1"
ACCOUNT = "000000000000"
ACCESS_KEY = "test"
SECRET_KEY = "test"  # noqa: S105 - the emulators' conventional dummy, not a secret


@cache
def _loader() -> Any:
    """Return what reads botocore's descriptions of AWS, which takes longer than asking AWS."""
    from botocore.loaders import create_loader

    return create_loader()


def session(region: str, access_key: str, secret_key: str) -> Any:
    """Return a session of boto3's; all that a process makes read what AWS is like once."""
    import boto3
    import botocore.session

    core = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    return boto3.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=region,
        botocore_session=core,
    )


class Clients:
    """Clients of one endpoint, each made on first use and from the same session.

    Nothing is taken from the environment or from `~/.aws`: a profile there must never send these calls
    to a real account.
    """

    def __init__(self, aws_endpoint: str) -> None:
        self.endpoint = aws_endpoint
        self._session = session(REGION, ACCESS_KEY, SECRET_KEY)
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """Return the client of the service, `s3` or `cloudformation` for instance."""
        from botocore.config import Config

        if service not in self._clients:
            config = Config(
                connect_timeout=3,
                read_timeout=60,
                retries={"max_attempts": 2, "mode": "standard"},
                s3={"addressing_style": "path"},
            )
            self._clients[service] = self._session.client(
                service, endpoint_url=self.endpoint, config=config
            )
        return self._clients[service]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Return the items of all pages of a paginated operation."""
        paginator = self(service).get_paginator(operation)
        return [item for page in paginator.paginate(**arguments) for item in page.get(key, [])]
