"""A private Redis: one data folder, one port on loopback, a random password."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infrastructure.local.paths import Paths
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.processes import Process
from infrastructure.local.services.programs import Programs, require_programs
from infrastructure.local.services.readiness import redis_ready
from infrastructure.local.services.service import (
    ServiceStatus,
    process_status,
    wait_until_ready,
)
from infrastructure.local.state import State, write_text

STOP_SECONDS = 10.0

CONFIGURATION = """\
# Written at each start; change infrastructure/local/services/redis.py instead.
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
# Under pressure the least recently used keys that may expire go first, as on AWS.
maxmemory 8gb
maxmemory-policy volatile-lru
daemonize no
logfile ""
# The launcher recognises its server by this file's path in the command line.
set-proc-title no
"""


def quoted(value: Path | str) -> str:
    """Return a value as Redis' configuration reads it, whatever characters are in it."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Redis:
    """The private Redis of an instance. It keeps its data in an append-only file."""

    name = "redis"

    def __init__(self, paths: Paths, environment: Mapping[str, str]) -> None:
        self._paths = paths
        self._environment = environment
        self._state = State(paths)

    def endpoints(self) -> dict[str, str]:
        """Return the URL of the cache."""
        port = self._state.port(self.name) or 0
        return {"redis": f"redis://:{self._state.password(self.name)}@{LOOPBACK}:{port}/0"}

    def start(self) -> None:
        """Start it unless it runs."""
        if self._process().alive() is not None:
            return
        programs = require_programs(self._paths, self._environment)
        self._paths.create()
        folder = self._paths.data.resolve() / self.name
        folder.mkdir(mode=0o700, exist_ok=True)
        content = CONFIGURATION.format(
            host=LOOPBACK,
            port=self._state.claim_port(self.name),
            password=quoted(self._state.password(self.name)),
            folder=quoted(folder),
        )
        write_text(self._configuration, content)
        self._process(programs).start()

    def ready(self) -> bool:
        """Tell whether it answers a PING."""
        return redis_ready(self.endpoints()["redis"])

    def wait_ready(self, timeout: float) -> None:
        """Wait until it has loaded its data."""
        wait_until_ready(self.name, self.ready, self._process(), timeout, self.start)

    def stop(self) -> None:
        """Stop it after a last write of its data."""
        self._process().stop(STOP_SECONDS)

    def status(self) -> ServiceStatus:
        """Return how it is now."""
        return process_status(self, self._process(), f"{LOOPBACK}:{self._state.port(self.name)}")

    @property
    def _configuration(self) -> Path:
        return self._paths.run.resolve() / "redis.conf"

    def _process(self, programs: Programs | None = None) -> Process:
        folder = Path() if programs is None else programs.redis
        return Process(
            name=self.name,
            argv=(str(folder / "redis-server"), str(self._configuration)),
            env={} if programs is None else programs.clean_environment(),
            cwd=self._paths.run,
            log=self._paths.logs / "redis.log",
            pid_file=self._paths.run / "redis.pid",
            mark=str(self._configuration),
            program="redis-server",
        )
