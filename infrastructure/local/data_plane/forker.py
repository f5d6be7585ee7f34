"""The data plane's hand on its fork server: start it, let it fork, learn who has ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infrastructure.local.data_plane import protocol

MODULE = "infrastructure.local.data_plane.fork_server"
# The server itself needs little; what functions get comes with each of them.
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "SYSTEMROOT")


class ForkServerGoneError(ConnectionError):
    """The fork server has ended; another takes its place."""


class Forker:
    """One running fork server. `on_end(pid, code)` is told of each child, `on_gone()` of itself."""

    def __init__(
        self,
        project: Path,
        folders: Sequence[str],
        on_end: Callable[[int, int], None],
        on_gone: Callable[[Forker], None],
    ) -> None:
        self.folders = tuple(folders)
        self.ready = asyncio.Event()
        self.gone = False
        self.children = 0
        self._retired = False
        self._on_end = on_end
        self._on_gone = on_gone
        self._spawned: dict[str, Callable[[int], None]] = {}
        self._pending = b""
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        environment["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        with theirs:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", MODULE, str(theirs.fileno()), str(os.getpid())),
                    *self.folders,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=project,
                env=environment,
            )
        self._control = ours
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours.fileno(), self._read)

    def spawn(
        self,
        identifier: str,
        specification: Mapping[str, Any],
        descriptors: Sequence[int],
        on_pid: Callable[[int], None],
    ) -> None:
        """Fork an environment that serves on the first descriptor and logs to the second.

        Raises `ForkServerGoneError` when there is no fork server any more.
        """
        self._send({"spawn": {"id": identifier, **specification}}, descriptors)
        self._spawned[identifier] = on_pid
        self.children += 1

    def kill(self, pid: int) -> None:
        """Kill a child, if it is still one."""
        with contextlib.suppress(ForkServerGoneError):
            self._send({"kill": pid})

    def retire(self) -> None:
        """End the server as soon as its last child has ended."""
        self._retired = True
        if self.children == 0:
            self.close()

    def close(self) -> None:
        """End the server and all its children now."""
        if self.gone:
            return
        self.gone = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        if not self.ready.is_set():
            self.process.kill()  # it is importing and would look at its socket only later
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._on_gone(self)

    def _send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        if self.gone:
            raise ForkServerGoneError
        try:
            protocol.send_message(self._control, dict(message), descriptors)
        except OSError as error:
            self.close()
            raise ForkServerGoneError from error

    def _read(self) -> None:
        try:
            chunk = self._control.recv(65536)
        except OSError:
            chunk = b""
        if not chunk:
            self.close()
            return
        self._pending += chunk
        size = protocol.LENGTH.size
        while len(self._pending) >= size and not self.gone:
            (length,) = protocol.LENGTH.unpack_from(self._pending)
            if len(self._pending) < size + length:
                return
            body, self._pending = (
                self._pending[size : size + length],
                self._pending[size + length :],
            )
            self._handle(protocol.decode(body))

    def _handle(self, message: dict[str, Any]) -> None:
        if "spawned" in message:
            self._spawned.pop(message["spawned"])(message["pid"])
        elif "ended" in message:
            self.children -= 1
            self._on_end(message["ended"], message["code"])
            if self._retired and self.children == 0:
                self.close()
        else:
            self.ready.set()
