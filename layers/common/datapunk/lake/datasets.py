"""Datasets: a name, typed columns, and the table that holds the rows."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import ConflictError, FieldError, NotFoundError
from datapunk.lake.columns import RESERVED, SQL_TYPES, Column, ColumnType, Identifier
from datapunk.paging import Page, decode_cursor, encode_cursor

SCHEMA = "lake_data"
OWNER_ROLE = "lake_owner"
ROW_ID = "_id"
"""The key of tables whose dataset declares none."""
_SQL = Path(__file__).with_suffix(".sql")
_LIST = "lake.datasets"


class DatasetDefinition(BaseModel):
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

    name: Identifier
    description: str = Field(default="", max_length=4000)
    columns: Annotated[list[Column], Field(min_length=1, max_length=250)]
    key: Annotated[list[Identifier], Field(max_length=16)] = Field(
        default=[],
        description="Columns that identify a row; a second row with the same key is refused.",
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
        names = [column.name for column in columns]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the column {name} is declared twice")
            if name in RESERVED:
                raise ValueError(f"{name} has a meaning in queries and cannot name a column")
        for column in columns:
            if "\x00" in column.description:
                raise ValueError(f"the description of {column.name} contains the NUL character")
        return columns

    @model_validator(mode="after")
    def _key_is_declared(self) -> DatasetDefinition:
        declared = {column.name: column for column in self.columns}
        for name in self.key:
            if name not in declared:
                raise ValueError(f"the key names {name}, which is not a column")
            if declared[name].type is ColumnType.JSON:
                raise ValueError(f"the key names {name}, and a json column cannot be part of a key")
        if len(set(self.key)) != len(self.key):
            raise ValueError("the key names a column twice")
        self.columns = [
            column.model_copy(update={"nullable": False}) if column.name in self.key else column
            for column in self.columns
        ]
        return self


class Dataset(BaseModel):
    """A dataset as it is stored."""

    name: str
    description: str
    version: int
    columns: list[Column]
    key: list[str]
    owner: str
    created_at: datetime
    updated_at: datetime
    table_name: str = Field(exclude=True)

    @property
    def etag(self) -> str:
        """Entity tag of this state of the dataset (RFC 9110, 8.8.3)."""
        return f'"{self.version}-{int(self.updated_at.timestamp() * 1_000_000):x}"'

    @property
    def table(self) -> sql.Identifier:
        """The table that holds the rows."""
        return sql.Identifier(SCHEMA, self.table_name)

    def column(self, name: str) -> Column | None:
        """Return the column called `name`, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def row_key(self) -> list[Column]:
        """Return the columns that identify a row of the table."""
        if self.key:
            return [column for name in self.key for column in self.columns if column.name == name]
        return [Column.model_construct(name=ROW_ID, type=ColumnType.INTEGER, nullable=False)]


def create_dataset(tx: Transaction, definition: DatasetDefinition) -> Dataset:
    """Create a dataset and its table. Raises ConflictError when the name is taken."""
    table_name = f"{definition.name[:52]}_{secrets.token_hex(4)}"
    try:
        row = tx.one(
            load_queries(_SQL)["insert_dataset"],
            {
                "name": definition.name,
                "description": definition.description,
                "columns": Jsonb([column.model_dump(mode="json") for column in definition.columns]),
                "key": definition.key,
                "table_name": table_name,
                "owner": tx.caller.principal,
            },
        )
    except ConflictError as error:
        raise ConflictError(
            f"There is a dataset called {definition.name} already.",
            errors=[FieldError("name", "is taken", "unique")],
        ) from error
    dataset = _dataset(row or {})
    with tx.acting_as(OWNER_ROLE):
        for statement in _table_statements(dataset, tx.caller.tenant):
            tx.execute(statement)
    return dataset


def find_dataset(tx: Transaction, name: str) -> Dataset:
    """Return the dataset called `name`. Raises NotFoundError when the caller's tenant has none."""
    return existing(look_up_dataset(tx, name), name)


def look_up_dataset(tx: Transaction, name: str) -> Dataset | None:
    """Return the dataset called `name`, None when the caller's tenant has none."""
    row = tx.one(load_queries(_SQL)["find_dataset"], {"name": name})
    return None if row is None else _dataset(row)


def existing(dataset: Dataset | None, name: str) -> Dataset:
    """Return what was found under `name`. Raises NotFoundError when that is nothing."""
    if dataset is None:
        raise NotFoundError(
            f"There is no dataset called {name}.",
            errors=[FieldError("dataset", "does not exist", "not_found")],
        )
    return dataset


def list_datasets(tx: Transaction, *, limit: int, cursor: str | None = None) -> Page[Dataset]:
    """Return a page of datasets by name. Raises InvalidInputError for a foreign cursor."""
    after = str(decode_cursor(_LIST, cursor, 1)[0]) if cursor else ""
    rows = tx.all(load_queries(_SQL)["list_datasets"], {"after": after, "limit": limit + 1})
    items = [_dataset(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(_LIST, [items[-1].name]) if more else None)


def _dataset(row: Row) -> Dataset:
    return Dataset.model_validate(row)


def _table_statements(dataset: Dataset, tenant: str) -> list[sql.Composed]:
    """Return the statements that create the dataset's table, under row-level security.

    A table holds the rows of one tenant, so its policy compares that tenant once per statement; rows need
    no column for it, and bulk loads pay nothing.
    """
    parts: list[sql.Composable] = []
    if not dataset.key:
        # A cached sequence takes numbers by the thousand: loads are a sixth faster, gaps harm nobody.
        identity = "{} bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000)"
        parts.append(sql.SQL(identity).format(sql.Identifier(ROW_ID)))
    parts += [_column_definition(column) for column in dataset.columns]
    key = sql.SQL(", ").join(sql.Identifier(column.name) for column in dataset.row_key())
    parts.append(sql.SQL("PRIMARY KEY ({})").format(key))
    isolation = (
        "CREATE POLICY tenant_isolation ON {table} USING (platform.current_tenant() = {tenant}) "
        "WITH CHECK (platform.current_tenant() = {tenant})"
    )
    return [
        sql.SQL("CREATE TABLE {} ({})").format(dataset.table, sql.SQL(", ").join(parts)),
        sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(dataset.table),
        sql.SQL(isolation).format(table=dataset.table, tenant=sql.Literal(tenant)),
    ]


def _column_definition(column: Column) -> sql.Composed:
    kind: Any = SQL_TYPES[column.type]
    return sql.SQL("{} {}{}").format(
        sql.Identifier(column.name),
        sql.SQL(kind),
        sql.SQL("" if column.nullable else " NOT NULL"),
    )
