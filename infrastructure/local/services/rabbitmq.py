"""A private RabbitMQ node with its management API, on loopback, and the port mapper it needs.

The node is stopped by SIGTERM first, always: a quorum queue that was declared less than a second
before a hard kill is broken for good, confirmed messages included.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from infrastructure.local.paths import Paths
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.processes import Process
from infrastructure.local.services.programs import Programs, require_programs
from infrastructure.local.services.readiness import amqp_ready, management_ready
from infrastructure.local.services.service import (
    POLL_SECONDS,
    ServiceError,
    ServiceStatus,
    process_status,
    wait_until_ready,
)
from infrastructure.local.state import State, write_text

USER = "datapunk"
NODE = "datapunk@localhost"
STOP_SECONDS = 30.0
EPMD_SECONDS = 5.0
LIKENESS = Path(__file__).with_name("amazon_mq.conf")
PLUGINS = Path(__file__).with_name("rabbitmq_plugins.txt")
PORTS = ("amqp", "amqp_management", "erlang_distribution", "epmd")

CONFIGURATION = """\
# Written at each start; change infrastructure/local/services/rabbitmq.py instead.
listeners.tcp.1 = {host}:{amqp}
management.tcp.ip = {host}
management.tcp.port = {management}
default_user = {user}
default_pass = {password}
log.console = true
log.console.level = info
log.console.use_colors = off
log.connection.level = warning
log.file = false
# The defaults are shares of the machine and block publishers on a full laptop.
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
raft.wal_max_size_bytes = 33554432
"""


class RabbitMQ:
    """The private RabbitMQ node of an instance."""

    name = "rabbitmq"

    def __init__(self, paths: Paths, environment: Mapping[str, str]) -> None:
        self._paths = paths
        self._environment = environment
        self._state = State(paths)
        self._data = paths.data.resolve() / self.name
        self._born = self._data / "born"
        """Exists once the node has been ready: before, it may lack its user and is made anew."""

    def endpoints(self) -> dict[str, str]:
        """Return the URLs of the broker and of its management API."""
        account = f"{USER}:{self._state.password(self.name)}@{LOOPBACK}"
        amqp, management = (self._state.port(name) or 0 for name in PORTS[:2])
        return {
            "amqp": f"amqp://{account}:{amqp}/%2F",
            "amqp_management": f"http://{account}:{management}",
        }

    def start(self) -> None:
        """Start the port mapper and the node unless they run."""
        if self._process().alive() is not None:
            return
        programs = require_programs(self._paths, self._environment)
        self._paths.create()
        # One of an earlier run would hold its port, and every crash would leave one more.
        self._mapper().stop()
        if not self._born.exists():
            shutil.rmtree(self._data, ignore_errors=True)
        home = self._data / "home"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        ports = {name: self._state.claim_port(name) for name in PORTS}
        self._write_configuration(home, ports)
        self._start_mapper(programs, ports["epmd"])
        self._process(programs, ports).start()

    def ready(self) -> bool:
        """Tell whether broker and management API let our user in."""
        urls = self.endpoints()
        return management_ready(urls["amqp_management"]) and amqp_ready(urls["amqp"])

    def wait_ready(self, timeout: float) -> None:
        """Wait until the node has booted."""
        wait_until_ready(self.name, self.ready, self._process(), timeout, self.start)
        self._born.touch()

    def stop(self) -> None:
        """Stop the node cleanly, then its port mapper."""
        self._process().stop(STOP_SECONDS)
        self._mapper().stop()

    def status(self) -> ServiceStatus:
        """Return how the node is now."""
        return process_status(self, self._process(), f"{LOOPBACK}:{self._state.port('amqp')}")

    def _write_configuration(self, home: Path, ports: Mapping[str, int]) -> None:
        cookie = home / ".erlang.cookie"
        write_text(cookie, self._state.password("erlang_cookie"), mode=0o400)
        content = CONFIGURATION.format(
            host=LOOPBACK,
            amqp=ports["amqp"],
            management=ports["amqp_management"],
            user=USER,
            password=self._state.password(self.name),
        )
        write_text(self._configuration, content + LIKENESS.read_text(encoding="utf-8"))
        write_text(self._plugins, PLUGINS.read_text(encoding="utf-8"))

    @property
    def _configuration(self) -> Path:
        return self._paths.run.resolve() / "rabbitmq.conf"

    @property
    def _plugins(self) -> Path:
        return self._paths.run.resolve() / "rabbitmq_plugins"

    @property
    def _mapper_program(self) -> Path:
        """The port mapper has no argument that could mark it, so it runs by a name of ours."""
        return self._paths.run.resolve() / "epmd"

    def _start_mapper(self, programs: Programs, port: int) -> None:
        """Run our own in the foreground: one that Erlang starts would outlive the node."""
        beside = self._mapper_program.with_name(f"epmd.{os.getpid()}")
        beside.unlink(missing_ok=True)
        beside.symlink_to(programs.epmd)
        beside.replace(self._mapper_program)
        mapper = self._mapper(programs, port)
        mapper.start()
        give_up = time.monotonic() + EPMD_SECONDS
        while True:
            with socket.socket() as probe:
                probe.settimeout(EPMD_SECONDS)
                if probe.connect_ex((LOOPBACK, port)) == 0:
                    return
            if time.monotonic() > give_up:
                raise ServiceError(f"epmd did not start: {mapper.last_words()}")
            time.sleep(POLL_SECONDS)

    def _mapper(self, programs: Programs | None = None, port: int = 0) -> Process:
        return Process(
            name="epmd",
            argv=(str(self._mapper_program), "-address", LOOPBACK, "-port", str(port)),
            env={} if programs is None else programs.clean_environment(),
            cwd=self._paths.run,
            log=self._paths.logs / "epmd.log",
            pid_file=self._paths.run / "epmd.pid",
            mark=str(self._mapper_program),
            program="epmd",
        )

    def _process(
        self, programs: Programs | None = None, ports: Mapping[str, int] | None = None
    ) -> Process:
        """Describe the node; without `programs` only well enough to find and stop it."""
        mark = str(self._data)
        folder = Path() if programs is None else programs.rabbitmq
        env = {} if programs is None else self._node_environment(programs, ports or {})
        return Process(
            name=self.name,
            # Erlang keeps flags it does not know in its command line: this one is our mark.
            argv=(str(folder / "rabbitmq-server"), "-datapunk_instance", mark),
            env=env,
            cwd=self._paths.run,
            log=self._paths.logs / "rabbitmq.log",
            pid_file=self._paths.run / "rabbitmq.pid",
            mark=mark,
            program="beam.smp",
        )

    def _node_environment(self, programs: Programs, ports: Mapping[str, int]) -> dict[str, str]:
        absent = self._paths.run.resolve() / "absent"  # else files of the system would be read
        return {
            **programs.clean_environment(),
            "LC_ALL": "C.UTF-8",
            "HOME": str(self._data / "home"),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_MNESIA_BASE": str(self._data / "node"),
            "RABBITMQ_LOG_BASE": str(self._paths.logs.resolve()),
            "RABBITMQ_CONFIG_FILE": str(self._configuration),
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{absent}.config",
            "RABBITMQ_CONF_ENV_FILE": f"{absent}-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._plugins),
            "RABBITMQ_DIST_PORT": str(ports["erlang_distribution"]),
            # The start script then becomes the node, so that signals reach the node itself.
            "RUNNING_UNDER_SYSTEMD": "1",
            "ERL_EPMD_PORT": str(ports["epmd"]),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_CRASH_DUMP": str(self._paths.logs.resolve() / "rabbitmq-crash.dump"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +A 8"
            ),
        }
