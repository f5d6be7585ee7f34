"""Throw-away PostgreSQL, Redis and RabbitMQ, and one test's own place in them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pika
import psycopg
from datapunk.broker import topology
from datapunk.database.migrations import migrate
from datapunk.stream.subscriptions import SUBSCRIPTIONS
from psycopg import sql

from infrastructure.local.paths import Paths, default_paths
from infrastructure.local.processes import command_line, running_processes
from infrastructure.local.progress import Progress
from infrastructure.local.services import local_services, start_services, stop_services
from infrastructure.local.services.postgres import Postgres
from infrastructure.local.services.service import Service

TEMPLATE = "migrated"
GEO_TEMPLATE = "migrated_with_postgis"
# Replica mode runs no triggers: the audit trail would refuse to be emptied.
EMPTY = """
SET session_replication_role = replica;
DO $$
DECLARE
    found record;
    filled boolean;
BEGIN
    FOR found IN
        SELECT schemaname AS place, format('%I.%I', schemaname, tablename) AS name
        FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
          AND tablename <> 'datapunk_migrations'
    LOOP
        IF found.place IN ('lake_data', 'public') THEN
            EXECUTE 'DROP TABLE IF EXISTS ' || found.name || ' CASCADE';
        ELSE
            EXECUTE 'SELECT EXISTS (SELECT FROM ' || found.name || ')' INTO filled;
            IF filled THEN
                EXECUTE 'DELETE FROM ' || found.name;
            END IF;
        END IF;
    END LOOP;
END
$$;
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences
WHERE last_value IS NOT NULL;
INSERT INTO nexus.tenants (id, name) VALUES ('public', 'Public')
"""
"""Leaves schema and rows as the migrations made them, in a small part of the time that a new database takes.

Few tables have rows after a test: to empty those alone takes a tenth of the time that truncating all does.
"""
OWNER = "datapunk"
Found = TypeVar("Found")


def eventually(look: Callable[[], Found], *, seconds: float = 15.0) -> Found:
    """Return what `look` finds as soon as it finds something."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, f"nothing found within {seconds:g} s"
        time.sleep(0.02)
    return found


@dataclass
class Instance:
    """The three services in a folder of their own."""

    state: Path
    spare: list[str] = field(default_factory=list)
    """URLs of databases that nobody uses and that are empty again."""
    _topology: Any = None
    """What a virtual host has, as the management API tells and takes it."""
    _dropping: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @property
    def services(self) -> list[Service]:
        paths = Paths(state=self.state, programs=default_paths().programs)
        # Whoever has URLs of real servers in the environment does not want tests to write there.
        return local_services(paths, {})

    def service(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)

    def up(self) -> None:
        with Progress() as progress:
            start_services(self.services, progress)

    def down(self) -> None:
        self._dropping.shutdown()
        with Progress() as progress:
            stop_services(self.services, progress)

    def url(self, name: str) -> str:
        urls = {k: v for service in self.services for k, v in service.endpoints().items()}
        return urls[name]

    @property
    def superuser_url(self) -> str:
        postgres = self.service("postgres")
        assert isinstance(postgres, Postgres)
        return postgres.superuser_url

    def start(self, name: str) -> None:
        service = self.service(name)
        service.start()
        service.wait_ready(90)

    def stop(self, name: str) -> None:
        self.service(name).stop()

    @contextlib.contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Stop services for the body and start them again, whatever happens."""
        try:
            for name in names:
                self.stop(name)
            yield
        finally:
            for name in names:
                self.start(name)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a server's processes in their tracks: the kernel goes on accepting for them."""
        pid = self.service(name).status().pid
        assert pid is not None
        family = [pid, *_children(pid)]
        try:
            for member in family:
                os.kill(member, signal.SIGSTOP)
            yield
        finally:
            for member in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, signal.SIGCONT)

    def prepare(self) -> None:
        """Make the database that others are copied from."""
        with psycopg.connect(self.superuser_url, autocommit=True) as server:
            # Nothing here need survive a power failure: databases are copied twice as fast.
            server.execute("ALTER SYSTEM SET fsync = off")
            server.execute("SELECT pg_reload_conf()")
            # What only a superuser can give: the platform's database has it before it is migrated.
            with psycopg.connect(
                with_path(self.superuser_url, "template1"), autocommit=True
            ) as first:
                first.execute("CREATE EXTENSION IF NOT EXISTS vector")
            self._create(server, TEMPLATE, "template1")
        migrate(with_path(self.url("database"), TEMPLATE))

    def geo_template(self) -> str:
        """Return the name of a migrated database with PostGIS, which is made the first time."""
        with psycopg.connect(self.superuser_url, autocommit=True) as server:
            found = server.execute("SELECT FROM pg_database WHERE datname = %s", (GEO_TEMPLATE,))
            if found.fetchone() is None:
                self._create(server, GEO_TEMPLATE, TEMPLATE)
                place = with_path(self.superuser_url, GEO_TEMPLATE)
                with psycopg.connect(place, autocommit=True) as database:
                    database.execute("CREATE EXTENSION postgis")
        return GEO_TEMPLATE

    def new_database(self, template: str = TEMPLATE) -> str:
        """Create a database of one's own and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.superuser_url, autocommit=True) as server:
            self._create(server, name, template)
        return with_path(self.url("database"), name)

    def borrow_database(self) -> str:
        """Return the URL of a migrated database without rows, which is to be given back."""
        return self.spare.pop() if self.spare else self.new_database()

    def give_back_database(self, url: str) -> None:
        """Empty a database for the next one."""
        name = urlsplit(url).path.lstrip("/")
        with psycopg.connect(self.superuser_url, dbname=name, autocommit=True) as database:
            database.execute(EMPTY)
        self.spare.append(url)

    def drop_database(self, url: str) -> None:
        name = sql.Identifier(urlsplit(url).path.lstrip("/"))
        with psycopg.connect(self.superuser_url, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def _create(self, server: psycopg.Connection, name: str, template: str) -> None:
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        server.execute(statement.format(*map(sql.Identifier, (name, OWNER, template))))

    def new_virtual_host(self, *, empty: bool = False) -> str:
        """Create a virtual host of one's own with the platform's topology, and return its AMQP URL.

        The first one is declared as the platform does it; the others get the same, all at once.
        """
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.management("PUT", f"/api/vhosts/{name}")
        user = urlsplit(self.url("amqp")).username
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.management("PUT", f"/api/permissions/{name}/{user}", everything)
        url = with_path(self.url("amqp"), name)
        if empty:
            return url
        if self._topology is None:
            Broker(url).declare()
            self._topology = self.management("GET", f"/api/definitions/{name}")
        else:
            self.management("POST", f"/api/definitions/{name}", self._topology)
        return url

    def drop_virtual_host(self, url: str) -> None:
        """Have a virtual host dropped; nobody waits for it."""
        self._dropping.submit(self.management, "DELETE", f"/api/vhosts{urlsplit(url).path}")

    def management(self, method: str, path: str, document: Any = None) -> Any:
        """Ask RabbitMQ's management API."""
        parts = urlsplit(self.url("amqp_management"))
        credentials = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{parts.hostname}:{parts.port}{path}",
            method=method,
            data=json.dumps(document).encode() if document is not None else None,
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            content = response.read()
        return json.loads(content) if content else None


def with_path(url: str, path: str) -> str:
    """Return the URL with another database or virtual host."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def _children(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`."""
    found = []
    for other, _ in running_processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == pid and command_line(other):
                found.append(other)
    return found


@dataclass(frozen=True)
class Broker:
    """One test's own virtual host."""

    url: str

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            opened = connection.channel()
            opened.confirm_delivery()
            yield opened
        finally:
            connection.close()

    def declare(self, *more: topology.Subscription) -> None:
        """Declare the platform's exchanges and queues, and more of them."""
        with self.channel() as channel:
            topology.declare(channel, [*SUBSCRIPTIONS, *more])

    def take(self, queue: str) -> list[tuple[Any, bytes]]:
        """Take every message that waits in a queue: properties and body."""
        found: list[tuple[Any, bytes]] = []
        with self.channel() as channel:
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return found
                found.append((properties, body))

    def count(self, queue: str) -> int:
        with self.channel() as channel:
            declared = channel.queue_declare(queue, passive=True)
            return int(declared.method.message_count)
