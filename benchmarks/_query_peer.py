"""A peer of PostgREST's face that a registry has: Piccolo's CRUD endpoints over tables that are there.

It serves each table named as an argument at a path of its own, by uvicorn, without sign-in. It has no
grouping and no `or`. It runs in an environment of its own (`make bench` brings it):

    DATABASE_URL=postgresql://... python benchmarks/_query_peer.py PORT TABLE...
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from piccolo.columns import BigInt, Boolean, Date, DoublePrecision, Varchar
from piccolo.engine.postgres import PostgresEngine
from piccolo.table import create_table_class
from piccolo_api.crud.endpoints import PiccoloCRUD
from starlette.routing import Mount, Router

SCHEMA = "public"


def endpoints(table: str, engine: PostgresEngine) -> PiccoloCRUD:
    """Return the endpoints of a table that has the benchmark's columns."""
    columns: dict[str, Any] = {
        "id": BigInt(primary_key=True),
        "day": Date(null=True),
        "value": DoublePrecision(null=True),
        "station": Varchar(null=True),
        "ok": Boolean(null=True),
    }
    made = create_table_class(
        table.title(),
        class_kwargs={"tablename": table, "schema": SCHEMA, "db": engine},
        class_members=columns,
    )
    return PiccoloCRUD(made)


def main(port: int, tables: list[str]) -> None:
    """Serve the tables until the process is ended."""
    engine = PostgresEngine(config={"dsn": os.environ["DATABASE_URL"]})
    pooled: dict[str, PiccoloCRUD] = {table: endpoints(table, engine) for table in tables}

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        await engine.start_connection_pool()
        yield
        await engine.close_connection_pool()

    app = Router(
        [Mount(f"/{table}", served) for table, served in pooled.items()], lifespan=lifespan
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
