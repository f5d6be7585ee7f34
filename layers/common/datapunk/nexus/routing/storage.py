"""Rules in the database: every change is a new version, and counts from the next request on."""

from __future__ import annotations

from pathlib import Path

from psycopg.types.json import Jsonb
from pydantic import ValidationError

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import ConflictError, FieldError, ForbiddenError, NotFoundError
from datapunk.nexus.routing.epoch import announce
from datapunk.nexus.routing.paths import read_pattern
from datapunk.nexus.routing.rules import Route, RouteRule, RouteVersion
from datapunk.paging import Page, decode_cursor, encode_cursor
from datapunk.preconditions import require_match
from datapunk.telemetry import count, logger

_SQL = Path(__file__).with_suffix(".sql")
_LIST = "nexus.routes"
_VERSIONS = "nexus.route_versions"
_NO_ETAG = '""'


def find_route(tx: Transaction, name: str) -> Route:
    """Return a rule. Raises NotFoundError when there is none."""
    found = _find(tx, name)
    if found is None:
        raise _no_such_route()
    return found


def list_routes(
    tx: Transaction, *, service: str | None = None, limit: int, cursor: str | None = None
) -> Page[Route]:
    """Return a page of rules by name, all or those of a service."""
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    parameters = {"service": service, "after": after, "limit": limit + 1}
    rows = tx.all(load_queries(_SQL)["list"], parameters)
    items = [_route(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].name]) if more else None)


def list_versions(
    tx: Transaction, name: str, *, limit: int, cursor: str | None = None
) -> Page[RouteVersion]:
    """Return a page of a rule's versions, the newest first; a deleted rule has them too."""
    shape = f"{_VERSIONS} {name}"
    before = int(decode_cursor(shape, cursor, 1)[0]) if cursor else 2**31 - 1
    parameters = {"name": name, "before": before, "limit": limit + 1}
    rows = tx.all(load_queries(_SQL)["versions"], parameters)
    if not rows and cursor is None:
        raise _no_such_route()
    items = [RouteVersion.model_validate(row, extra="ignore") for row in rows[:limit]]
    more = len(rows) > limit
    return Page(
        items=items, next_cursor=encode_cursor(shape, [items[-1].version]) if more else None
    )


def put_route(tx: Transaction, name: str, rule: RouteRule, *, if_match: str | None = None) -> Route:
    """Make a rule, or change it, and return it.

    Raises PreconditionFailedError when the rule is not in the state `if_match` names, ConflictError when
    another rule matches exactly the same requests, ForbiddenError for whoever does not operate the platform.
    """
    epoch = _advance(tx)
    _require(tx, name, if_match)
    _refuse_twins(tx, name, rule)
    return _route(_save(tx, name, rule, epoch))


def delete_route(tx: Transaction, name: str, *, if_match: str | None = None) -> None:
    """Delete a rule; its versions stay. Raises as `put_route` does, and NotFoundError."""
    epoch = _advance(tx)
    find_route(tx, name)
    _require(tx, name, if_match)
    _save(tx, name, None, epoch)


def roll_back(tx: Transaction, name: str, version: int, *, if_match: str | None = None) -> Route:
    """Make an earlier version count again, as a new one. Raises as `put_route` does, and NotFoundError."""
    epoch = _advance(tx)
    _require(tx, name, if_match)
    row = tx.one(load_queries(_SQL)["version"], {"name": name, "version": version})
    if row is None:
        raise _no_such_route("version")
    if row["rule"] is None:
        raise ConflictError(f"In version {version} the rule was deleted: delete it instead.")
    rule = RouteRule.model_validate(row["rule"], extra="ignore")
    _refuse_twins(tx, name, rule)
    return _route(_save(tx, name, rule, epoch))


def read_rules(tx: Transaction) -> list[Route]:
    """Return all rules, in the platform's own name."""
    found = []
    for row in tx.all(load_queries(_SQL)["all"]):
        try:
            found.append(_route(row))
        except ValidationError:
            # Written by other code than this: the other rules go on to count.
            count("route_rules_unreadable_total", service="nexus")
            logger().exception("rule not understood", extra={"route": row["name"]})
    return found


def read_epoch(tx: Transaction) -> int:
    """Return the number that every change of a rule raises."""
    return int(tx.value(load_queries(_SQL)["epoch"]))


def _advance(tx: Transaction) -> int:
    """Raise the epoch, after which this transaction alone changes rules."""
    if not tx.value("SELECT nexus.operates()"):
        raise ForbiddenError("Routes are changed by administrators of the tenant public.")
    return int(tx.value(load_queries(_SQL)["advance"]))


def _save(tx: Transaction, name: str, rule: RouteRule | None, epoch: int) -> Row:
    # Written whole: what a version means does not change with the defaults of later code.
    document = None if rule is None else Jsonb(rule.model_dump(mode="json"))
    row = tx.one(load_queries(_SQL)["save"], {"name": name, "rule": document}) or {}
    tx.execute(load_queries(_SQL)["keep"], {"name": name})
    tx.after_commit.append(lambda: announce(epoch))
    return row


def _route(row: Row) -> Route:
    """Return a stored rule; what another version of the code has written more into it does not count."""
    return Route.model_validate(row, extra="ignore")


def _find(tx: Transaction, name: str) -> Route | None:
    row = tx.one(load_queries(_SQL)["find"], {"name": name})
    return _route(row) if row and row["rule"] is not None else None


def _require(tx: Transaction, name: str, if_match: str | None) -> None:
    found = _find(tx, name)
    if found is None and if_match is not None and "*" in if_match:
        # `*` asks that there be one (RFC 9110, 13.1.1).
        if_match = '"none"'
    require_match(if_match, found.etag if found else _NO_ETAG)


def _refuse_twins(tx: Transaction, name: str, rule: RouteRule) -> None:
    shape = read_pattern(rule.path).shape
    for other in read_rules(tx):
        if other.name == name or other.rule.service != rule.service:
            continue
        both = sorted({*other.rule.methods} & {*rule.methods})
        if both and read_pattern(other.rule.path).shape == shape:
            raise ConflictError(
                f"The rule {other.name} matches the same requests ({', '.join(both)}).",
                errors=[FieldError("path", "is another rule's already", "unique")],
            )


def _no_such_route(field: str = "route") -> NotFoundError:
    return NotFoundError(
        "There is no such route.", errors=[FieldError(field, "does not exist", "not_found")]
    )
