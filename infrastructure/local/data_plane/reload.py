"""Reload on save: changed code reaches the next request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from watchfiles import DefaultFilter, awatch

from infrastructure.local.catalog import Catalog
from infrastructure.local.data_plane.runner import Runner

LOGGER = logging.getLogger(__name__)
STEP_MILLISECONDS = 10


class Reloader:
    """Watches the folders of functions and layers of the catalog it was last given."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._functions: dict[Path, str] = {}
        self._layers: frozenset[Path] = frozenset()
        self._task: asyncio.Task[None] | None = None

    def apply(self, catalog: Catalog) -> None:
        """Watch what the functions of a catalog are made of."""
        functions = {Path(item.code).resolve(): item.code for item in catalog.functions.values()}
        layers = frozenset(
            Path(layer).resolve() for item in catalog.functions.values() for layer in item.layers
        )
        if (functions, layers) == (self._functions, self._layers):
            return
        self._functions, self._layers = functions, layers
        self.close()
        folders = [folder for folder in {*functions, *layers} if folder.is_dir()]
        if folders:
            self._task = asyncio.get_running_loop().create_task(self._watch(folders))

    def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, folders: Iterable[Path]) -> None:
        async for changes in awatch(
            *folders,
            watch_filter=DefaultFilter(),
            step=STEP_MILLISECONDS,
            debounce=STEP_MILLISECONDS * 20,
            rust_timeout=1000,
        ):
            self.changed({Path(path) for _, path in changes})

    def changed(self, paths: set[Path]) -> None:
        """Make stale what the changed files belong to."""
        if any(path.is_relative_to(layer) for path in paths for layer in self._layers):
            LOGGER.info("A layer has changed; all functions start anew.")
            self._runner.renew_layers()
            return
        touched = {
            (code, parts[0] if len(parts) > 1 else "")
            for folder, code in self._functions.items()
            for path in paths
            if path.is_relative_to(folder)
            for parts in [path.relative_to(folder).parts]
        }
        for code, module in touched:
            renewed = self._runner.renew_functions(code, module)
            if renewed:
                LOGGER.info("Changed: %s", ", ".join(renewed))
