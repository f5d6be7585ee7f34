"""Every flag there is. A flag that is not declared here cannot be asked for.

A flag's default is what holds where nobody has set anything, and where what was set cannot be read: choose
the value with which the platform works as documented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

Kind = TypeVar("Kind", bool, int, float, str)
KindName = Literal["boolean", "integer", "number", "string"]
_NAMES: dict[type, KindName] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
}


@dataclass(frozen=True, slots=True)
class Flag(Generic[Kind]):
    """A flag.

    `owner` is the module whose behaviour it changes; `attributes` are what its rules may look at besides what
    every rule may (`datapunk.flags.evaluation.context_of`).
    """

    name: str
    default: Kind
    owner: str
    description: str
    attributes: tuple[str, ...] = ()

    @property
    def kind(self) -> KindName:
        """The type of its values, in the words of JSON Schema."""
        return _NAMES[type(self.default)]


LAKE_INGEST = Flag(
    name="lake.ingest",
    default=True,
    owner="lake",
    description="Whether records may be inserted. Off: inserts are answered 503 `paused`; reading goes on.",
    attributes=("dataset",),
)
LAKE_ROWS_PER_INSERT = Flag(
    name="lake.rows_per_insert",
    default=10_000_000,
    owner="lake",
    description="Most rows one request may insert; more are answered 413. The default is beyond any body.",
    attributes=("dataset",),
)

FLAGS: dict[str, Flag[Any]] = {flag.name: flag for flag in (LAKE_INGEST, LAKE_ROWS_PER_INSERT)}
