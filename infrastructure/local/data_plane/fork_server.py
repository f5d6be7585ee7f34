"""The fork server: a process that has imported the common layer and forks environments from it.

It holds no thread and no connection and reads no variable of a function; a fork shares its memory.
Started as `python -m infrastructure.local.data_plane.fork_server DESCRIPTOR PARENT` with one end of
a socket; the other end belongs to the data plane. When that closes, everything here ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from infrastructure.local.data_plane import protocol
from infrastructure.local.data_plane.parent_death import parent_death_guard

# What the common layer is made of. A module that is not there costs nothing but a line in the log.
LAYER_MODULES = (
    "aws_lambda_powertools",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.event_handler.openapi.models",
    "aws_lambda_powertools.metrics",
    "boto3",
    "orjson",
    "pika",
    "psycopg",
    "psycopg.types.json",
    "pydantic",
    "redis",
)
PLATFORM_PACKAGE = "datapunk"


def say(text: str) -> None:
    """Write a line to the data plane's log."""
    sys.stderr.write(f"fork server: {text}\n")
    sys.stderr.flush()


def platform_modules(folders: list[str]) -> Iterator[str]:
    """Names of all modules of the platform's package in the layer folders."""
    for folder in folders:
        package = Path(folder) / PLATFORM_PACKAGE
        if package.is_dir():
            yield PLATFORM_PACKAGE
            # By path and not by import: a package that fails must not hide its neighbours.
            for path in sorted(package.rglob("*.py")):
                parts = path.relative_to(folder).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def preload(folders: list[str]) -> None:
    """Import everything environments have in common and put it out of the collector's sight."""
    sys.path[:0] = folders
    started = time.monotonic()
    for name in dict.fromkeys([*LAYER_MODULES, *platform_modules(folders)]):
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - the function that needs it reports it properly
            say(f"{name} is not preloaded: {type(error).__name__}: {error}")
    with contextlib.suppress(ImportError):
        import pydantic

        # Only a first model loads the schema generator.
        pydantic.create_model("Preload", value=(int, ...))
    import_runtime()
    gc.collect()
    gc.freeze()
    say(f"ready after {time.monotonic() - started:.2f} s with {len(sys.modules)} modules")


def import_runtime() -> None:
    """Import Lambda's runtime without its native client, which would look for a server."""
    sys.modules["runtime_client"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("infrastructure.local.data_plane.child")
    finally:
        del sys.modules["runtime_client"]


class ForkServer:
    """The loop: fork on request, report who has ended, end with the data plane."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._guard: Callable[[int], None] = parent_death_guard()
        self._wake, self._waker = socket.socketpair()
        self._wake.settimeout(0)
        self._waker.settimeout(0)

    def run(self) -> None:
        """Serve until the data plane closes its end; then no child survives."""
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        protocol.send_message(self._control, {"ready": os.getpid()})
        try:
            while True:
                readable, _, _ = select.select([self._control, self._wake], [], [])
                if self._wake in readable:
                    with contextlib.suppress(BlockingIOError):
                        self._wake.recv(4096)
                    self._reap()
                if self._control in readable:
                    self._handle(*protocol.receive_message(self._control))
        except (protocol.ClosedError, ConnectionError):
            return
        finally:
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)

    def _handle(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "kill" in message:
            # Only a child not yet waited for: its id cannot belong to anyone else.
            if message["kill"] in self._children:
                os.kill(message["kill"], signal.SIGKILL)
            return
        specification = message["spawn"]
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_environment(server, descriptors, specification)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children.add(pid)
        protocol.send_message(self._control, {"spawned": specification["id"], "pid": pid})

    def _become_environment(
        self, server: int, descriptors: list[int], specification: dict[str, Any]
    ) -> NoReturn:
        try:
            self._guard(server)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for connection in (self._control, self._wake, self._waker):
                connection.close()
            connection_descriptor, log = descriptors
            null = os.open(os.devnull, os.O_RDONLY)
            for target, source in enumerate((null, log, log)):
                os.dup2(source, target)
            os.close(null)
            os.close(log)
            from infrastructure.local.data_plane import child

            child.serve(socket.socket(fileno=connection_descriptor), specification)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException:  # noqa: BLE001 - nothing of the parent may run in a child
            import traceback

            traceback.print_exc()
        os._exit(1)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            protocol.send_message(self._control, {"ended": pid, "code": code})


def main(arguments: list[str]) -> None:
    """Run the fork server on the descriptor given by the data plane."""
    descriptor, parent, *folders = arguments
    parent_death_guard()(int(parent))
    control = socket.socket(fileno=int(descriptor))
    preload(folders)
    ForkServer(control).run()


if __name__ == "__main__":
    main(sys.argv[1:])
