"""Servers of others beside ours: each a process of its own on a free port, ended with the benchmark."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from infrastructure.local.ports import choose_port
from infrastructure.local.services.service import READY_SECONDS

MOST_SECONDS = 600.0
POLL_SECONDS = 0.05


class Peer:
    """A server that a script starts, given a port and further arguments; it finds DATABASE_URL."""

    def __init__(self, python: Path, script: Path, database: str, *arguments: str) -> None:
        if not python.exists():
            raise SystemExit(f"{python} is not there: `make bench NAME=...` brings it")
        self.port = choose_port(None, taken=set(), seed=str(script))
        self.process = subprocess.Popen(
            [str(python), str(script), str(self.port), *arguments],
            env={**os.environ, "DATABASE_URL": database},
        )
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=MOST_SECONDS)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(POLL_SECONDS)
        self.close()
        raise SystemExit("the peer does not listen")

    def get(self, path: str) -> bytes:
        """Return what it answers; end the benchmark when that is no success."""
        return self._answer("GET", path, None, {})

    def put(self, path: str, file: IO[bytes], size: int, media_type: str) -> bytes:
        """Send a file and return what it answers; end the benchmark when that is no success."""
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        return self._answer("PUT", path, file, headers)

    def _answer(
        self, method: str, path: str, body: IO[bytes] | None, headers: dict[str, str]
    ) -> bytes:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"{path} answered {answer.status}: {content[:300]!r}")
        return content

    def memory_used(self) -> int:
        """Return the most memory it has used, in MB; 0 where the system does not tell."""
        status = Path(f"/proc/{self.process.pid}/status")
        text = status.read_text(encoding="ascii") if status.exists() else ""
        found = re.search(r"VmHWM:\s*(\d+) kB", text)
        return round(int(found[1]) / 1024) if found else 0

    def close(self) -> None:
        """End it."""
        self.connection.close()
        self.process.terminate()
        self.process.wait(READY_SECONDS)
