"""What is read of an expression is what PostgreSQL reads of it, and what comes of it what Python computes."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from datapunk.context import WorkContext, continue_correlation, continue_trace, working
from datapunk.database import transaction
from datapunk.identity import Caller
from datapunk.lake.datasets import find_dataset
from datapunk.lake.quality import vocabulary
from datapunk.lake.quality.composing import Composer
from datapunk.lake.quality.measuring import measure
from datapunk.lake.quality.reading import read_expression, require_whole
from datapunk.lake.quality.rules import Catalogue
from datapunk.lake.quality.vocabulary import ExpressionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors as pg
from psycopg import sql

from tests.support.invoking import Invoker

NAMES = {"i": "bigint", "j": "bigint", "s": "text", "b": "boolean", "c": "boolean"}
VALUES: list[tuple[Any, ...]] = [
    (1, 2, "a", True, False),
    (2, 1, "ab", False, True),
    (0, -3, "1", None, True),
    (None, 2, None, True, None),
    (5, 5, "true", False, False),
]
UNCLEAR = "unclear"
words = st.sampled_from([*NAMES, *NAMES, "1", "2", "0.5", "'a'", "'1'", "TRUE", "NULL", "(", ")"])
signs = st.sampled_from(
    [
        *("=", "<>", "<", ">=", "+", "-", "*", "/", "%", "||", "AND", "OR"),
        *("~ 'a'", "LIKE 'a%'", "NOT LIKE 'a%'", "IN (1, 2)", "NOT IN (2)", "IS NULL"),
        *("IS NOT NULL", "IS TRUE", "IS NOT FALSE", "IS DISTINCT FROM", "BETWEEN 0 AND 2"),
        *("NOT BETWEEN 1 AND 2", "BETWEEN", "NOT", "- ", "::text", "::numeric", "!~ 'b'", "~"),
        *("AT TIME ZONE 'UTC'", "ESCAPE '!'", "ISNULL"),
    ]
)
soup = st.lists(words | signs, min_size=2, max_size=9).map(" ".join)


@st.composite
def chains(draw: st.DrawFn) -> str:
    """Return values with operators between them, hardly any in parentheses."""
    values = st.sampled_from([*NAMES, "1", "2", "'a'", "NOT b", "- i", "i IS NULL", "NOT i = 1"])
    between = st.sampled_from(
        ["=", "<", "+", "-", "*", "%", "||", "AND", "OR", "LIKE", "NOT LIKE", "IS DISTINCT FROM"]
    )
    parts = [draw(values)]
    for _ in range(draw(st.integers(1, 4))):
        parts += [draw(between), draw(values)]
    parts.append(draw(st.sampled_from(["", "", "IS NULL", "IS NOT TRUE", "IN (1, 2)", "::text"])))
    return " ".join(parts)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection with a table of its own, outside the lake."""
    with psycopg.connect(database, autocommit=True) as opened:
        columns = ", ".join(f"{name} {kind}" for name, kind in NAMES.items())
        opened.execute(f"CREATE TEMP TABLE x ({columns})")
        for values in VALUES:
            opened.execute("INSERT INTO x VALUES (%s, %s, %s, %s, %s)", values)
        yield opened


def _composed(text: str) -> tuple[sql.Composable, dict[str, Any]] | None:
    """Return an expression as it is measured, None where it is refused."""
    values: dict[str, Any] = {}

    def bind(value: Any) -> sql.Placeholder:
        values[name := f"p{len(values)}"] = value
        return sql.Placeholder(name)

    try:
        tree = read_expression(text)
        found = Composer(lambda name, _: sql.Identifier(name), bind).compose(tree)
        require_whole(text, tree)
    except ExpressionError:
        return None
    return found, values


NAME_OR_VALUE = re.compile(r'"(?:[^"]|"")*"|%\(p[0-9]+\)s')
OURS = {
    word
    for written in (
        *(operator.written for operator in vocabulary.OPERATORS.values()),
        *(function.written for function in vocabulary.FUNCTIONS.values()),
        *vocabulary.WORDS.values(),
        *vocabulary.TRIMS.values(),
        *vocabulary.TYPES.values(),
        *vocabulary.FIELDS.values(),
        "CASE WHEN THEN ELSE END CAST AS IN IS NOT NULL TRUE FALSE BETWEEN SYMMETRIC ESCAPE",
        "AT TIME ZONE substr strpos extract FROM - , ( ) ::",
    )
    for word in written.split()
}
"""All that a part of a statement may consist of, beside names and the places of values."""


def _words_of(condition: sql.Composable) -> set[str]:
    text = NAME_OR_VALUE.sub(" ", condition.as_string(None))
    return set(re.findall(r"[A-Za-z_0-9]+|[(),]|[^\sA-Za-z_0-9(),]+", text))


def _answers(connection: psycopg.Connection[Any], condition: Any, values: Any) -> Any:
    """Return what is said of each row, None where that is an error."""
    statement = sql.SQL("SELECT ({}) IS NOT FALSE FROM x").format(condition)
    try:
        return connection.execute(statement, values).fetchall()
    except pg.IndeterminateDatatype:
        return UNCLEAR  # a text without a type beside it, which a rule has to give one
    except (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError):
        return None


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=chains() | soup)
def test_what_is_accepted_means_what_postgresql_reads(
    connection: psycopg.Connection[Any], text: str
) -> None:
    # Given
    composed = _composed(text)
    if composed is None:
        return
    assert _words_of(composed[0]) <= OURS
    # When the text itself is run, which only a test does, and what was made of it
    plain = _answers(connection, sql.SQL(text.replace("%", "%%")), {})
    ours = _answers(connection, *composed)
    # Then
    assert ours in (plain, UNCLEAR), composed[0].as_string(None)


# -- computed as Python computes ---------------------------------------------------------------------

Values = dict[str, Any]
Compute = Callable[[Values], Any]


@dataclass(frozen=True)
class Said:
    """An expression in SQL, and what it comes to in Python; None is unknown."""

    text: str
    compute: Compute


def _known(compute: Callable[..., Any], *parts: Said) -> Compute:
    """Return what is unknown as soon as a part of it is."""

    def found(values: Values) -> Any:
        inner = [part.compute(values) for part in parts]
        return None if None in inner else compute(*inner)

    return found


def _and(left: Any, right: Any) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _not(value: Any) -> bool | None:
    return None if value is None else not value


def _column(name: str) -> Said:
    return Said(name, lambda values: values[name])


def _infix(sign: str, compute: Callable[..., Any], left: Said, right: Said) -> Said:
    return Said(f"({left.text}) {sign} ({right.text})", _known(compute, left, right))


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
}
LETTERS = "ab%_'\\"
numbers = st.recursive(
    st.sampled_from([_column("i"), _column("j")])
    | st.integers(0, 20).map(lambda n: Said(str(n), lambda _: n)),
    lambda inner: st.one_of(
        st.builds(lambda a, b: _infix("+", lambda x, y: x + y, a, b), inner, inner),
        st.builds(lambda a, b: _infix("-", lambda x, y: x - y, a, b), inner, inner),
        st.builds(lambda a, b: _infix("*", lambda x, y: x * y, a, b), inner, inner),
        st.builds(lambda a: Said(f"abs({a.text})", _known(abs, a)), inner),
        st.builds(lambda a: Said(f"- ({a.text})", _known(lambda x: -x, a)), inner),
        st.builds(
            lambda a, b: Said(
                f"coalesce({a.text}, {b.text})",
                lambda v: b.compute(v) if a.compute(v) is None else a.compute(v),
            ),
            inner,
            inner,
        ),
    ),
    max_leaves=4,
)
texts = st.recursive(
    st.just(_column("s"))
    | st.text(LETTERS, max_size=3).map(
        lambda t: Said("'" + t.replace("'", "''") + "'::text", lambda _: t)
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: _infix("||", lambda x, y: x + y, a, b), inner, inner),
        st.builds(lambda a: Said(f"upper({a.text})", _known(str.upper, a)), inner),
        st.builds(lambda a: Said(f"left({a.text}, 2)", _known(lambda x: x[:2], a)), inner),
    ),
    max_leaves=3,
)
lengths = texts.map(lambda a: Said(f"length({a.text})", _known(len, a)))
times = st.sampled_from([_column("t"), _column("u")]) | st.builds(
    lambda a, n: Said(
        f"{a.text} + interval '{n} hours'", _known(lambda x: x + dt.timedelta(hours=n), a)
    ),
    st.sampled_from([_column("t"), _column("u")]),
    st.integers(-48, 48),
)


def _compared(of: st.SearchStrategy[Said]) -> st.SearchStrategy[Said]:
    return st.builds(
        lambda sign, a, b: _infix(sign, COMPARED[sign], a, b), st.sampled_from([*COMPARED]), of, of
    )


equal_texts = st.builds(
    lambda sign, a, b: _infix(sign, COMPARED[sign], a, b),
    st.sampled_from(["=", "<>"]),
    texts,
    texts,
)
truths = st.recursive(
    st.one_of(
        st.just(_column("b")),
        _compared(numbers),
        _compared(lengths),
        _compared(times),
        equal_texts,
        numbers.map(lambda a: Said(f"({a.text}) IS NULL", lambda v: a.compute(v) is None)),
        st.builds(
            lambda a, low, high: Said(
                f"({a.text}) BETWEEN {low} AND {high}", _known(lambda x: low <= x <= high, a)
            ),
            numbers,
            st.integers(0, 9),
            st.integers(0, 9),
        ),
        st.builds(
            lambda a, items: Said(
                f"({a.text}) NOT IN ({', '.join(map(str, items))})",
                _known(lambda x: x not in items, a),
            ),
            numbers,
            st.lists(st.integers(0, 9), min_size=1, max_size=3),
        ),
    ),
    lambda inner: st.one_of(
        st.builds(lambda a: Said(f"NOT ({a.text})", lambda v: _not(a.compute(v))), inner),
        st.builds(
            lambda a, b: Said(
                f"({a.text}) AND ({b.text})", lambda v: _and(a.compute(v), b.compute(v))
            ),
            inner,
            inner,
        ),
        st.builds(
            lambda a, b: Said(
                f"({a.text}) OR ({b.text})",
                lambda v: _not(_and(_not(a.compute(v)), _not(b.compute(v)))),
            ),
            inner,
            inner,
        ),
        st.builds(
            lambda a, b, c: Said(
                f"CASE WHEN {a.text} THEN {b.text} ELSE {c.text} END",
                lambda v: b.compute(v) if a.compute(v) else c.compute(v),
            ),
            inner,
            inner,
            inner,
        ),
        st.builds(
            lambda a: Said(f"({a.text}) IS NOT TRUE", lambda v: a.compute(v) is not True), inner
        ),
    ),
    max_leaves=4,
)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
moments = st.none() | st.integers(0, 72 * 60).map(lambda past: START + dt.timedelta(minutes=past))
stored = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-9, 9),
        "j": st.none() | st.integers(-9, 9),
        "s": st.none() | st.text(LETTERS, max_size=4),
        "b": st.none() | st.booleans(),
        "t": moments,
        "u": moments,
    }
)


@pytest.fixture
def table(database: str, no_broker: None, invoke: Invoker) -> None:
    """Make a dataset for all examples; each takes away what it wrote."""
    kinds = {"i": "integer", "j": "integer", "s": "text", "b": "boolean"}
    kinds |= {"t": "timestamp", "u": "timestamp"}
    columns = [{"name": name, "type": kind} for name, kind in kinds.items()]
    answer = invoke("lake.create_dataset", body={"name": "t", "columns": columns})
    assert answer.status == 201, answer.body


def _failed(rows: list[Values], expressions: list[str]) -> list[int | None]:
    """Return how many rows fail each expression, by the code behind the handlers."""
    work = WorkContext(
        operation="lake.check_quality",
        correlation_id=continue_correlation(""),
        trace=continue_trace(None, None),
        deadline=time.monotonic() + 60,
        caller=Caller("user:tester"),
    )
    rules = [
        {"name": f"r{place}", "check_type": "sql", "expression": text}
        for place, text in enumerate(expressions)
    ]
    catalogue = Catalogue.model_validate({"rules": rules})
    with working(work), transaction() as tx:
        dataset = find_dataset(tx, "t")
        insert = (
            "INSERT INTO {} (i, j, s, b, t, u) VALUES (%(i)s, %(j)s, %(s)s, %(b)s, %(t)s, %(u)s)"
        )
        with tx.acting_as("lake_owner"):
            tx.execute_many(sql.SQL(insert).format(dataset.table), rows)
        (found,) = measure(tx, dataset, catalogue.rules, {}, 30)
        tx.execute(sql.SQL("DELETE FROM {}").format(dataset.table))
    assert [rule.problem for rule in found.rules] == [None] * len(rules)
    return [rule.failed for rule in found.rules]


@settings(max_examples=50, suppress_health_check=[*HealthCheck])
@given(
    rows=st.lists(stored, min_size=1, max_size=6),
    said=st.lists(truths.filter(lambda item: len(item.text) < 2000), min_size=1, max_size=6),
)
def test_expressions_come_to_what_python_computes(
    table: None, rows: list[Values], said: list[Said]
) -> None:
    # Given / When
    found = _failed(rows, [item.text for item in said])
    # Then
    counted = [sum(item.compute(row) is False for row in rows) for item in said]
    assert dict(zip([item.text for item in said], found, strict=True)) == dict(
        zip([item.text for item in said], counted, strict=True)
    )
