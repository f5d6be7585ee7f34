"""What a dataset is declared as: columns, keys, references, event time; checked as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from datapunk.lake.columns import NEARNESS, RANGES, RESERVED, Column, ColumnType, Identifier

Names = Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=16)]
Retention = Annotated[int, Field(ge=1, le=1200)]
_EVENT_TIMES = (ColumnType.DATE, ColumnType.TIMESTAMP)
_SUBJECTS = (ColumnType.TEXT, ColumnType.UUID, ColumnType.INTEGER)
_LONGEST = 63


class OnDelete(StrEnum):
    """What becomes of a row whose referenced row is deleted."""

    RESTRICT = "restrict"
    CASCADE = "cascade"
    SET_NULL = "set_null"


class Compatibility(StrEnum):
    """Which changes of a definition are let through, as schema registries call them."""

    NONE = "none"
    BACKWARD = "backward"
    FORWARD = "forward"
    FULL = "full"


class Reference(BaseModel):
    """Columns that name a row of a dataset of the same tenant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Identifier | None = Field(
        default=None, description="By default `<dataset>_<columns>_fkey`, cut to 63 characters."
    )
    columns: Names
    dataset: Identifier = Field(description="The dataset referred to, which may be this one.")
    references: Annotated[tuple[Identifier, ...], Field(max_length=16)] = Field(
        default=(), description="Columns there, a key or unique; by default its key."
    )
    on_delete: OnDelete = OnDelete.RESTRICT


class Named(BaseModel):
    """What has a name, which comes first in its document."""

    name: Identifier


class Declared(BaseModel):
    """What can be said of a dataset besides its name."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(default="", max_length=4000)
    columns: Annotated[list[Column], Field(min_length=1, max_length=250)]
    key: Annotated[list[Identifier], Field(max_length=16)] = Field(
        default=[],
        description="Columns that identify a row; a second row with the same key is refused.",
    )
    unique: Annotated[list[Names], Field(max_length=16)] = Field(
        default=[], description="Further columns whose values no two rows may share."
    )
    indexes: Annotated[list[Names], Field(max_length=16)] = Field(
        default=[],
        description="Columns to find rows by. Keys, references and the event time need no mention.",
    )
    references: Annotated[list[Reference], Field(max_length=32)] = Field(
        default=[], description="References to rows of other datasets."
    )
    event_time: Identifier | None = Field(
        default=None,
        description="The date or timestamp by whose months the table is partitioned. "
        "The key and all that is unique must contain it.",
    )
    subject: Identifier | None = Field(
        default=None,
        description="The column that names the person a row is about. What is encrypted in the row is "
        "encrypted by a key of that person, so that it can be erased.",
    )
    compatibility: Compatibility = Field(
        default=Compatibility.BACKWARD, description="Which changes are let through."
    )
    retention_months: Retention | None = Field(
        default=None,
        description="Months after which a month of rows goes from the table to an archive in storage, from "
        "where it can be restored; 12 is usual. Needs an event time. By default rows stay for ever.",
    )

    @field_validator("description")
    @classmethod
    def _storable(cls, value: str) -> str:
        if "\x00" in value:
            raise ValueError("must not contain the NUL character")
        return value

    @field_validator("columns")
    @classmethod
    def _columns_are_distinct(cls, columns: list[Column]) -> list[Column]:
        names = [name for column in columns for name in column.names]
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise ValueError(f"the column {name} is declared twice")
            if name in RESERVED:
                raise ValueError(f"{name} has a meaning in queries and cannot name a column")
            seen.add(name)
        for column in columns:
            if "\x00" in column.description + (column.deprecated or ""):
                raise ValueError(f"the description of {column.name} contains the NUL character")
        return columns

    @model_validator(mode="after")
    def _what_is_named_is_declared(self) -> Declared:
        declared = {column.name: column for column in self.columns}
        for what, names in self._named():
            for name in names:
                if name not in declared:
                    raise ValueError(f"{what} names {name}, which is not a column")
                if declared[name].type in (ColumnType.JSON, *NEARNESS):
                    kind = declared[name].type
                    raise ValueError(
                        f"{what} names {name}, and a {kind} column cannot be part of {_kind(what)}"
                    )
            if len(set(names)) != len(names):
                raise ValueError(f"{what} names a column twice")
        self._require_event_time(declared)
        if any(link.on_delete is OnDelete.SET_NULL for link in self.references):
            self._require_nullable(declared)
        require_protectable(self)
        required = {*self.key, *(name for name in (self.event_time, self.subject) if name)}
        self.columns = [
            column.model_copy(update={"nullable": False}) if column.name in required else column
            for column in self.columns
        ]
        return self

    def _named(self) -> Iterable[tuple[str, Sequence[str]]]:
        yield "the key", self.key
        yield "the subject", [self.subject] if self.subject else []
        yield from (("unique", names) for names in self.unique)
        yield from (("an index", names) for names in self.indexes)
        yield from ((f"the reference to {link.dataset}", link.columns) for link in self.references)

    def _require_event_time(self, declared: dict[str, Column]) -> None:
        name = self.event_time
        if name is None:
            if self.retention_months is not None:
                raise ValueError(
                    "retention_months goes by months of the event time: declare event_time"
                )
            return
        if name not in declared:
            raise ValueError(f"event_time names {name}, which is not a column")
        if declared[name].type not in _EVENT_TIMES:
            raise ValueError(f"event_time names {name}, which is neither date nor timestamp")
        for what, names in [("the key", self.key), *(("unique", names) for names in self.unique)]:
            if names and name not in names:
                raise ValueError(
                    f"{what} must contain {name}: the table is partitioned by it, and PostgreSQL keeps "
                    "values distinct within a partition only"
                )

    def _require_nullable(self, declared: dict[str, Column]) -> None:
        for link in self.references:
            for name in link.columns if link.on_delete is OnDelete.SET_NULL else ():
                if not declared[name].nullable or name in self.key or name == self.event_time:
                    raise ValueError(f"{name} cannot be set to null, which set_null asks for")


def require_protectable(declared: Declared) -> None:
    """Raise ValueError where encrypted or masked columns are used for what their values are needed."""
    encrypted = {column.name for column in declared.columns if column.encrypted}
    masked = {column.name for column in declared.columns if column.masking is not None}
    uses: list[tuple[str, Sequence[str], set[str]]] = [
        ("the key", declared.key, encrypted | masked),
        ("the subject", [declared.subject or ""], encrypted | masked),
        ("event_time", [declared.event_time or ""], encrypted | masked),
        *((f"the reference to {link.dataset}", link.columns, encrypted | masked)
          for link in declared.references),
        *(("unique", names, encrypted) for names in declared.unique),
        *(("an index", names, encrypted) for names in declared.indexes),
    ]  # fmt: skip
    for what, names, unfit in uses:
        for name in names:
            if name in unfit:
                how = "encrypted" if name in encrypted else "masked"
                raise ValueError(f"{what} names {name}, which is {how}")
    kinds = {column.name: column.type for column in declared.columns}
    if encrypted and not declared.key:
        raise ValueError("encrypted values are bound to their row: declare a key")
    if encrypted and any(kinds[name] in RANGES for name in declared.key):
        raise ValueError("encrypted values are bound to their row, whose key cannot have a range")
    if declared.subject and kinds[declared.subject] not in _SUBJECTS:
        raise ValueError(f"the subject names {declared.subject}, which is no text, uuid or integer")


def _kind(what: str) -> str:
    return "a key" if what == "the key" else "it"


class DatasetDefinition(Declared, Named):
    """What a dataset is made from."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "co2_weekly",
                    "description": "Weekly CO2 at Mauna Loa",
                    "columns": [
                        {"name": "week", "type": "date", "nullable": False},
                        {"name": "ppm", "type": "number"},
                    ],
                    "key": ["week"],
                }
            ]
        },
    )

    @model_validator(mode="after")
    def _references_have_names(self) -> DatasetDefinition:
        self.references = [
            link.model_copy(update={"name": link.name or reference_name(self.name, link.columns)})
            for link in self.references
        ]
        names = [link.name for link in self.references]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two references are called {name}: name one of them otherwise")
        return self


def reference_name(dataset: str, columns: Sequence[str]) -> str:
    """Return the name of a reference without one, which is also the foreign key's."""
    return shortened(f"{dataset}_{'_'.join(columns)}_fkey")


def shortened(name: str) -> str:
    """Return a name PostgreSQL keeps whole: a longer one ends with a digest in place of its rest."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
