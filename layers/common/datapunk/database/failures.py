"""PostgreSQL's errors translated to ours, by class of the driver and by SQLSTATE, never by text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from datapunk.errors import (
    ConflictError,
    ContentionError,
    DatapunkError,
    DeadlineExceededError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    UnavailableError,
)

DEPENDENCY = "postgresql"
_COPY_POSITION = re.compile(r"COPY [^,]+, line (?P<line>\d+)(?:, column (?P<column>[^:]+))?")
# As `lake.tables.check_name` makes them of a column's name.
_RULE = re.compile(r"ck_(?P<column>.+)_[0-9a-f]{8}\Z")

_GONE = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.TooManyConnections,
    pg.IdleInTransactionSessionTimeout,
    pg.ReadOnlySqlTransaction,  # a failover made our server a replica
)
_CONTENTION = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable)


def translate(error: psycopg.Error) -> DatapunkError:
    """Return our error for a driver error; the driver's stays reachable as the cause."""
    if isinstance(error, pg.QueryCanceled):
        return DeadlineExceededError("The database could not finish within the time left.")
    if isinstance(error, _CONTENTION):
        return ContentionError(DEPENDENCY, "Another request is changing the same data.")
    if isinstance(error, _GONE):
        return UnavailableError(DEPENDENCY)
    if isinstance(error, (pg.InsufficientPrivilege,)):
        return ForbiddenError("The database does not allow this to the caller.")
    if isinstance(error, (pg.UniqueViolation, pg.ExclusionViolation)):
        return ConflictError("A row with the same key exists.", errors=_fields(error))
    if isinstance(error, (psycopg.DataError, psycopg.IntegrityError, pg.ProgramLimitExceeded)):
        return InvalidInputError("The database refuses a value.", errors=_fields(error))
    if isinstance(error, psycopg.OperationalError) and _connection_lost(error):
        return UnavailableError(DEPENDENCY)
    if isinstance(error, psycopg.InterfaceError):
        return UnavailableError(DEPENDENCY)
    return DatapunkError()


def _connection_lost(error: psycopg.OperationalError) -> bool:
    """Tell a broken connection (no SQLSTATE, or class 08 or 57P) from resource errors of a statement."""
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P", "53"))


def copy_position(error: BaseException | None) -> tuple[int, str | None] | None:
    """Return the line (from 1) and column PostgreSQL's COPY stopped at, or None."""
    if not isinstance(error, psycopg.Error):
        return None
    match = _COPY_POSITION.search(error.diag.context or "")
    return (int(match["line"]), match["column"]) if match else None


def violated_reference(error: BaseException) -> str | None:
    """Return the name of the foreign key that a statement broke, None where it broke none."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, pg.ForeignKeyViolation) else None


def is_cancelled(error: BaseException) -> bool:
    """Tell whether the database gave a statement up when its time was over."""
    return isinstance(error.__cause__, pg.QueryCanceled)


def _fields(error: psycopg.Error) -> list[FieldError]:
    name = error.diag.column_name or ""
    if position := copy_position(error):
        name = name or (position[1] or "")
    code = type(error).__name__.lower()
    message = "breaks a rule of the table"
    if rule := _RULE.match(error.diag.constraint_name or ""):
        name, message = rule["column"], "breaks a rule of the column"
    if isinstance(error, pg.UniqueViolation):
        message, code = "exists already", "unique"
    elif isinstance(error, pg.NotNullViolation):
        message, code = "must not be empty", "missing"
    elif isinstance(error, pg.ProgramLimitExceeded):
        message = "is too large for an index"
    elif isinstance(error, psycopg.DataError):
        message = "cannot be stored in the column's type"
    return [FieldError(name or "(row)", message, code)]


def is_outdated(error: BaseException) -> bool:
    """Tell whether a statement named a table or column that does not exist, or not as it was known."""
    return isinstance(
        error.__cause__,
        (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.DatatypeMismatch),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise ours in place of any driver error of the body."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error
