"""Workers of the router in processes of their own, started as `invoke_later` would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

from tests.support.samples import PROJECT

PATHS = os.pathsep.join(str(PROJECT / part) for part in ("", "layers/common", "functions"))
SECONDS = 60


@dataclass
class Workers:
    """Stands where Lambda would be: each event it takes is a process."""

    started: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    refuses: bool = False

    def invoke_later(self, name: str, payload: bytes) -> None:
        from datapunk.errors import UnavailableError

        if self.refuses:
            raise UnavailableError("lambda")
        self.started.append((name, json.loads(payload)))
        self.running.append(start(payload))

    def kill(self) -> None:
        """End all that run, without a word."""
        for process in self.running:
            process.kill()
            process.communicate(timeout=10)
        self.running.clear()

    def outcomes(self) -> list[str]:
        """Wait until all are done; return what became of their work."""
        found = []
        for process in self.running:
            said, _ = process.communicate(timeout=SECONDS)
            found.append(json.loads(said.splitlines()[-1])["outcome"])
        self.running.clear()
        return found

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate(timeout=10)


def start(payload: bytes) -> subprocess.Popen[bytes]:
    """Start a worker with an event, in this process's environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.run_worker"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": PATHS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(payload)
    process.stdin.close()
    process.stdin = None
    return process
