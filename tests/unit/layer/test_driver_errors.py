"""Every error PostgreSQL's driver can raise becomes one of ours, and the right one where it matters."""

from __future__ import annotations

import psycopg
import pytest
from datapunk.database.failures import copy_position, translate, translated
from datapunk.errors import DatapunkError
from psycopg import errors as pg

BASES = [
    psycopg.Error,
    psycopg.DatabaseError,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    psycopg.OperationalError,
    psycopg.ProgrammingError,
]


def _classes() -> list[type[psycopg.Error]]:
    found: list[type[psycopg.Error]] = [psycopg.Error]
    for cls in found:
        found.extend(cls.__subclasses__())
    return list(dict.fromkeys([*BASES, *found]))


def test_the_walk_finds_every_sqlstate() -> None:
    # Given / When
    named = {cls for cls in vars(pg).values() if isinstance(cls, type)}
    named = {cls for cls in named if issubclass(cls, psycopg.Error)}
    # Then
    assert len(named) > 200
    assert named <= set(_classes())


@pytest.mark.parametrize("cls", _classes(), ids=lambda cls: cls.__name__)
def test_every_class_becomes_ours(cls: type[psycopg.Error]) -> None:
    # Given
    error = cls("planted: password=x")
    # When
    ours = translate(error)
    # Then
    assert isinstance(ours, DatapunkError)
    assert "planted" not in f"{ours.detail} {ours.errors}"


@pytest.mark.parametrize(
    ("cls", "code"),
    [
        (pg.QueryCanceled, "deadline_exceeded"),
        (pg.SerializationFailure, "contention"),
        (pg.DeadlockDetected, "contention"),
        (pg.LockNotAvailable, "contention"),
        (pg.AdminShutdown, "unavailable"),
        (pg.CrashShutdown, "unavailable"),
        (pg.CannotConnectNow, "unavailable"),
        (pg.TooManyConnections, "unavailable"),
        (pg.ReadOnlySqlTransaction, "unavailable"),
        (pg.ConnectionFailure, "unavailable"),
        (pg.DiskFull, "unavailable"),
        (pg.OutOfMemory, "unavailable"),
        (pg.InsufficientPrivilege, "forbidden"),
        (pg.UniqueViolation, "conflict"),
        (pg.ExclusionViolation, "conflict"),
        (pg.NotNullViolation, "invalid_input"),
        (pg.CheckViolation, "invalid_input"),
        (pg.ForeignKeyViolation, "invalid_input"),
        (pg.NumericValueOutOfRange, "invalid_input"),
        (pg.UndefinedTable, "internal"),
        (pg.SyntaxError, "internal"),
        (psycopg.OperationalError, "unavailable"),
        (psycopg.InterfaceError, "unavailable"),
        (psycopg.ProgrammingError, "internal"),
    ],
)
def test_what_an_error_means(cls: type[psycopg.Error], code: str) -> None:
    # Given / When / Then
    assert translate(cls()).code == code


def test_the_drivers_error_stays_the_cause() -> None:
    # Given
    original = pg.UniqueViolation()
    # When
    with pytest.raises(DatapunkError) as raised, translated():
        raise original
    # Then
    assert raised.value.__cause__ is original


def test_other_errors_have_no_position() -> None:
    # Given / When / Then
    assert copy_position(None) is None
    assert copy_position(ValueError("COPY t, line 3")) is None
    assert copy_position(pg.UniqueViolation()) is None
