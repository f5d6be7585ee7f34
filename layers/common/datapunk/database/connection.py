"""The one connection of this environment: opened on first use, checked on use, of bounded age.

A Lambda environment is frozen between invocations: a socket that died meanwhile still looks alive, and a
server that hangs would hold a request until it is killed. So an idle connection is asked, with a time
limit, before it is used again.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass

import psycopg
from psycopg import pq

from datapunk.context import WorkContext, current
from datapunk.database.failures import DEPENDENCY, translate
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.settings import reload_if_referenced, settings

CONNECT_TIMEOUT = 2
MAX_AGE = 900.0
_IDLE_BEFORE_CHECK = 1.0
_CHECK_TIMEOUT = 0.8


@dataclass(slots=True)
class _Pooled:
    connection: psycopg.Connection
    url: str
    opened: float
    used: float


_pooled: list[_Pooled] = []
"""Empty or one entry: what this environment holds open."""
_waited_in_vain: list[WorkContext] = []
"""Empty or one entry: the work that has waited for a server that hangs. It does not wait again."""


def connect(url: str, *, application: str = "datapunk") -> psycopg.Connection:
    """Open a connection in autocommit mode. Raises UnavailableError when nothing answers in 2 s."""
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT,
            application_name=application,
            keepalives_idle=30,
            tcp_user_timeout=10_000,
            # RDS Proxy pins a client that prepares statements, and would then share nothing.
            prepare_threshold=None,
        )
    except psycopg.ProgrammingError as error:
        raise ConfigurationError("DATABASE_URL is not a PostgreSQL URL.") from error
    except psycopg.Error as error:
        raise translate(error) from error


def acquire() -> psycopg.Connection:
    """Return this environment's connection, a fresh one where the old one is dead or too old."""
    url = settings().database()
    now = time.monotonic()
    if _pooled:
        held = _pooled[0]
        idle = now - held.used
        usable = (
            held.url == url
            and not held.connection.closed
            and now - held.opened < MAX_AGE
            and held.connection.info.transaction_status == pq.TransactionStatus.IDLE
            and (idle < _IDLE_BEFORE_CHECK or _answers(held.connection))
        )
        if usable:
            held.used = now
            return held.connection
        discard()
    work = current()
    if work is not None and work in _waited_in_vain:
        raise UnavailableError(DEPENDENCY)
    _waited_in_vain.clear()
    try:
        connection = connect(url)
    except UnavailableError as error:
        if work is not None and isinstance(error.__cause__, psycopg.errors.ConnectionTimeout):
            _waited_in_vain.append(work)
        if not reload_if_referenced("database_url", "database_credentials"):
            raise
        url = settings().database()
        connection = connect(url)
    now = time.monotonic()
    _pooled.append(_Pooled(connection, url, now, now))
    return connection


def discard() -> None:
    """Close and forget the connection; the next use opens another."""
    while _pooled:
        try:
            _pooled.pop().connection.close()
        except psycopg.Error:  # closing a dead connection may fail: it is gone either way
            continue


def _answers(connection: psycopg.Connection) -> bool:
    """Ask the server for an empty answer, waiting less than a second for it."""
    raw = connection.pgconn
    try:
        raw.send_query(b"")
        while raw.flush():
            select.select([], [raw.socket], [], _CHECK_TIMEOUT)
        limit = time.monotonic() + _CHECK_TIMEOUT
        while True:
            left = limit - time.monotonic()
            if left <= 0 or not select.select([raw.socket], [], [], left)[0]:
                return False
            raw.consume_input()
            while not raw.is_busy():
                if raw.get_result() is None:
                    return raw.status == pq.ConnStatus.OK
    except (psycopg.Error, OSError):
        return False


def check_database() -> None:
    """Ask the database for an empty answer. Raises UnavailableError when there is none in a second."""
    if not _answers(acquire()):
        discard()
        raise UnavailableError(DEPENDENCY)
