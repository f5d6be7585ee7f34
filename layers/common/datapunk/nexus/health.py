"""What the gateway's health depends on besides the services that every module asks."""

from __future__ import annotations

import time

import orjson

from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.health import Check
from datapunk.keyring import key_ring
from datapunk.keyring.rotation import signing_key
from datapunk.nexus.documents import openapi_document
from datapunk.nexus.keys import find_key
from datapunk.settings import settings


def check_gateway() -> None:
    """See that settings are valid and the table of routes can be read.

    Raises ConfigurationError naming what is wrong.
    """
    settings()
    try:
        routes = orjson.loads(openapi_document())["paths"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError("The table of routes cannot be read.") from error
    if not routes:
        raise ConfigurationError("The table of routes is empty.")


def check_tokens() -> None:
    """See that a key signs tokens now, and that whoever verifies them finds it published.

    Raises UnavailableError when not. Nothing is signed: a probe each five seconds would cost money.
    """
    signing = signing_key(key_ring(), time.time())
    if find_key(signing.kid) is None:
        raise UnavailableError("key ring", "The key that signs is not among the published ones.")


GATEWAY = Check("gateway_status", check_gateway)
TOKENS = Check("auth_service", check_tokens)
