"""Whether a server answers in its own protocol. A port that accepts connections is not ready.

Each question takes at most `READY_SECONDS`, also when the server's process is stopped and only the
kernel accepts for it.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus

import pika
import psycopg
import redis
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError
from redis.backoff import NoBackoff
from redis.retry import Retry

from infrastructure.local.services.service import READY_SECONDS

STOPPED_SERVER_TIMEOUT = int(READY_SECONDS)


def postgres_ready(url: str) -> bool:
    """Tell whether PostgreSQL lets the URL's user into the URL's database."""
    try:
        psycopg.connect(url, connect_timeout=STOPPED_SERVER_TIMEOUT).close()
    except psycopg.OperationalError:
        return False
    return True


def redis_ready(url: str) -> bool:
    """Tell whether Redis accepts the URL's credentials and answers a PING with its data loaded."""
    with contextlib.closing(
        redis.Redis.from_url(
            url,
            socket_timeout=READY_SECONDS,
            socket_connect_timeout=READY_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
    ) as client:
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False


def amqp_ready(url: str) -> bool:
    """Tell whether RabbitMQ opens a connection to the URL's virtual host for the URL's user."""
    parameters = pika.URLParameters(url)
    parameters.connection_attempts = 1
    parameters.socket_timeout = READY_SECONDS
    parameters.stack_timeout = READY_SECONDS
    parameters.blocked_connection_timeout = READY_SECONDS
    with _quiet("pika"):
        try:
            pika.BlockingConnection(parameters).close()
        except (AMQPError, AMQPConnectorException, OSError):
            return False
    return True


def management_ready(url: str) -> bool:
    """Tell whether RabbitMQ's management API knows the URL's user."""
    parts = urllib.parse.urlsplit(url)
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="/api/whoami", query="")
    user = urllib.parse.unquote(parts.username or "")
    secret = urllib.parse.unquote(parts.password or "")
    credentials = base64.b64encode(f"{user}:{secret}".encode()).decode()
    request = urllib.request.Request(
        place.geturl(), headers={"Authorization": f"Basic {credentials}"}
    )
    # A proxy of the user's environment has no business with a broker on loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=READY_SECONDS) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library from logging the refusals that are the expected answer of a starting server."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
