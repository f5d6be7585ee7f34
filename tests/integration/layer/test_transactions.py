"""Transactions: in the caller's name, whole or not at all, ended at the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest
from datapunk.context import Trace, WorkContext, working
from datapunk.database import Transaction, transaction
from datapunk.errors import (
    ConflictError,
    ContentionError,
    DatapunkError,
    DeadlineExceededError,
    ForbiddenError,
    InvalidInputError,
)
from datapunk.identity import Caller

from tests.support.invoking import Invoker

ADA = Caller("ada", "acme")


def _work(seconds: float) -> WorkContext:
    return WorkContext("lake.try", "c", Trace("a" * 32, "b" * 16), time.monotonic() + seconds, ADA)


@pytest.fixture
def counted(database: str) -> Callable[[], int]:
    """Return how many rows a table of the test's own has."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE counted (id integer PRIMARY KEY)")

    def rows() -> int:
        with psycopg.connect(database) as connection:
            row = connection.execute("SELECT count(*) FROM counted").fetchone()
        assert row is not None
        return int(row[0])

    return rows


def _insert(tx: Transaction, number: int) -> None:
    tx.execute("INSERT INTO counted VALUES (%s)", (number,))


def test_the_database_sees_the_caller_only_within(database: str) -> None:
    # Given
    question = "SELECT platform.current_tenant(), platform.current_principal()"
    # When
    with transaction(ADA) as tx:
        inside = tx.one(question)
        connection = tx.connection
    outside = connection.execute(question).fetchone()
    # Then
    assert inside == {"current_tenant": "acme", "current_principal": "ada"}
    assert outside == (None, None)


def test_the_caller_of_the_work_in_hand_is_the_default(database: str) -> None:
    # Given / When
    with working(_work(9)), transaction() as tx:
        tenant = tx.value("SELECT platform.current_tenant()")
    # Then
    assert (tenant, tx.caller) == ("acme", ADA)


@pytest.mark.parametrize("name", ["' OR true --", "\\", "%s", "a\nb", "\u00e4"])
def test_a_callers_name_is_a_value(database: str, name: str) -> None:
    # Given / When
    with transaction(Caller(name, name)) as tx:
        found = tx.value("SELECT platform.current_tenant()")
    # Then
    assert found == name


def test_an_error_undoes_everything(counted: Callable[[], int]) -> None:
    # Given / When
    with pytest.raises(RuntimeError), transaction() as tx:  # noqa: PT012 -- the body is the subject
        _insert(tx, 1)
        raise RuntimeError
    # Then
    assert counted() == 0


def test_a_savepoint_undoes_its_own_part(counted: Callable[[], int]) -> None:
    # Given / When
    with transaction() as tx:
        _insert(tx, 1)
        with pytest.raises(ConflictError), tx.savepoint():
            _insert(tx, 1)
        _insert(tx, 2)
    # Then
    assert counted() == 2


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO counted VALUES (1), (1)", ConflictError),
        ("INSERT INTO counted VALUES (NULL)", InvalidInputError),
        ("SELECT 'x'::integer", InvalidInputError),
        ("SELECT * FROM pg_authid", ForbiddenError),
        ("SELECT nothing FROM nowhere", DatapunkError),
    ],
)
def test_errors_leave_as_ours(
    counted: Callable[[], int], statement: str, error: type[DatapunkError]
) -> None:
    # Given / When
    with pytest.raises(DatapunkError) as raised, transaction() as tx:
        tx.execute(statement)
    # Then
    assert type(raised.value) is error
    assert isinstance(raised.value.__cause__, psycopg.Error)
    assert counted() == 0


def test_a_statement_is_ended_at_the_deadline(counted: Callable[[], int]) -> None:
    # Given
    with pytest.raises(DeadlineExceededError), working(_work(0.2)), transaction() as tx:
        # When
        tx.execute("SELECT pg_sleep(30)")
    # Then the connection goes on working
    with transaction() as tx:
        _insert(tx, 1)
    assert counted() == 1


def test_without_time_nothing_begins(counted: Callable[[], int]) -> None:
    # Given / When
    with pytest.raises(DeadlineExceededError), working(_work(0)), transaction() as tx:
        _insert(tx, 1)
    # Then
    assert counted() == 0


def test_two_that_wait_for_each_other_are_told_to_try_again(
    database: str, counted: Callable[[], int]
) -> None:
    # Given a row that another session holds
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE counted")
        # When
        with pytest.raises(ContentionError) as raised, transaction() as tx:
            tx.execute("LOCK TABLE counted NOWAIT")
    # Then
    assert raised.value.retryable


def test_a_connection_is_used_again(database: str) -> None:
    # Given
    with transaction() as tx:
        first = tx.value("SELECT pg_backend_pid()")
    # When
    with transaction() as tx:
        second = tx.value("SELECT pg_backend_pid()")
    # Then
    assert first == second


def test_a_session_that_ends_midway_rolls_back_and_the_next_works(
    database: str, counted: Callable[[], int]
) -> None:
    # Given
    with pytest.raises(DatapunkError), transaction() as tx:  # noqa: PT012 -- the body is the subject
        _insert(tx, 1)
        pid = tx.value("SELECT pg_backend_pid()")
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        # When
        _insert(tx, 2)
    with transaction() as tx:
        _insert(tx, 3)
    # Then
    assert counted() == 1


def test_without_a_platform_transaction_no_row_is_visible(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given rows of a dataset, in the catalogue and in its table
    invoke("lake.create_dataset", tenant="acme")
    invoke("lake.insert_records", tenant="acme")
    # When
    with psycopg.connect(database) as connection:
        table = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'lake_data'"
        ).fetchone()
        assert table is not None
        catalogue = connection.execute("SELECT * FROM lake.datasets").fetchall()
        name = psycopg.sql.Identifier("lake_data", table[0])
        rows = connection.execute(psycopg.sql.SQL("SELECT * FROM {}").format(name)).fetchall()
    # Then
    assert catalogue == []
    assert rows == []


def test_a_tenant_reaches_no_row_of_another_by_the_tables_name(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset", tenant="acme")
    invoke("lake.insert_records", tenant="acme")
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'lake_data'")
        ((table,),) = found.fetchall()
    name = psycopg.sql.Identifier("lake_data", table)
    counts = {}
    # When
    for tenant in ("acme", "other"):
        with transaction(Caller("x", tenant)) as tx:
            counts[tenant] = tx.value(psycopg.sql.SQL("SELECT count(*) FROM {}").format(name))
            tx.execute(psycopg.sql.SQL("DELETE FROM {} WHERE false").format(name))
    # Then
    assert counts == {"acme": 3, "other": 0}
    # Rows come in by the owner's COPY only.
    with pytest.raises(ForbiddenError), transaction(Caller("x", "other")) as tx:
        tx.execute(psycopg.sql.SQL("INSERT INTO {} DEFAULT VALUES").format(name))
