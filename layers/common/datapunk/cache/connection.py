"""Redis: one client per environment, of a single server or of a cluster, whichever the address is.

Keys of one operation must be in one slot of a cluster: put what they share in braces, as in
`session:{<id>}:data`. Texts come back as `str`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.settings import reload_if_referenced, settings

if TYPE_CHECKING:  # imported on first use: a function that needs no Redis does not pay for it
    import redis

DEPENDENCY = "redis"
TIMEOUT = 1.0
"""Seconds that a connection may take to open, and an answer to come."""

_held: dict[str, redis.Redis] = {}
"""Empty or one entry: this environment's client by its URL."""


def client() -> redis.Redis:
    """Return this environment's client, made on first use.

    The server is asked whether it is a cluster; the client of a cluster has the same commands. Use it
    inside of `translated()`. Raises UnavailableError when Redis does not answer, ConfigurationError when
    the address is none of Redis.
    """
    url = settings().redis()
    if url not in _held:
        made = _connect(url)
        forget()
        # Credentials looked up anew while connecting have changed the address.
        _held[settings().redis()] = made
        return made
    return _held[url]


def forget() -> None:
    """Close the client; the next use makes another."""
    while _held:
        _, held = _held.popitem()
        held.close()


@contextmanager
def translated() -> Iterator[None]:
    """Raise UnavailableError in place of any error of the driver in the body.

    Credentials that are refused have been rotated: the next use looks them up anew.
    """
    from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

    try:
        yield
    except (AuthenticationError, NoPermissionError) as error:
        reload_if_referenced("redis_url", "redis_credentials")
        forget()
        raise UnavailableError(DEPENDENCY, "Redis refuses the credentials.") from error
    except (RedisError, OSError) as error:
        raise UnavailableError(DEPENDENCY) from error


def check_cache() -> None:
    """Ask Redis for an answer. Raises UnavailableError when there is none."""
    with translated():
        client().ping()


def _connect(url: str) -> redis.Redis:
    from redis.exceptions import AuthenticationError

    with translated():
        try:
            return _open(url)
        except AuthenticationError:
            if not reload_if_referenced("redis_url", "redis_credentials"):
                raise
            return _open(settings().redis())


def _open(url: str) -> redis.Redis:
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as GoneError
    from redis.retry import Retry

    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        # A connection that died while the environment was frozen is opened anew, once; a server that
        # does not answer in time is not asked again.
        "retry": Retry(NoBackoff(), 1, supported_errors=(GoneError,)),
        # Saves three round trips of each new connection.
        "protocol": 2,
        "driver_info": None,
    }
    try:
        single = redis.Redis.from_url(url, **options)
    except ValueError as error:
        raise ConfigurationError("REDIS_URL is not a Redis URL.") from error
    try:
        is_cluster = single.info("cluster").get("cluster_enabled")
    except BaseException:
        single.close()
        raise
    if not is_cluster:
        return single
    single.close()
    return cast("redis.Redis", redis.RedisCluster.from_url(url, **options))
