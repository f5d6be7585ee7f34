"""What the platform's database holds before the first migration: roles, database, extensions."""

from __future__ import annotations

import psycopg
from psycopg import sql

from infrastructure.local.services.service import READY_SECONDS, ServiceError

ROLE = "datapunk"
DATABASE = "datapunk"
OWNERS = ("lake_owner", "audit_owner")
"""Roles that own tables which the platform's role must not own; migrations act as them."""

FIND_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = %s"
FIND_DATABASE = "SELECT 1 FROM pg_database WHERE datname = %s"
CREATE_ROLE = "CREATE ROLE {role}"
# As on RDS, where the master user is no superuser. REPLICATION is what `rds_replication` gives
# there: change capture opens its slot with it.
SET_ROLE = """
ALTER ROLE {role} WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION PASSWORD {password}
"""
SET_OWNER = "ALTER ROLE {owner} WITH NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"
GRANT_OWNER = "GRANT {owner} TO {role} WITH INHERIT FALSE, SET TRUE"
CREATE_DATABASE = "CREATE DATABASE {database} OWNER {role}"
GRANT_DATABASE = "GRANT CREATE, CONNECT, TEMPORARY ON DATABASE {database} TO {role}"
CREATE_EXTENSION = "CREATE EXTENSION IF NOT EXISTS {extension}"


def admits_superuser(superuser_url: str) -> bool:
    """Tell whether the server is up and lets its superuser in.

    Raises ServiceError when it is up and refuses the password: waiting would not help.
    """
    try:
        psycopg.connect(superuser_url, connect_timeout=int(READY_SECONDS)).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise ServiceError(
                "postgres does not accept the password in state.json, so that file is not the one "
                "its data was made with: restore it, or remove the data folder"
            ) from error
        return False
    return True


def provision(superuser_url: str, *, password: str, extensions: tuple[str, ...]) -> None:
    """Make what is missing of roles, database and extensions. May be repeated at any time.

    `superuser_url` names the database `postgres`; `password` is that of the platform's role.
    """
    with psycopg.connect(superuser_url, autocommit=True) as server:
        _create_roles(server, password)
        if server.execute(FIND_DATABASE, (DATABASE,)).fetchone() is None:
            server.execute(_composed(CREATE_DATABASE))
        server.execute(_composed(GRANT_DATABASE))
    with psycopg.connect(superuser_url, dbname=DATABASE, autocommit=True) as database:
        for extension in extensions:
            database.execute(sql.SQL(CREATE_EXTENSION).format(extension=sql.Identifier(extension)))


def _create_roles(server: psycopg.Connection, password: str) -> None:
    for role in (ROLE, *OWNERS):
        if server.execute(FIND_ROLE, (role,)).fetchone() is None:
            server.execute(sql.SQL(CREATE_ROLE).format(role=sql.Identifier(role)))
    server.execute(
        sql.SQL(SET_ROLE).format(role=sql.Identifier(ROLE), password=sql.Literal(password))
    )
    for owner in OWNERS:
        server.execute(_composed(SET_OWNER, owner))
        server.execute(_composed(GRANT_OWNER, owner))


def _composed(statement: str, owner: str = "") -> sql.Composed:
    return sql.SQL(statement).format(
        role=sql.Identifier(ROLE),
        database=sql.Identifier(DATABASE),
        owner=sql.Identifier(owner),
    )
