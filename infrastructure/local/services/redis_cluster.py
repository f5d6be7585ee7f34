"""A Redis cluster on loopback, three masters with a replica each, for tests of cluster clients.

The nodes get their `nodes.conf` before they start, so the cluster is there as soon as they are: no
meeting, no voting.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infrastructure.local.ports import LOOPBACK, choose_port, is_free
from infrastructure.local.processes import Process
from infrastructure.local.services.programs import Programs
from infrastructure.local.services.redis import quoted
from infrastructure.local.services.service import POLL_SECONDS, READY_SECONDS, ServiceError
from infrastructure.local.state import write_text

MASTERS = 3
SLOTS = 16384
BUS_OFFSET = 10_000
STOP_SECONDS = 10.0

CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
masterauth {password}
dir {folder}
save ""
appendonly no
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 1500
cluster-require-full-coverage yes
# The first copy to a replica would wait five seconds for more replicas.
repl-diskless-sync-delay 0
# Under pressure the least recently used keys that may expire go first, as on AWS.
maxmemory 8gb
maxmemory-policy volatile-lru
daemonize no
logfile ""
set-proc-title no
"""


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """One node. `master` is the number of the master it copies, None for a master."""

    number: int
    port: int
    master: int | None

    @property
    def id(self) -> str:
        """Return the node's name in the cluster: 40 hexadecimal digits."""
        return hashlib.sha1(f"datapunk {self.number}".encode(), usedforsecurity=False).hexdigest()

    def line(self, *, myself: bool, nodes: list[ClusterNode]) -> str:
        """Return the node's line in a `nodes.conf`."""
        role = "master" if self.master is None else "slave"
        flags = f"myself,{role}" if myself else role
        master = "-" if self.master is None else nodes[self.master].id
        epoch = (self.number if self.master is None else self.master) + 1
        address = f"{LOOPBACK}:{self.port}@{self.port + BUS_OFFSET}"
        line = f"{self.id} {address} {flags} {master} 0 0 {epoch} connected"
        if self.master is not None:
            return line
        first, end = (SLOTS * place // MASTERS for place in (self.number, self.number + 1))
        return f"{line} {first}-{end - 1}"


class RedisCluster:
    """Three masters and three replicas below `folder`, without persistence.

    `folder` names the instance: it must be an own one.
    """

    def __init__(self, programs: Programs, folder: Path, *, password: str) -> None:
        self._programs = programs
        self._folder = folder.resolve()
        self._password = password
        self._nodes = self._choose_nodes()

    def _choose_nodes(self) -> list[ClusterNode]:
        taken: set[int] = set()
        nodes = []
        for number in range(2 * MASTERS):
            master = None if number < MASTERS else number - MASTERS
            while True:
                port = choose_port(None, taken=taken, seed=f"{self._folder}:{number}")
                taken.add(port)
                if is_free(port + BUS_OFFSET):
                    break
            nodes.append(ClusterNode(number, port, master))
        return nodes

    @property
    def nodes(self) -> list[ClusterNode]:
        """The nodes, masters first."""
        return list(self._nodes)

    @property
    def url(self) -> str:
        """URL of the first node: a cluster client finds the others from any."""
        return self.node_url(self._nodes[0])

    def node_url(self, node: ClusterNode) -> str:
        """Return the URL of one node."""
        return f"redis://:{self._password}@{LOOPBACK}:{node.port}/0"

    def start(self) -> None:
        """Start all nodes, empty."""
        for node in self._nodes:
            folder = self._node_folder(node)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            lines = [each.line(myself=each is node, nodes=self._nodes) for each in self._nodes]
            lines.append(f"vars currentEpoch {MASTERS} lastVoteEpoch 0")
            write_text(folder / "nodes.conf", "\n".join(lines) + "\n")
            content = CONFIGURATION.format(
                host=LOOPBACK,
                port=node.port,
                password=quoted(self._password),
                folder=quoted(folder),
            )
            write_text(folder / "redis.conf", content)
            self.process(node).start()

    def wait_ready(self, timeout: float) -> None:
        """Wait until every node sees the whole cluster and every replica follows its master.

        Raises ServiceError after `timeout` seconds.
        """
        give_up = time.monotonic() + timeout
        waiting = list(self._nodes)
        while waiting := [node for node in waiting if not self._joined(node)]:
            first = self.process(waiting[0])
            if time.monotonic() > give_up or first.alive() is None:
                raise ServiceError(
                    f"the Redis cluster did not come up; {first.log} ends with:\n"
                    f"{first.last_words()}"
                )
            time.sleep(POLL_SECONDS)

    def _joined(self, node: ClusterNode) -> bool:
        with redis.Redis.from_url(
            self.node_url(node),
            socket_timeout=READY_SECONDS,
            socket_connect_timeout=READY_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        ) as client:
            try:
                cluster = client.execute_command("CLUSTER INFO")
                replication = client.info("replication")
            except (redis.RedisError, OSError):
                return False
        follows = node.master is None or replication.get("master_link_status") == "up"
        return cluster["cluster_state"] == "ok" and follows

    def stop(self) -> None:
        """Stop all nodes."""
        for node in self._nodes:
            self.process(node).stop(STOP_SECONDS)

    def process(self, node: ClusterNode) -> Process:
        """Return the process of one node, for tests that end it."""
        folder = self._node_folder(node)
        configuration = folder / "redis.conf"
        return Process(
            name=f"redis-cluster-{node.number}",
            argv=(str(self._programs.redis / "redis-server"), str(configuration)),
            env=self._programs.clean_environment(),
            cwd=folder,
            log=folder / "redis.log",
            pid_file=folder / "redis.pid",
            mark=str(configuration),
            program="redis-server",
        )

    def _node_folder(self, node: ClusterNode) -> Path:
        return self._folder / f"node{node.number}"
