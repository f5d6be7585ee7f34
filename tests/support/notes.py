"""Something to cache: notes in a table, which are read and written through the cache.

As a program it is an environment of its own: it reads and writes as the lines on its standard input say, and
may be stopped (SIGSTOP) in between.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datapunk.cache import writing
from datapunk.cache.namespaces import NAMESPACES, Namespace
from datapunk.cache.reading import read
from datapunk.cache.values import Cached
from datapunk.database import Transaction, transaction
from datapunk.identity import Caller

PROJECT = Path(__file__).resolve().parents[2]
NOTES = Namespace("test.note", module="tests", holds="notes of the tests")
TABLE = """
CREATE TABLE notes (
    tenant text NOT NULL DEFAULT platform.current_tenant(), key text, text text,
    PRIMARY KEY (tenant, key)
);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON notes USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
"""
_WRITE = """
INSERT INTO notes (key, text) VALUES (%s, %s) ON CONFLICT (tenant, key) DO UPDATE SET text = excluded.text
"""
TENANT = "acme"


def load_note(tx: Transaction, key: str) -> str | None:
    text = tx.value("SELECT text FROM notes WHERE key = %s", (key,))
    return None if text is None else str(text)


def notes_of(namespace: Namespace = NOTES, **changes: Any) -> Cached[str]:
    """Return how notes are cached, with another table entry if need be."""
    return Cached(
        replace(namespace, **changes), encode=json.dumps, decode=json.loads, load=load_note
    )


CACHED = notes_of()


def write_note(
    key: str, text: str | None, tenant: str = TENANT, cached: Cached[str] = CACHED
) -> int:
    """Write a note, or delete it; return its version."""
    with transaction(Caller("user:ada", tenant)) as tx:
        if text is None:
            tx.execute("DELETE FROM notes WHERE key = %s", (key,))
        else:
            tx.execute(_WRITE, (key, text))
        return writing.stage(tx, cached, key, text, cause="test")


@dataclass
class Environment:
    """Another process that reads and writes notes."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls) -> Environment:
        program = [sys.executable, "-m", "tests.support.notes"]
        return cls(
            subprocess.Popen(
                program,
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": str(PROJECT / "layers" / "common")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def send(self, **command: Any) -> None:
        """Say what to do, without waiting for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def receive(self) -> list[Any]:
        """Return the outcome of the next command."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.startswith("outcome "):
                outcome: list[Any] = json.loads(line.removeprefix("outcome "))
                return outcome
        raise AssertionError("the environment has ended")

    def read(self, keys: Sequence[str]) -> list[Any]:
        """Return when each key was asked for (seconds since 1970), what came back, and who answered."""
        self.send(read=list(keys))
        return self.receive()

    def write(self, notes: dict[str, str]) -> list[Any]:
        """Return when each write had succeeded (seconds since 1970)."""
        self.send(write=notes)
        return self.receive()

    def stop(self) -> None:
        """Stop it in its tracks."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


def main() -> None:
    """Do what the lines on standard input say."""
    NAMESPACES[NOTES.name] = NOTES
    for line in sys.stdin:
        command = json.loads(line)
        outcome: list[Any] = []
        for key in command.get("read", []):
            asked = time.time()
            found = read(CACHED, TENANT, key)
            outcome.append((asked, found.value, found.answered))
        for key, text in command.get("write", {}).items():
            write_note(key, text)
            outcome.append(time.time())
        sys.stdout.write("\noutcome " + json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
