"""The rules in force, held by each environment and compared with the epoch at every request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from datapunk.database import transaction
from datapunk.errors import NotFoundError, UnavailableError
from datapunk.identity import SYSTEM
from datapunk.nexus.routing import epoch as epochs
from datapunk.nexus.routing.paths import Path, Pattern, read_pattern
from datapunk.nexus.routing.rules import Route, RouteRule
from datapunk.nexus.routing.storage import read_epoch, read_rules
from datapunk.telemetry import logger


@dataclass(frozen=True, slots=True)
class Found:
    """The rule of a request, and what its pattern took from the path."""

    name: str
    version: int
    rule: RouteRule
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    pattern: Pattern
    route: Route


@dataclass(slots=True)
class Table:
    """Rules by service, ready to be searched."""

    epoch: int
    entries: dict[str, list[_Entry]] = field(default_factory=dict)

    @classmethod
    def of(cls, epoch: int, routes: Iterable[Route]) -> Table:
        """Return the table of some rules."""
        table = cls(epoch)
        for route in routes:
            entry = _Entry(read_pattern(route.rule.path), route)
            table.entries.setdefault(route.rule.service, []).append(entry)
        for entries in table.entries.values():
            entries.sort(key=lambda entry: (entry.pattern.rank, entry.route.name))
        return table

    def find(self, service: str, method: str, path: Path) -> Found:
        """Return the rule of a request. Raises NotFoundError when there is none."""
        other: Sequence[str] = ()
        for entry in self.entries.get(service, ()):
            parameters = entry.pattern.match(path)
            if parameters is None:
                continue
            route = entry.route
            if method in route.rule.methods:
                return Found(route.name, route.version, route.rule, parameters)
            other = [*other, *route.rule.methods]
        if other:
            known = ", ".join(dict.fromkeys(other))
            raise NotFoundError(f"No rule routes {method} there, but {known}.")
        raise NotFoundError("No rule routes that path of the service.")


_held: list[Table] = []
"""Empty or one entry: what this environment knows."""


def current_table() -> Table:
    """Return the rules in force. Raises UnavailableError when they are not known and cannot be read."""
    epoch = epochs.announced()
    if _held and epoch == _held[0].epoch:
        return _held[0]
    try:
        _held[:] = [_read(_held[0] if _held else None)]
    except UnavailableError:
        if not _held:
            raise
        logger().warning("rules not read: the last known ones count")
        return _held[0]
    if epoch is None:
        epochs.announce(_held[0].epoch)
    return _held[0]


def forget() -> None:
    """Become an environment that knows no rules."""
    _held.clear()
    epochs.forget()


def _read(known: Table | None) -> Table:
    with transaction(SYSTEM) as tx:
        # The epoch first: rules that are newer than it are only read once more.
        epoch = read_epoch(tx)
        if known is not None and known.epoch == epoch:
            return known
        return Table.of(epoch, read_rules(tx))
