"""What an instance remembers between two launches: its ports, its passwords, its decisions."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infrastructure.local.paths import Paths
from infrastructure.local.ports import choose_port, is_free

LOCK_POLL_SECONDS = 0.1
PASSWORD_BYTES = 24
_WRITES = threading.RLock()
"""One for all `State` objects: services started in parallel each have their own of the same file."""


class BusyError(RuntimeError):
    """Another launcher works on the same instance and did not end in time."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in `path`; an absent or damaged file counts as empty.

    Writes are atomic, so damage means that something else wrote there: starting afresh is right.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_text(path: Path, content: str, *, mode: int = 0o600) -> None:
    """Replace `path` at once, so that a reader or a crash never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` atomically, readable by its owner only (it may hold passwords)."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


class State:
    """The state file of one instance. Safe for the threads of one launcher.

    Launchers exclude each other by `launcher_lock`.
    """

    def __init__(self, paths: Paths) -> None:
        self._path = paths.state / "state.json"
        self._seed = str(paths.state.resolve())
        self._lock = _WRITES

    def _section(self, name: str) -> dict[str, Any]:
        section = read_json(self._path).get(name)
        return section if isinstance(section, dict) else {}

    def _store(self, section: str, key: str, value: Any) -> None:
        content = read_json(self._path)
        content[section] = {**self._section(section), key: value}
        write_json(self._path, content)

    @property
    def is_new(self) -> bool:
        """Whether no server of this instance has ever been given a port."""
        return not self._section("ports")

    def port(self, name: str) -> int | None:
        """Return the port promised to `name`, None before its first start."""
        port = self._section("ports").get(name)
        return port if isinstance(port, int) else None

    def claim_port(self, name: str, *, preferred: int | None = None) -> int:
        """Return a port on which `name` can listen now, and remember it.

        The port of the last start is kept while it is free. When another program has taken it, or
        at the first start, one is chosen: `preferred` if that is free. Call it only while the
        server itself is down, else its own port looks taken.
        """
        with self._lock:
            ports = self._section("ports")
            known = self.port(name)
            taken = {port for other, port in ports.items() if other != name}
            if known is not None and known not in taken and is_free(known):
                return known
            chosen = choose_port(preferred, taken=taken, seed=f"{self._seed}:{name}")
            self._store("ports", name, chosen)
            return chosen

    def password(self, name: str) -> str:
        """Return the password of `name`; a random one is made at the first call."""
        with self._lock:
            known = self._section("passwords").get(name)
            if isinstance(known, str):
                return known
            password = secrets.token_urlsafe(PASSWORD_BYTES)
            self._store("passwords", name, password)
            return password

    def decision(self, name: str) -> str | None:
        """Return what was decided about `name`, None when nothing was."""
        decision = self._section("decisions").get(name)
        return decision if isinstance(decision, str) else None

    def decide(self, name: str, decision: str) -> None:
        """Remember `decision` about `name`."""
        with self._lock:
            if self.decision(name) != decision:
                self._store("decisions", name, decision)


@contextlib.contextmanager
def file_lock(
    path: Path, *, timeout: float, waiting: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the lock file `path`; `waiting` is called once when another process has it.

    The kernel gives the lock back when its holder dies, so it is never stale. `timeout` is in
    seconds; raises BusyError after it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    give_up = time.monotonic() + timeout
    with path.open("a", encoding="utf-8") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise BusyError(
                        f"another launcher has held {path} for {timeout:.0f} s: "
                        "let it end, or stop it, and try again"
                    ) from None
                if waiting is not None and not told:
                    waiting()
                    told = True
                time.sleep(LOCK_POLL_SECONDS)
        yield


@contextlib.contextmanager
def launcher_lock(
    paths: Paths, *, timeout: float = 600.0, say: Callable[[str], None] = print
) -> Iterator[None]:
    """Let one launcher at a time change the instance; a second one waits and says so."""

    def waiting() -> None:
        say("another launcher is at work here; waiting for it to end")

    with file_lock(paths.state / "launcher.lock", timeout=timeout, waiting=waiting):
        yield
