"""Schemas that others have written, JSON Schema and Avro, read as columns.

Of JSON Schema (2020-12) a part is read: one object, its properties with `type` and the rules there are for
columns. Anything else is refused by name, rather than left unkept. What is inside an object or an array is
kept as it comes, and so are the words that say what is inside. Of Avro, records are read with everything
that has a place in a column.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from datapunk.lake.columns import IDENTIFIER, Column, ColumnType, Sensitivity
from datapunk.lake.geometry import GeoRules
from datapunk.lake.searchable import Language, VectorRules

_JSON_TYPES = Literal["string", "integer", "number", "boolean", "object", "array", "null"]
_PLAIN = {
    "string": ColumnType.TEXT,
    "integer": ColumnType.INTEGER,
    "number": ColumnType.NUMBER,
    "boolean": ColumnType.BOOLEAN,
    "object": ColumnType.JSON,
    "array": ColumnType.JSON,
}
_FORMATS = {
    "date": ColumnType.DATE,
    "date-time": ColumnType.TIMESTAMP,
    "uuid": ColumnType.UUID,
    "decimal": ColumnType.DECIMAL,
}
_CHECKS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
}


def _column(name: str, members: dict[str, Any]) -> Column:
    """Return a column. Raises ValueError that names it."""
    try:
        return Column.model_validate({"name": name, **members})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{name[:63]}: {place + ': ' if place else ''}{message}") from None


# -- JSON Schema -----------------------------------------------------------------------------------


class JsonProperty(BaseModel):
    """A property that becomes a column."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    type: _JSON_TYPES | list[_JSON_TYPES]
    format: str | None = None
    title: str = ""
    description: str = ""
    comment: str | None = Field(default=None, alias="$comment")
    examples: list[Any] = []
    default: Any = None
    deprecated: bool = False
    enum: list[Any] | None = None
    minimum: Any = None
    maximum: Any = None
    exclusive_minimum: Any = Field(default=None, alias="exclusiveMinimum")
    exclusive_maximum: Any = Field(default=None, alias="exclusiveMaximum")
    min_length: int | None = Field(default=None, alias="minLength")
    max_length: int | None = Field(default=None, alias="maxLength")
    pattern: str | None = None
    sensitivity: Sensitivity = Field(default=Sensitivity.INTERNAL, alias="x-sensitivity")
    vector: VectorRules | None = Field(default=None, alias="x-vector")
    geo: GeoRules | None = Field(default=None, alias="x-geo")
    full_text: Language | None = Field(default=None, alias="x-full-text")
    properties: dict[str, Any] | None = Field(default=None, description="Not checked.")
    required: list[str] | None = Field(default=None, description="Not checked.")
    additional: Any = Field(default=None, alias="additionalProperties", description="Not checked.")
    items: Any = Field(default=None, description="Not checked.")

    def column(self, name: str, *, required: bool) -> Column:
        """Return the column. Raises ValueError where the property cannot be one."""
        kinds = [self.type] if isinstance(self.type, str) else self.type
        named = [kind for kind in kinds if kind != "null"]
        if len(named) != 1:
            raise ValueError(f"{name[:63]}: type must name one type, and null beside it at most")
        kind = _PLAIN[named[0]]
        inside = (self.properties, self.required, self.additional, self.items)
        if kind is not ColumnType.JSON and any(word is not None for word in inside):
            raise ValueError(f"{name[:63]}: what is inside is for objects and arrays")
        if kind is ColumnType.TEXT:
            kind = _FORMATS.get(self.format or "", kind)
        if self.vector is not None and named[0] == "array":
            kind = ColumnType.VECTOR
        if self.geo is not None and named[0] == "object":
            kind = ColumnType.GEO
        checks = {
            ours: value for ours in _CHECKS.values() if (value := getattr(self, ours)) is not None
        }
        listed = [value for value in self.enum or () if value is not None]
        if listed:
            checks["enum"] = listed
        return _column(
            name,
            {
                "type": kind,
                "nullable": "null" in kinds or not required,
                "description": self.description or self.title,
                "default": self.default,
                "checks": checks or None,
                "sensitivity": self.sensitivity,
                "deprecated": "Deprecated in its schema." if self.deprecated else None,
                "vector": self.vector,
                "geo": self.geo,
                "full_text": self.full_text,
            },
        )


class JsonSchema(BaseModel):
    """An object whose properties become columns."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    dialect: Literal["https://json-schema.org/draft/2020-12/schema"] | None = Field(
        default=None, alias="$schema"
    )
    id: str | None = Field(default=None, alias="$id")
    comment: str | None = Field(default=None, alias="$comment")
    title: str = ""
    description: str = ""
    type: Literal["object"]
    properties: dict[str, JsonProperty] = Field(min_length=1, max_length=250)
    required: list[str] = []
    additional: Literal[False] = Field(
        default=False,
        alias="additionalProperties",
        description="A row has no values beyond its columns.",
    )
    _columns: list[Column] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _make_columns(self) -> JsonSchema:
        for name in self.required:
            if name not in self.properties:
                raise ValueError(f"required names {name[:63]}, which is no property")
        self._columns = [
            item.column(name, required=name in self.required)
            for name, item in self.properties.items()
        ]
        return self

    def declared(self) -> dict[str, Any]:
        """Return what the schema says of a dataset."""
        return {
            "description": self.description or self.title,
            "columns": [column.model_dump() for column in self._columns],
        }


# -- Avro ------------------------------------------------------------------------------------------

_AVRO_TYPES = {
    "boolean": ColumnType.BOOLEAN,
    "int": ColumnType.INTEGER,
    "long": ColumnType.INTEGER,
    "float": ColumnType.NUMBER,
    "double": ColumnType.NUMBER,
    "string": ColumnType.TEXT,
    "record": ColumnType.JSON,
    "array": ColumnType.JSON,
    "map": ColumnType.JSON,
}
_AVRO_LOGICAL = {
    ("int", "date"): ColumnType.DATE,
    ("long", "timestamp-millis"): ColumnType.TIMESTAMP,
    ("long", "timestamp-micros"): ColumnType.TIMESTAMP,
    ("string", "uuid"): ColumnType.UUID,
    ("bytes", "decimal"): ColumnType.DECIMAL,
    ("fixed", "decimal"): ColumnType.DECIMAL,
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class AvroField(BaseModel):
    """A field that becomes a column; attributes Avro does not know are left aside, as Avro has it."""

    name: str
    type: Any
    doc: str = ""
    default: Any = None
    aliases: list[str] = []
    sensitivity: Sensitivity = Sensitivity.INTERNAL

    def column(self, enums: dict[str, list[str]]) -> Column:
        """Return the column. Raises ValueError where the field cannot be one."""
        branches = self.type if isinstance(self.type, list) else [self.type]
        named = [branch for branch in branches if branch != "null"]
        if len(named) != 1:
            raise ValueError(f"{self.name[:63]}: a union is of null and one other type")
        kind, logical, symbols = self._kind(named[0], enums)
        return _column(
            self.name,
            {
                "type": kind,
                "nullable": "null" in branches,
                "description": self.doc,
                "default": self._default(kind, logical),
                "checks": {"enum": symbols} if symbols else None,
                "sensitivity": self.sensitivity,
                "aliases": self.aliases,
            },
        )

    def _kind(self, branch: Any, enums: dict[str, list[str]]) -> tuple[ColumnType, str, list[str]]:
        schema = branch if isinstance(branch, dict) else {"type": branch}
        name, logical = schema.get("type"), str(schema.get("logicalType", ""))
        if isinstance(name, dict):
            return self._kind(name, enums)
        if name == "enum" and isinstance(schema.get("symbols"), list) and schema["symbols"]:
            symbols = [str(symbol) for symbol in schema["symbols"]]
            enums[str(schema.get("name", ""))] = symbols
            return ColumnType.TEXT, "", symbols
        if isinstance(name, str) and name in enums:
            return ColumnType.TEXT, "", enums[name]
        kind = _AVRO_LOGICAL.get((str(name), logical)) or _AVRO_TYPES.get(str(name))
        if kind is None or logical.startswith(("time-", "local-", "duration")):
            what = f"{str(name)[:40]}{' ' + logical[:40] if logical else ''}"
            raise ValueError(f"{self.name[:63]}: there is no column type for {what}")
        return kind, logical if (str(name), logical) in _AVRO_LOGICAL else "", []

    def _default(self, kind: ColumnType, logical: str) -> Any:
        """Return the default as JSON has it: Avro counts days and milliseconds."""
        value = self.default
        if value is None or kind not in (ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.DECIMAL):
            return value
        if kind is ColumnType.DECIMAL:
            raise ValueError(
                f"{self.name[:63]}: defaults of decimals are bytes, which are not read"
            )
        unit = {"date": 86_400_000_000, "timestamp-millis": 1_000}.get(logical, 1)
        try:
            moment = _EPOCH + dt.timedelta(microseconds=int(value) * unit)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{self.name[:63]}: the default is not of the type") from None
        return moment.date().isoformat() if kind is ColumnType.DATE else moment.isoformat()


class AvroRecord(BaseModel):
    """A record whose fields become columns."""

    type: Literal["record"]
    name: str
    namespace: str | None = None
    doc: str = ""
    fields: list[AvroField] = Field(min_length=1, max_length=250)
    _columns: list[Column] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _make_columns(self) -> AvroRecord:
        enums: dict[str, list[str]] = {}
        self._columns = [field.column(enums) for field in self.fields]
        return self

    def declared(self) -> dict[str, Any]:
        """Return what the record says of a dataset."""
        found: dict[str, Any] = {
            "description": self.doc,
            "columns": [column.model_dump() for column in self._columns],
        }
        short = self.name.rpartition(".")[2]
        if re.match(IDENTIFIER, short):
            found["name"] = short
        return found
