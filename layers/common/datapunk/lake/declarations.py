"""The ways to declare a dataset: by columns, or by a schema that is there already."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from datapunk.lake.columns import Column
from datapunk.lake.definition import DatasetDefinition, Declared
from datapunk.lake.schemas import AvroRecord, JsonSchema

_WAYS: dict[str, type[JsonSchema | AvroRecord]] = {
    "json_schema": JsonSchema,
    "avro_schema": AvroRecord,
}


def _columns_are_one_way(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema.get("required", ()) if name != "columns"]


class DatasetDeclaration(DatasetDefinition):
    """A definition, or a schema to make one from: one of `columns`, `json_schema` and `avro_schema`.

    Keys, references and the event time are said beside a schema, which has no words for them.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra=_columns_are_one_way,
    )

    columns: Annotated[list[Column], Field(min_length=1, max_length=250)] = Field(default=[])
    json_schema: JsonSchema | None = Field(
        default=None, description="JSON Schema (2020-12, a part) whose properties become columns."
    )
    avro_schema: AvroRecord | None = Field(
        default=None, description="Avro record whose fields become columns."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_schema(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = [name for name in ("columns", *_WAYS) if data.get(name) is not None]
        if len(given) != 1:
            raise ValueError("give one of columns, json_schema and avro_schema")
        if given[0] == "columns":
            return data
        try:
            declared = _WAYS[given[0]].model_validate(data[given[0]]).declared()
        except ValidationError:
            return data  # it is validated once more, as a member, and then the error says where
        return {**declared, **data, "columns": declared["columns"]}

    def definition(self) -> DatasetDefinition:
        """Return the definition alone."""
        members = {"name", *Declared.model_fields}
        return DatasetDefinition.model_validate(self.model_dump(include=members))
