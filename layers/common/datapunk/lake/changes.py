"""Changes of a dataset's definition: each named, checked, and applied to the definition in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from datapunk.errors import ConflictError, DatapunkError, FieldError, InvalidInputError
from datapunk.lake.checks import Checks
from datapunk.lake.columns import Column, ColumnType, Identifier, Sensitivity
from datapunk.lake.datasets import Dataset
from datapunk.lake.definition import Compatibility, Reference, Retention
from datapunk.lake.privacy.declared import Masking

WIDENINGS: dict[ColumnType, frozenset[ColumnType]] = {
    ColumnType.INTEGER: frozenset({ColumnType.NUMBER, ColumnType.DECIMAL, ColumnType.TEXT}),
    ColumnType.NUMBER: frozenset({ColumnType.DECIMAL, ColumnType.TEXT}),
    ColumnType.DECIMAL: frozenset({ColumnType.TEXT}),
    ColumnType.BOOLEAN: frozenset({ColumnType.TEXT}),
    ColumnType.DATE: frozenset({ColumnType.TIMESTAMP, ColumnType.TEXT}),
    ColumnType.UUID: frozenset({ColumnType.TEXT}),
}
"""Types that hold every value of another; integers become numbers while none is beyond 2^53."""


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AddColumn(_Change):
    """Add a column, which may be null or has a default."""

    op: Literal["add_column"]
    column: Column


class RenameColumn(_Change):
    """Give a column another name; requests may go on using the old one."""

    op: Literal["rename_column"]
    column: Identifier
    name: Identifier


class WidenColumn(_Change):
    """Give a column a type that holds every value it has."""

    op: Literal["widen_column"]
    column: Identifier
    type: ColumnType


class MakeNullable(_Change):
    """Let a column be null."""

    op: Literal["make_nullable"]
    column: Identifier


class SetDefault(_Change):
    """Set what rows are given that come without a value; null takes the default back."""

    op: Literal["set_default"]
    column: Identifier
    default: Any = None


class SetChecks(_Change):
    """Set the rules of a column's values, in place of those it has; null takes them back."""

    op: Literal["set_checks"]
    column: Identifier
    checks: Checks | None = None


class DescribeColumn(_Change):
    """Set what is said of a column."""

    op: Literal["describe_column"]
    column: Identifier
    description: str | None = Field(default=None, max_length=1000)
    sensitivity: Sensitivity | None = None


class SetMasking(_Change):
    """Set what is shown of a column to whom, in place of what was; null takes it back."""

    op: Literal["set_masking"]
    column: Identifier
    masking: Masking | None = None


class DeprecateColumn(_Change):
    """Say that a column should not be used any more, and why; null takes it back."""

    op: Literal["deprecate_column"]
    column: Identifier
    reason: str | None = Field(min_length=1, max_length=1000)


class DropColumn(_Change):
    """Remove a deprecated column with its values."""

    op: Literal["drop_column"]
    column: Identifier


class SetRetention(_Change):
    """Set after how many months rows go to an archive; null keeps them in the table for ever."""

    op: Literal["set_retention"]
    months: Retention | None


ColumnChange = (
    AddColumn
    | RenameColumn
    | WidenColumn
    | MakeNullable
    | SetDefault
    | SetChecks
    | DescribeColumn
    | SetMasking
    | DeprecateColumn
    | DropColumn
)
Change = Annotated[ColumnChange | SetRetention, Field(discriminator="op")]


class DatasetChanges(BaseModel):
    """Changes that become one new version, all or none."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "changes": [
                        {"op": "add_column", "column": {"name": "method", "type": "text"}},
                        {"op": "rename_column", "column": "ppm", "name": "co2_ppm"},
                    ]
                }
            ]
        },
    )

    changes: Annotated[list[Change], Field(max_length=50)] = []
    description: str | None = Field(default=None, max_length=4000)
    compatibility: Compatibility | None = Field(
        default=None, description="Which changes are let through from now on, these included."
    )

    @field_validator("description")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        if value is not None and "\x00" in value:
            raise ValueError("must not contain the NUL character")
        return value


def apply_change(dataset: Dataset, change: Change, place: int) -> Dataset:
    """Return the dataset as one change leaves it.

    `place` is the change's among those of the request, for errors to name. Raises InvalidInputError where
    it makes no sense, ConflictError where it does not go with what there is.
    """
    return _Applying(dataset, place).apply(change)


class _Applying:
    def __init__(self, dataset: Dataset, place: int) -> None:
        self.dataset = dataset
        self.place = place

    def apply(self, change: Change) -> Dataset:
        if isinstance(change, AddColumn):
            return self._add(change.column)
        if isinstance(change, SetRetention):
            return self._retain(change.months)
        column = self._named(change.column)
        if isinstance(change, RenameColumn):
            return self._rename(column, change.name)
        if isinstance(change, DropColumn):
            return self._drop(column)
        return self._rebuilt({column.name: self._update(column, change)})

    def _update(self, column: Column, change: ColumnChange) -> dict[str, Any]:
        """Return the members of a column that change."""
        match change:
            case WidenColumn():
                return self._widen(column, change.type)
            case MakeNullable():
                if column.name in self.dataset.key or column.name == self.dataset.event_time:
                    raise self._conflict(
                        "is part of the key or the event time, which is never null"
                    )
                return {"nullable": True}
            case SetDefault():
                return {"default": change.default}
            case SetChecks():
                return {"checks": change.checks.model_dump() if change.checks else None}
            case DescribeColumn():
                return change.model_dump(exclude={"op", "column"}, exclude_none=True)
            case SetMasking():
                return {"masking": change.masking.model_dump() if change.masking else None}
            case DeprecateColumn():
                return {"deprecated": change.reason}
        raise AssertionError(change)  # pragma: no cover -- every change is named above

    def _add(self, column: Column) -> Dataset:
        if column.required:
            raise self._invalid(
                "needs a default, or must be nullable: there may be rows", "required"
            )
        taken = next((own for own in self.dataset.columns if {*own.names} & {*column.names}), None)
        if taken is not None:
            raise self._conflict(f"{column.name} is a name of the column {taken.name}")
        return self._rebuilt({}, added=[column])

    def _retain(self, months: int | None) -> Dataset:
        if months is not None and self.dataset.event_time is None:
            message = "the dataset has no event time by whose months rows could go to an archive"
            raise InvalidInputError(
                f"Change {self.place + 1}: {message}.",
                errors=[FieldError(f"changes.{self.place}.months", message, "event_time")],
            )
        return self.dataset.model_copy(update={"retention_months": months})

    def _rename(self, column: Column, name: str) -> Dataset:
        other = self.dataset.column(name)
        if other is not None and other.name != column.name:
            raise self._conflict(f"{name} is a name of the column {other.name}")
        if column.encrypted and name in column.aliases:
            raise self._conflict(f"{column.name} is encrypted and cannot take back the name {name}")
        aliases = [alias for alias in column.names if alias != name]
        changed = {"name": name, "aliases": aliases}
        return self._rebuilt(
            {column.name: changed}, rename=lambda old: name if old == column.name else old
        )

    def _widen(self, column: Column, kind: ColumnType) -> dict[str, Any]:
        if kind not in WIDENINGS.get(column.type, ()):
            raise self._invalid(f"{kind} does not hold every value of {column.type}", "type")
        if column.encrypted:
            raise self._conflict("is encrypted, and its values cannot be converted")
        if column.name == self.dataset.event_time:
            raise self._conflict("is the event time, by which the table is partitioned")
        if any(column.name in link.columns for link in self.dataset.references):
            raise self._conflict("is part of a reference, whose other side has its type")
        changed: dict[str, Any] = {"type": kind}
        if column.default is not None:
            changed["default"] = _widened(column.type, kind, column.default)
        if column.checks is not None:
            checks = column.checks.model_dump()
            for name in column.checks.bounds:
                checks[name] = _widened(column.type, kind, checks[name])
            if checks["enum"]:
                checks["enum"] = [_widened(column.type, kind, item) for item in checks["enum"]]
            changed["checks"] = checks
        return changed

    def _drop(self, column: Column) -> Dataset:
        if column.deprecated is None:
            raise self._conflict(
                "is not deprecated: deprecate it first, so that clients can follow"
            )
        used: dict[str, Sequence[str | None]] = {
            "the key": self.dataset.key,
            "the event time": [self.dataset.event_time],
            "each row as its subject": [self.dataset.subject],
            "what is unique": [name for names in self.dataset.unique for name in names],
            "an index": [name for names in self.dataset.indexes for name in names],
            "a reference": [name for link in self.dataset.references for name in link.columns],
        }
        for what, names in used.items():
            if column.name in names:
                raise self._conflict(f"is part of {what}")
        return self._rebuilt({}, dropped=column.name)

    def _rebuilt(
        self,
        changed: dict[str, dict[str, Any]],
        *,
        added: Sequence[Column] = (),
        dropped: str | None = None,
        rename: Callable[[str], str] = lambda name: name,
    ) -> Dataset:
        """Return the dataset with other columns, checked as a declaration is."""
        dataset = self.dataset
        document = dict(dataset)
        document["columns"] = [
            {**column.model_dump(), **changed.get(column.name, {})}
            for column in [*dataset.columns, *added]
            if column.name != dropped
        ]
        document["key"] = [rename(name) for name in dataset.key]
        for part in ("event_time", "subject"):
            document[part] = rename(document[part]) if document[part] else None
        for part in ("unique", "indexes"):
            document[part] = [[rename(name) for name in names] for names in document[part]]
        document["references"] = [
            _renamed(link, rename, itself=link.dataset == dataset.name)
            for link in dataset.references
        ]
        try:
            return Dataset.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            message = str(first["msg"]).removeprefix("Value error, ")
            raise self._invalid(message, str(first["type"])) from None

    def _named(self, name: str) -> Column:
        column = self.dataset.column(name)
        if column is None:
            raise self._invalid(f"{name} is not a column of the dataset", "unknown_column")
        return column

    def _invalid(self, message: str, code: str) -> DatapunkError:
        return InvalidInputError(
            f"Change {self.place + 1}: {message}.",
            errors=[FieldError(f"changes.{self.place}.column", message, code)],
        )

    def _conflict(self, message: str) -> DatapunkError:
        return ConflictError(
            f"Change {self.place + 1}: the column {message}."
            if message.startswith("is ")
            else f"Change {self.place + 1}: {message}.",
            errors=[FieldError(f"changes.{self.place}.column", message, "conflict")],
        )


def _renamed(link: Reference, rename: Callable[[str], str], *, itself: bool) -> dict[str, Any]:
    theirs = [rename(name) if itself else name for name in link.references]
    return {
        **link.model_dump(),
        "columns": [rename(name) for name in link.columns],
        "references": theirs,
    }


def _widened(old: ColumnType, new: ColumnType, value: Any) -> Any:
    """Return a value of a declaration, as JSON has it, as one of the wider type."""
    if new is ColumnType.TEXT:
        return str(value).lower() if old is ColumnType.BOOLEAN else str(value)
    if (old, new) == (ColumnType.DATE, ColumnType.TIMESTAMP):
        return f"{value}T00:00:00Z"
    return value
