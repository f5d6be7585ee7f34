"""The environments of one function: kept warm, added up to the limit, replaced when they end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.catalog import Function
from infrastructure.local.data_plane import logs
from infrastructure.local.data_plane.environment import Environment, State
from infrastructure.local.data_plane.forker import Forker, ForkServerGoneError
from infrastructure.local.data_plane.invocation import (
    Invocation,
    Outcome,
    ThrottledError,
    failure,
)
from infrastructure.local.data_plane.memory import resident_bytes
from infrastructure.local.data_plane.settings import MEBIBYTE, Limits
from infrastructure.local.data_plane.variables import environment_variables

EXIT_WAIT_SECONDS = 0.5
MEMORY_POLL_SECONDS = 0.1


@dataclass(slots=True)
class Counts:
    """What a function has done since the data plane started."""

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    starts: int = 0


class Pool:
    """Runs one function's invocations, each in an environment of its own."""

    def __init__(
        self,
        function: Function,
        *,
        limits: Limits,
        log_folder: Path,
        variables: Mapping[str, str],
        region: str,
        forker: Callable[[], Awaitable[Forker]],
    ) -> None:
        self.function = function
        self.counts = Counts()
        self.log = logs.log_path(log_folder, function.operation)
        self._limits = limits
        self._variables = variables
        self._region = region
        self._forker = forker
        self._loop = asyncio.get_running_loop()
        self._environments: set[Environment] = set()
        self._idle: list[Environment] = []
        self._waiting: deque[Invocation] = deque()
        self._unborn = 0
        """Environments decided on that have no process yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def _most(self) -> int:
        """Environments at once."""
        reserved = self.function.reserved_concurrency
        most = self._limits.environments
        return most if reserved is None else min(reserved, most)

    @property
    def warm(self) -> int:
        """Environments that are up, busy or idle."""
        return len(self._environments) - sum(
            environment.state is State.STARTING for environment in self._environments
        )

    @property
    def busy(self) -> int:
        """Environments with an invocation in them."""
        return sum(environment.invocation is not None for environment in self._environments)

    def submit(self, invocation: Invocation) -> None:
        """Run the invocation now, or when an environment is free; its future tells the end.

        The future fails with `ThrottledError` when none becomes free in time.
        """
        self.counts.invocations += 1
        while self._idle:
            environment = self._idle.pop()
            if environment.state is State.IDLE:
                self._run(environment, invocation)
                return
        if self._most == 0:
            self._throttle(invocation)
            return
        self._waiting.append(invocation)
        invocation.queued = self._loop.call_later(
            self._limits.queue_seconds, self._waited_too_long, invocation
        )
        self._grow()

    def renew(self, function: Function | None = None) -> None:
        """Let no further invocation run in today's environments; those running finish there."""
        if function is not None:
            self.function = function
        for environment in self._environments:
            environment.stale = True
            if environment.state is State.IDLE:
                environment.close()
        self._idle.clear()
        if self._waiting:
            self._grow()

    def reap(self) -> None:
        """End the environments that have been idle for too long."""
        horizon = time.monotonic() - self._limits.idle_seconds
        for environment in [item for item in self._idle if item.idle_since < horizon]:
            self._idle.remove(environment)
            environment.close()

    def ended(self, pid: int, code: int) -> bool:
        """Note the exit code of a process; False when it is none of this pool."""
        for environment in self._environments:
            if environment.pid == pid:
                environment.exit_code = code
                environment.exited.set()
                return True
        return False

    def _run(self, environment: Environment, invocation: Invocation) -> None:
        if invocation.queued is not None:
            invocation.queued.cancel()
            invocation.queued = None
        timeout = self.function.timeout
        if invocation.tail:
            environment.log_offset = logs.size(self.log)
        environment.timer = self._loop.call_later(timeout, self._timed_out, environment)
        environment.send(invocation, timeout)
        if self._watch is None:
            self._watch = self._loop.call_later(MEMORY_POLL_SECONDS, self._watch_memory)

    def _grow(self) -> None:
        """Start environments if more wait than are on their way, and the limit allows it."""
        current = [item for item in self._environments if not item.stale]
        coming = self._unborn + sum(item.state is State.STARTING for item in current)
        alive = self._unborn + len(current)
        for _ in range(min(len(self._waiting) - coming, self._most - alive)):
            self._unborn += 1
            self._spawn(self._start())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        """Fork an environment; a fork server that ends meanwhile is replaced and asked again."""
        born = False
        try:
            while not born:
                born = await self._fork(await self._forker())
        finally:
            self._unborn -= not born

    async def _fork(self, forker: Forker) -> bool:
        function = self.function
        environment = Environment(
            uuid.uuid4().hex, function.arn, self._ready, self._answered, self._connection_lost
        )
        specification: dict[str, Any] = {
            "handler": function.handler,
            "environment": environment_variables(function, self._region, self._variables),
            "path": [function.code, *function.layers],
            "hide": ["", *(item for item in forker.folders if item not in function.layers)],
            "memory": function.memory,
        }
        ours, theirs = socket.socketpair()
        log = logs.open_log(self.log)
        try:
            environment.forker = forker
            forker.spawn(environment.id, specification, (theirs.fileno(), log), environment.born)
        except ForkServerGoneError:
            ours.close()
            return False
        finally:
            theirs.close()
            logs.close(log)
        self._unborn -= 1
        self._environments.add(environment)
        self.counts.starts += 1
        seconds = max(self._limits.init_seconds, function.timeout)
        environment.timer = self._loop.call_later(seconds, self._timed_out, environment)
        ours.settimeout(0)
        await self._loop.create_connection(lambda: environment, sock=ours)
        return True

    def _ready(self, environment: Environment) -> None:
        if environment.timer is not None:
            environment.timer.cancel()
        self._free(environment)

    def _free(self, environment: Environment) -> None:
        """Give an environment its next invocation, or keep it warm."""
        if environment.stale:
            environment.close()
            if self._waiting:
                self._grow()
            return
        if self._waiting:
            self._run(environment, self._waiting.popleft())
            return
        environment.idle_since = time.monotonic()
        self._idle.append(environment)

    def _answered(self, environment: Environment, invocation: Invocation, outcome: Outcome) -> None:
        if environment.timer is not None:
            environment.timer.cancel()
        if environment.killed_for is not None:  # it answered while the sentence was on its way
            environment.state = State.ENDED
            outcome = environment.killed_for
        else:
            self._free(environment)
        if len(outcome.payload) > self._limits.invoke_bytes:
            outcome = failure(
                invocation.id,
                "Function.ResponseSizeTooLarge",
                f"Response payload size exceeded maximum allowed payload size "
                f"({self._limits.invoke_bytes} bytes).",
            )
        if invocation.tail:
            outcome.log_tail = logs.tail(self.log, environment.log_offset, invocation.id)
        self._finish(invocation, outcome)

    def _finish(self, invocation: Invocation, outcome: Outcome) -> None:
        if outcome.error:
            self.counts.errors += 1
        invocation.finish(outcome)

    def _timed_out(self, environment: Environment) -> None:
        if environment.invocation is None:
            message = (
                f"Init phase timed out after {time.monotonic() - environment.begun:.2f} seconds"
            )
        else:
            message = f"Task timed out after {self.function.timeout:.2f} seconds"
        self._kill(environment, "Sandbox.Timedout", message, "timeout")

    def _kill(self, environment: Environment, kind: str, message: str, status: str) -> None:
        identifier = environment.invocation.id if environment.invocation else str(uuid.uuid4())
        environment.killed_for = failure(identifier, kind, message)
        used = resident_bytes(environment.pid)
        environment.kill()
        logs.append(
            self.log,
            f"{logs.timestamp()} {identifier} {message}\n\n".encode()
            + logs.report_lines(
                identifier,
                seconds=time.monotonic() - environment.begun,
                memory=self.function.memory,
                used=used,
                status=status,
            ),
        )

    def _watch_memory(self) -> None:
        """Kill what has outgrown its memory; look again while anything runs."""
        self._watch = None
        running = [item for item in self._environments if item.invocation and not item.killed_for]
        for environment in running:
            if resident_bytes(environment.pid) > self.function.memory * MEBIBYTE:
                message = f"Runtime exited: memory limit of {self.function.memory} MB exceeded"
                status = "error\tError Type: Runtime.OutOfMemory"
                self._kill(environment, "Runtime.OutOfMemory", message, status)
        if running:
            self._watch = self._loop.call_later(MEMORY_POLL_SECONDS, self._watch_memory)

    def _connection_lost(self, environment: Environment) -> None:
        if environment.timer is not None:
            environment.timer.cancel()
        if environment in self._idle:
            self._idle.remove(environment)
        if environment.invocation or (not environment.initialised and not environment.stale):
            # Why it ended is known a moment later, from the fork server.
            self._spawn(self._bury(environment))
            return
        self._environments.discard(environment)
        if self._waiting:
            self._grow()

    async def _bury(self, environment: Environment) -> None:
        """Find out why an environment has ended and fail what was, or would have been, in it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(environment.exited.wait(), EXIT_WAIT_SECONDS)
        self._environments.discard(environment)
        invocation = environment.invocation
        environment.invocation = None
        if invocation is None and self._waiting:
            # It died in its init phase: the caller that made it start gets the reason.
            invocation = self._waiting.popleft()
            if invocation.queued is not None:
                invocation.queued.cancel()
        if invocation is not None:
            outcome = self._reason(environment, invocation)
            if invocation.tail:
                outcome.log_tail = logs.tail(self.log, environment.log_offset, invocation.id)
            self._finish(invocation, outcome)
        if self._waiting:
            self._grow()

    def _reason(self, environment: Environment, invocation: Invocation) -> Outcome:
        if environment.killed_for is not None:
            return environment.killed_for
        if environment.init_error is not None:
            return Outcome(payload=environment.init_error, error=True)
        code = environment.exit_code
        how = "signal: killed" if code is None or code < 0 else f"exit status {code}"
        message = f"Runtime exited with error: {how}"
        logs.append(self.log, f"RequestId: {invocation.id} Error: {message}\n".encode())
        return failure(invocation.id, "Runtime.ExitError", message)

    def _waited_too_long(self, invocation: Invocation) -> None:
        if self._unborn or any(item.state is State.STARTING for item in self._environments):
            # A cold start is no shortage; it has a limit of its own.
            invocation.queued = self._loop.call_later(
                self._limits.queue_seconds, self._waited_too_long, invocation
            )
            return
        self._waiting.remove(invocation)
        self._throttle(invocation)

    def _throttle(self, invocation: Invocation) -> None:
        self.counts.throttles += 1
        invocation.refuse(
            ThrottledError(
                f"Rate exceeded: {self.function.name} already runs in {self._most} environments."
            )
        )
