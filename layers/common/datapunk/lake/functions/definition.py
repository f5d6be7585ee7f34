"""What a registered function is: parameters, and a query of one dataset in PostgREST's words.

The query is a request's parameters as an object. Where a value stands, `{name}` may stand, which is what a
call gives for the parameter of that name.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from datapunk.lake.columns import NEARNESS, RESERVED, ColumnType, Identifier, stored_value

MOST_PARAMETERS = 64
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,62})\}")
"""What stands for a parameter, where it is the whole of a value."""
_UNREAD = ("columns", "on_conflict")

Text = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]


class Returns(StrEnum):
    """What a call is answered with."""

    SET = "set"
    SINGLE = "single"
    SCALAR = "scalar"


def _compared(kind: ColumnType) -> ColumnType:
    if kind in NEARNESS:
        raise ValueError(f"conditions do not compare {kind}")
    return kind


_COMPARED = [kind.value for kind in ColumnType if kind not in NEARNESS]
ParameterType = Annotated[
    ColumnType,
    AfterValidator(_compared),
    WithJsonSchema({"type": "string", "enum": _COMPARED}),
]
"""What an argument may be: the types of columns that conditions compare."""


class Parameter(BaseModel):
    """A typed parameter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Identifier
    type: ParameterType
    many: bool = Field(
        default=False,
        strict=True,
        description="Whether arguments are lists, for `in`, `(any)` and `(all)`.",
    )
    optional: bool = Field(
        default=False,
        strict=True,
        description="Whether a call may leave it out or give null, and conditions with it then fall away.",
    )
    default: Any = Field(
        default=None, description="Argument of calls that give none; null means that there is none."
    )
    description: str = Field(default="", max_length=1000)

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"{name} means something else in a query")
        return name

    @model_validator(mode="after")
    def _default_fits(self) -> Parameter:
        if self.default is None:
            return self
        if self.optional:
            raise ValueError("a parameter is optional or has a default, not both")
        if self.many and not isinstance(self.default, list):
            raise ValueError(f"the default of {self.name} must be a list")
        for value in self.default if self.many else [self.default]:
            stored_value(self.type, value)
        return self

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is None and not self.optional


class FunctionDefinition(BaseModel):
    """A named query of a dataset, with parameters."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(default="", max_length=1000)
    parameters: Annotated[list[Parameter], Field(max_length=MOST_PARAMETERS)] = Field(default=[])
    dataset: Identifier = Field(description="The dataset that is read.")
    query: Annotated[dict[Text, Text | list[Text]], Field(max_length=200)] = Field(
        default={},
        description="A request's parameters: `select`, `order`, `limit`, `offset` and filters. `{name}` as"
        " a whole value stands for a parameter.",
        examples=[{"select": "id,total", "total": "gte.{least}", "order": "total.desc"}],
    )
    returns: Returns = Field(
        default=Returns.SET,
        description="All rows (`set`), the first one (`single`), or its only value (`scalar`).",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> FunctionDefinition:
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) != len(names):
            raise ValueError("two parameters have the same name")
        for name in _UNREAD:
            if name in self.query:
                raise ValueError(f"{name} is for rows that are written, and a function reads")
        return self

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter called `name`, or None."""
        return next((item for item in self.parameters if item.name == name), None)


class Function(FunctionDefinition):
    """A function as it is registered."""

    name: str
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime
