"""A transaction in the caller's name: row-level security sees the tenant and the principal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from datapunk.commits import Hook, before_each_commit
from datapunk.context import current, remaining_seconds
from datapunk.database.connection import acquire, connect, discard
from datapunk.database.failures import translate, translated
from datapunk.errors import DeadlineExceededError, UnavailableError
from datapunk.identity import Caller
from datapunk.settings import settings

Row = dict[str, Any]
Parameters = Sequence[Any] | dict[str, Any] | None
Statement = LiteralString | sql.SQL | sql.Composed

_BEGIN = "BEGIN"
_CURSOR = "reading"
# The role too: one that a connection was left with would be that of a table's owner.
_CONTEXT = """
SELECT set_config('role', 'none', true),
       set_config('datapunk.tenant', %s, true),
       set_config('datapunk.principal', %s, true),
       set_config('statement_timeout', %s, true)
"""
_NAME = """
SELECT set_config('datapunk.tenant', %s, true), set_config('datapunk.principal', %s, true)
"""


class Transaction:
    """An open transaction. Driver errors leave it as ours; parameters are always bound.

    What is in `before_commit` runs at the end of the body: what must commit with its effect and holds
    locks that others wait for. What is in `after_commit` runs when all of it is certain.
    """

    def __init__(self, connection: psycopg.Connection, caller: Caller) -> None:
        self.connection = connection
        self.caller = caller
        self.before_commit: list[Hook] = []
        self.after_commit: list[Callable[[], None]] = []
        self.copied = 0
        """Rows the database has taken in the last COPY."""
        self.role: str | None = None
        """In whose name statements run, None for the caller's own."""

    def execute(self, statement: Statement, parameters: Parameters = None) -> int:
        """Run a statement and return the number of rows it touched."""
        with translated():
            return self.connection.execute(statement, parameters).rowcount

    def execute_many(self, statement: Statement, parameters: Sequence[dict[str, Any]]) -> None:
        """Run a statement for each set of parameters, without a round trip for each."""
        with translated(), self.connection.cursor() as cursor:
            cursor.executemany(statement, parameters)

    def one(self, statement: Statement, parameters: Parameters = None) -> Row | None:
        """Return the first row as a dictionary, or None."""
        with translated(), self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, parameters).fetchone()

    def all(self, statement: Statement, parameters: Parameters = None) -> list[Row]:
        """Return all rows as dictionaries."""
        with translated(), self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, parameters).fetchall()

    def value(self, statement: Statement, parameters: Parameters = None) -> Any:
        """Return the first column of the first row, or None."""
        with translated():
            row = self.connection.execute(statement, parameters).fetchone()
            return row[0] if row else None

    @contextmanager
    def copy(self, statement: Statement) -> Iterator[psycopg.Copy]:
        """Open a COPY; driver errors, also those at its end, leave it as ours."""
        with translated(), self.connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                yield copy
            self.copied = cursor.rowcount

    @contextmanager
    def reading(
        self, statement: Statement, parameters: Parameters = None
    ) -> Iterator[psycopg.ServerCursor[tuple[Any, ...]]]:
        """Open a cursor on the server, for results that are larger than memory; none is read before asked.

        Other statements may run in between. Driver errors leave the body as ours.
        """
        with translated():
            # All of it is going to be read: the plan is chosen for the last row, not for the first ones.
            self.connection.execute("SET LOCAL cursor_tuple_fraction = 1")
            with self.connection.cursor(_CURSOR) as cursor:
                yield cursor.execute(statement, parameters)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only the body when it raises."""
        with translated(), self.connection.transaction():
            yield

    @contextmanager
    def in_name_of(self, caller: Caller) -> Iterator[None]:
        """Run the body with what `caller` sees and may write, within this transaction.

        After an error the transaction is going to be rolled back, and the name with it.
        """
        self.execute(_NAME, (caller.tenant, caller.principal))
        yield
        self.execute(_NAME, (self.caller.tenant, self.caller.principal))

    @contextmanager
    def acting_as(self, role: str) -> Iterator[None]:
        """Run the body with the rights of `role`, which the login role must be a member of.

        After an error the transaction is going to be rolled back, and the role with it.
        """
        with translated():
            self.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            before, self.role = self.role, role
            try:
                yield
            finally:
                self.role = before
            self.connection.execute(
                sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(before or "none"))
            )


@contextmanager
def transaction(caller: Caller | None = None) -> Iterator[Transaction]:
    """Open a transaction in the name of `caller` (the current work's by default).

    It commits at the end of the body and rolls back when the body raises. Statements are cancelled at the
    deadline. A connection found dead at the start is replaced once. Raises UnavailableError when the
    database does not answer, DeadlineExceededError when no time is left.
    """
    work = current()
    caller = caller or (work.caller if work else Caller())
    connection = _begin(caller)
    try:
        tx = Transaction(connection, caller)
        yield tx
        for hook in (*tx.before_commit, before_each_commit.get()):
            if hook is not None:
                hook(tx)
        with translated():
            connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    for notice in tx.after_commit:
        notice()


@contextmanager
def beside(caller: Caller) -> Iterator[Transaction]:
    """Open a transaction on a connection of its own, for what others are to see while one is open.

    It has no hooks: nothing is recorded or published with it. Raises as `transaction` does.
    """
    connection = connect(settings().database())
    try:
        with translated(), connection.transaction():
            milliseconds = str(max(1, int(remaining_seconds() * 1000)))
            connection.execute(_CONTEXT, (caller.tenant, caller.principal, milliseconds))
            yield Transaction(connection, caller)
    finally:
        connection.close()


def _begin(caller: Caller) -> psycopg.Connection:
    milliseconds = int(remaining_seconds() * 1000)
    if milliseconds <= 0:
        raise DeadlineExceededError
    parameters = (caller.tenant, caller.principal, str(milliseconds))
    for last_try in (False, True):
        connection = acquire()
        try:
            connection.execute(_BEGIN)
            connection.execute(_CONTEXT, parameters)
        except psycopg.Error as error:
            discard()
            failure = translate(error)
            if last_try or not isinstance(failure, UnavailableError):
                raise failure from error
        else:
            return connection
    raise UnavailableError("postgresql")  # pragma: no cover -- the loop returns or raises


def _roll_back(connection: psycopg.Connection) -> None:
    """Roll back; a connection that cannot even do that is not used again."""
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        discard()
