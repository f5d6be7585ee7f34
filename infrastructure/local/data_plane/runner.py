"""All functions of the catalog, ready to be invoked, and the fork server they come from."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infrastructure.local.catalog import Catalog, Function
from infrastructure.local.data_plane.forker import Forker
from infrastructure.local.data_plane.invocation import (
    Invocation,
    Outcome,
    UnknownFunctionError,
    new_trace,
)
from infrastructure.local.data_plane.pool import Pool
from infrastructure.local.data_plane.settings import Limits

LOGGER = logging.getLogger(__name__)
ARN_PARTS = 7
"""Parts of a function's ARN without qualifier: arn:aws:lambda:region:account:function:name."""


class Runner:
    """Invokes functions by name or ARN. `extra` are variables every function gets."""

    def __init__(
        self, *, project: Path, logs: Path, limits: Limits, extra: Mapping[str, str]
    ) -> None:
        self.catalog = Catalog()
        self._project = project
        self._logs = logs
        self._limits = limits
        self._extra = extra
        self._pools: dict[str, Pool] = {}
        self._forker: Forker | None = None
        self._forkers: set[Forker] = set()
        self._closed = False
        self._reaper: asyncio.TimerHandle | None = None

    @property
    def fork_server(self) -> int | None:
        """Process id of the fork server, if one runs."""
        return self._forker.process.pid if self._forker else None

    async def ready(self) -> None:
        """Wait until environments can be forked."""
        await self._ready_forker()

    def apply(self, catalog: Catalog) -> None:
        """Take over a catalog. Functions that have changed start anew, the others stay warm."""
        before = self.catalog
        self.catalog = catalog
        for name, function in catalog.functions.items():
            pool = self._pools.get(name)
            if pool is None:
                self._pools[name] = self._new_pool(function)
            elif pool.function != function:
                pool.renew(function)
        for name in before.functions.keys() - catalog.functions.keys():
            self._pools.pop(name).renew()
        if self._forker is None or self._forker.folders != self._shared_layers():
            self.renew_layers()
        if self._reaper is None:
            self._reap()

    def pool(self, name: str) -> Pool:
        """Return the pool of a function named by name, partial ARN or ARN, with or without qualifier.

        Raises `UnknownFunctionError`.
        """
        found = self._pools.get(name)
        if found is None:
            parts = name.split(":")
            if name.startswith("arn:"):
                short = parts[ARN_PARTS - 1] if len(parts) >= ARN_PARTS else ""
            elif "function" in parts:  # 123456789012:function:name
                short = parts[parts.index("function") + 1]
            else:  # name:qualifier
                short = parts[0]
            found = self._pools.get(short)
        if found is None:
            raise UnknownFunctionError(name)
        return found

    def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        trace: str = "",
        client_context: str = "",
        tail: bool = False,
        identifier: str | None = None,
    ) -> asyncio.Future[Outcome]:
        """Invoke a function with JSON text; the future ends with its outcome.

        Raises `UnknownFunctionError`; the future may fail with `ThrottledError`. A caller that stops
        waiting does not stop the function.
        """
        pool = self.pool(name)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        invocation = Invocation(payload, future)
        invocation.trace = trace or new_trace()
        invocation.client_context = client_context
        invocation.tail = tail
        if identifier is not None:
            invocation.id = identifier
        pool.submit(invocation)
        return future

    def renew_functions(self, folder: str, module: str) -> list[str]:
        """Start anew the functions of a module (`""` means all) whose code is in the folder."""
        renewed = []
        for name, pool in self._pools.items():
            function = pool.function
            own = function.operation.split(".")[0]
            if function.code == folder and module in ("", own):
                pool.renew()
                renewed.append(name)
        return renewed

    def renew_layers(self) -> None:
        """Replace the fork server; the old one ends with its last invocation."""
        old, self._forker = self._forker, None
        for pool in self._pools.values():
            pool.renew()
        if old is not None:
            old.retire()
        self._start_forker()

    def status(self) -> dict[str, dict[str, Any]]:
        """Return, by name, what each function has done and how many environments it keeps warm."""
        return {
            name: {
                "operation": pool.function.operation,
                "environments": pool.warm,
                "busy": pool.busy,
                "invocations": pool.counts.invocations,
                "errors": pool.counts.errors,
                "throttles": pool.counts.throttles,
                "starts": pool.counts.starts,
                "log": str(pool.log),
            }
            for name, pool in sorted(self._pools.items())
        }

    def close(self) -> None:
        """End the fork servers and with them every environment."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        for forker in list(self._forkers):
            forker.close()

    def _new_pool(self, function: Function) -> Pool:
        return Pool(
            function,
            limits=self._limits,
            log_folder=self._logs,
            variables=self._extra,
            region=self.catalog.region,
            forker=self._ready_forker,
        )

    def _shared_layers(self) -> tuple[str, ...]:
        """Layer folders that all functions with layers have: what the fork server may import."""
        stacks = [item.layers for item in self.catalog.functions.values() if item.layers]
        return tuple(
            folder for folder in (stacks[0] if stacks else ()) if all(folder in s for s in stacks)
        )

    def _start_forker(self) -> Forker:
        forker = Forker(self._project, self._shared_layers(), self._child_ended, self._forker_gone)
        self._forkers.add(forker)
        self._forker = forker
        return forker

    async def _ready_forker(self) -> Forker:
        forker = self._forker or self._start_forker()
        await forker.ready.wait()
        return self._forker or forker

    def _child_ended(self, pid: int, code: int) -> None:
        for pool in self._pools.values():
            if pool.ended(pid, code):
                return

    def _forker_gone(self, forker: Forker) -> None:
        forker.ready.set()  # whoever waited for it learns at the fork that it is gone
        self._forkers.discard(forker)
        if forker is self._forker:
            self._forker = None
            if not self._closed:
                LOGGER.warning("The fork server has ended; starting another.")
                self._start_forker()

    def _reap(self) -> None:
        for pool in self._pools.values():
            with contextlib.suppress(OSError):
                pool.reap()
        self._reaper = asyncio.get_running_loop().call_later(self._limits.reap_seconds, self._reap)
