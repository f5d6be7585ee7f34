"""Limits other than the default: set for a tenant, for operations, for a client, or any of them together.

A limit is named by these three, in each of which `*` stands for any. Only the platform's operators set
them: a tenant that could raise its own limit would have none. `datapunk.limits` counts by them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import FieldError, InvalidInputError, NotFoundError, PreconditionFailedError
from datapunk.nexus.documents import openapi_document
from datapunk.paging import Page, decode_cursor, encode_cursor
from datapunk.preconditions import require_match

_SQL = Path(__file__).with_suffix(".sql")
_LIST = "nexus.rate_limits"
ANY = "*"

TENANT = r"^(\*|[a-z][a-z0-9_-]{0,62})$"
OPERATIONS = r"^(\*|[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62})?)$"
CLIENT = r"^(\*|(user|client|service|key|address):[A-Za-z0-9][A-Za-z0-9._:-]{0,127})$"


class WantedLimit(BaseModel):
    """So many requests in so many seconds."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"quota": 10000, "window_seconds": 60}]}
    )

    quota: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    window_seconds: Annotated[int, Field(strict=True, ge=1, le=86_400)] = 60


class RateLimit(BaseModel):
    """A limit as it is stored."""

    tenant: str = Field(description="Whose requests are limited; `*` for those of every tenant.")
    operations: str = Field(description="An operation, a module, or `*` for all together.")
    client: str = Field(description="A principal, a key, an address, or `*` for each.")
    quota: int
    window_seconds: int
    created_at: datetime

    @property
    def etag(self) -> str:
        """Entity tag of this state of the limit (RFC 9110, 8.8.3): all of it that can change."""
        made = int(self.created_at.timestamp() * 1_000_000)
        return f'"{made:x}-{self.quota:x}-{self.window_seconds:x}"'


@dataclass(frozen=True, slots=True)
class LimitName:
    """Which limit is meant: whose requests, to what, by which client; each may be `*`."""

    tenant: str
    operations: str
    client: str

    @property
    def columns(self) -> dict[str, str]:
        """The name as the table has it."""
        known = "" if self.operations == ANY else self.operations
        return {
            "tenant": self.tenant,
            "service": "" if "." in known else known,
            "route": known if "." in known else "",
            "subject": "" if self.client == ANY else self.client,
        }


def set_limit(
    tx: Transaction, name: LimitName, wanted: WantedLimit, *, if_match: str | None = None
) -> RateLimit:
    """Set a limit and return it; the same again changes nothing. For `identity.SYSTEM`.

    Raises InvalidInputError when there are no such operations, PreconditionFailedError when the limit is
    not in the state that `if_match` names, or there is none.
    """
    _require_known(name.operations)
    if if_match is not None:
        _require_state(tx, name, if_match)
    tx.execute(load_queries(_SQL)["put"], {**name.columns, **wanted.model_dump()})
    return find_limit(tx, name)


def find_limit(tx: Transaction, name: LimitName) -> RateLimit:
    """Return a limit. Raises NotFoundError when none is set under this name."""
    row = tx.one(load_queries(_SQL)["find"], name.columns)
    if row is None:
        raise NotFoundError(
            "No limit is set under this name.",
            errors=[FieldError("operations", "has no limit of its own", "not_found")],
        )
    return _limit(row)


def delete_limit(tx: Transaction, name: LimitName, *, if_match: str | None = None) -> None:
    """Let what is more general count again. For `identity.SYSTEM`.

    Raises NotFoundError when none is set under this name, PreconditionFailedError when it is not in the
    state that `if_match` names.
    """
    if if_match is not None:
        _require_state(tx, name, if_match)
    if tx.execute(load_queries(_SQL)["delete"], name.columns) == 0:
        find_limit(tx, name)


def list_limits(tx: Transaction, *, limit: int, cursor: str | None = None) -> Page[RateLimit]:
    """Return a page of the limits whom the caller can see: his tenant's, all for `identity.SYSTEM`."""
    columns = ("tenant", "service", "route", "subject")
    after = decode_cursor(_LIST, cursor, len(columns)) if cursor else [""] * len(columns)
    position = dict(zip(columns, map(str, after), strict=True))
    rows = tx.all(load_queries(_SQL)["list"], {**position, "limit": limit + 1})
    page = rows[:limit]
    last = [page[-1][column] for column in columns] if len(rows) > limit else None
    return Page(
        items=[_limit(row) for row in page],
        next_cursor=encode_cursor(_LIST, last) if last else None,
    )


def _require_state(tx: Transaction, name: LimitName, if_match: str) -> None:
    tx.execute(load_queries(_SQL)["lock"], name.columns)
    row = tx.one(load_queries(_SQL)["find"], name.columns)
    if row is None:
        raise PreconditionFailedError
    require_match(if_match, _limit(row).etag)


def _limit(row: Row) -> RateLimit:
    named = {
        "operations": row["route"] or row["service"] or ANY,
        "client": row["subject"] or ANY,
    }
    return RateLimit.model_validate({**row, **named})


def _require_known(operations: str) -> None:
    """Refuse a misspelt name: its limit would never count."""
    if operations != ANY and operations not in _limitable():
        raise InvalidInputError(
            f"There is no module and no operation {operations}.",
            errors=[FieldError("operations", "is no module and no operation", "unknown")],
        )


@cache
def _limitable() -> frozenset[str]:
    """Return the modules that answer requests, and their operations."""
    document: Mapping[str, Any] = json.loads(openapi_document())
    names = {
        ".".join(item["operationId"].split(".")[:2])
        for methods in document["paths"].values()
        for item in methods.values()
    }
    return frozenset(names | {name.partition(".")[0] for name in names})
