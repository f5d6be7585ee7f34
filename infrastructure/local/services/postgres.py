"""A private PostgreSQL: one data folder, one port on loopback, random passwords."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from infrastructure.local.paths import Paths
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.processes import Process, running_processes
from infrastructure.local.services.account import choose_account
from infrastructure.local.services.programs import Programs, require_programs
from infrastructure.local.services.provision import DATABASE, ROLE, admits_superuser, provision
from infrastructure.local.services.readiness import postgres_ready
from infrastructure.local.services.service import (
    POLL_SECONDS,
    READY_SECONDS,
    ServiceError,
    ServiceStatus,
    process_status,
    wait_until_ready,
)
from infrastructure.local.state import State, write_text

SUPERUSER = "postgres"
INITDB_SECONDS = 120.0
STOP_SECONDS = 20.0
ORPHAN_SECONDS = 5.0
IMPOSSIBLE_PID = 4_194_305
"""Above the highest pid that Linux gives."""
ZONEINFO = Path("/usr/share/zoneinfo")

CONFIGURATION = """\
# Written at each start; change infrastructure/local/services/postgres.py instead.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
hba_file = '{hba}'
cluster_name = '{cluster}'
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '128MB'
wal_level = logical
max_replication_slots = 20
max_wal_senders = 20
# An abandoned change-capture slot must not fill the disk.
max_slot_wal_keep_size = '2GB'
jit = off
timezone = '{timezone}'
log_timezone = '{timezone}'
log_line_prefix = '%m [%p] %u@%d '
lc_messages = 'C'
"""
ACCESS = """\
# TYPE  DATABASE     USER  ADDRESS        METHOD
host    all          all   127.0.0.1/32   scram-sha-256
host    replication  all   127.0.0.1/32   scram-sha-256
"""


class Postgres:
    """The private PostgreSQL of an instance, with pgvector, and PostGIS when asked for."""

    name = "postgres"

    def __init__(self, paths: Paths, environment: Mapping[str, str]) -> None:
        self._paths = paths
        self._environment = environment
        self._state = State(paths)
        self._data = paths.data / self.name
        instance = str(paths.state.resolve())
        self._mark = f"datapunk.instance={instance}"
        self._cluster = f"datapunk-{hashlib.sha256(instance.encode()).hexdigest()[:8]}"

    @property
    def superuser_url(self) -> str:
        """URL of the database `postgres` for the superuser; for setting up and for tests."""
        return self._url(SUPERUSER, "postgres")

    def endpoints(self) -> dict[str, str]:
        """Return the platform's URL of the database."""
        return {"database": self._url(ROLE, DATABASE)}

    def _url(self, role: str, database: str) -> str:
        secret = self._state.password(f"postgres.{role}")
        port = self._state.port(self.name) or 0
        return f"postgresql://{role}:{secret}@{LOOPBACK}:{port}/{database}"

    def start(self) -> None:
        """Start it unless it runs; the first time, make its data folder."""
        process = self._process()
        if process.alive() is not None:
            return
        programs = require_programs(self._paths, self._environment)
        self._paths.create()
        account = choose_account(self._state)
        prefix = account.command_prefix()
        if not self._data.exists():
            self._initialise(programs, prefix)
        account.own(self._data)
        self._end_orphans()
        self._disarm_pid_file()
        port = self._state.claim_port(self.name)
        self._write_configuration(port)
        self._process(programs, prefix).start()

    def ready(self) -> bool:
        """Tell whether the platform's user can log in."""
        return postgres_ready(self.endpoints()["database"])

    def wait_ready(self, timeout: float) -> None:
        """Wait for the server, make sure of roles, database and extensions."""
        process = self._process()
        wait_until_ready(
            self.name, lambda: admits_superuser(self.superuser_url), process, timeout, self.start
        )
        postgis = ("postgis",) if self._environment.get("DATAPUNK_POSTGIS") == "1" else ()
        provision(
            self.superuser_url,
            password=self._state.password(f"postgres.{ROLE}"),
            extensions=("vector", *postgis),
        )
        wait_until_ready(self.name, self.ready, process, READY_SECONDS)

    def stop(self) -> None:
        """Stop it: sessions are ended, what is committed is written."""
        self._process().stop(STOP_SECONDS)

    def status(self) -> ServiceStatus:
        """Return how it is now."""
        return process_status(self, self._process(), f"{LOOPBACK}:{self._state.port(self.name)}")

    def _process(self, programs: Programs | None = None, prefix: tuple[str, ...] = ()) -> Process:
        """Describe the server; without `programs` only well enough to find and stop it."""
        folder = Path() if programs is None else programs.postgres
        return Process(
            name=self.name,
            argv=(
                *prefix,
                str(folder / "postgres"),
                "-D",
                str(self._data),
                "-c",
                f"config_file={self._configuration}",
                "-c",
                self._mark,
            ),
            env={} if programs is None else self._server_environment(programs),
            cwd=self._paths.run,
            log=self._paths.logs / "postgres.log",
            pid_file=self._paths.run / "postgres.pid",
            mark=self._mark,
            program="postgres",
            # A "fast" shutdown: SIGTERM would wait until every client has left.
            stop_signal=signal.SIGINT,
        )

    @property
    def _configuration(self) -> Path:
        return self._paths.run.resolve() / "postgresql.conf"

    def _server_environment(self, programs: Programs) -> dict[str, str]:
        return {**programs.clean_environment(), "LC_ALL": "C"}

    def _write_configuration(self, port: int) -> None:
        hba = self._configuration.with_name("pg_hba.conf")
        write_text(hba, ACCESS)
        content = CONFIGURATION.format(
            host=LOOPBACK,
            port=port,
            hba=str(hba).replace("'", "''"),
            cluster=self._cluster,
            # A machine without time zone data knows GMT only.
            timezone="UTC" if (ZONEINFO / "UTC").exists() else "GMT",
        )
        write_text(self._configuration, content)

    def _initialise(self, programs: Programs, prefix: tuple[str, ...]) -> None:
        """Make the data folder beside its place, so that an interruption leaves none that counts."""
        for leftover in self._paths.data.glob(f"{self.name}.init*"):
            shutil.rmtree(leftover, ignore_errors=True)
        beside = self._data.with_name(f"{self.name}.init{os.getpid()}")
        beside.mkdir(mode=0o700)
        choose_account(self._state).own(beside)
        with self._password_file() as password_file:
            answer = subprocess.run(
                [
                    *prefix,
                    str(programs.postgres / "initdb"),
                    f"--pgdata={beside}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--no-instructions",
                ],
                env=self._server_environment(programs),
                cwd=self._paths.run,
                capture_output=True,
                text=True,
                check=False,
                timeout=INITDB_SECONDS,
            )
        if answer.returncode:
            raise ServiceError(f"initdb failed: {answer.stderr.strip() or answer.stdout.strip()}")
        beside.rename(self._data)

    @contextlib.contextmanager
    def _password_file(self) -> Iterator[Path]:
        file = self._paths.run / f"postgres.password{os.getpid()}"
        write_text(file, self._state.password(f"postgres.{SUPERUSER}"))
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _disarm_pid_file(self) -> None:
        """Make PostgreSQL's own stale pid file harmless. Call it only when the server is down.

        It believes any live process of that pid, zombies and strangers too. The file stays, for
        its other lines let the server look for backends that still use its shared memory.
        """
        file = self._data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):
            _, newline, rest = file.read_text(encoding="utf-8").partition("\n")
            owner = file.stat()
            write_text(file, f"{IMPOSSIBLE_PID}{newline}{rest}")
            if os.geteuid() == 0:
                os.chown(file, owner.st_uid, owner.st_gid)

    def _end_orphans(self) -> None:
        """End sessions that outlived a killed server: a new one would refuse to start beside them.

        They are recognised by the instance's cluster name in their process title.
        """
        title = f"postgres: {self._cluster}: "
        give_up = time.monotonic() + ORPHAN_SECONDS
        number = signal.SIGQUIT
        while orphans := [pid for pid, line in running_processes() if line[0].startswith(title)]:
            if time.monotonic() > give_up:
                number = signal.SIGKILL
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(POLL_SECONDS)
