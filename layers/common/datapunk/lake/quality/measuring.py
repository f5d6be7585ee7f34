"""Measuring rules: one statement for all rules of a dataset, one scan of its table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import sql

from datapunk.database import Row, Transaction
from datapunk.errors import DeadlineExceededError, InvalidInputError
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.plan import Comparison, Condition, Logic, Select
from datapunk.lake.privacy.disclosure import Disclosure
from datapunk.lake.quality.blaming import blaming, is_of_types
from datapunk.lake.quality.conditions import (
    NUMERIC,
    TIMES,
    Conditions,
    open_column,
    read_predicate,
    refused,
)
from datapunk.lake.quality.results import RuleResult, Shares
from datapunk.lake.quality.rules import (
    CheckType,
    Distribution,
    Expression,
    Freshness,
    MeanStatistic,
    Pattern,
    Predicate,
    Rule,
    StabilityStatistic,
)
from datapunk.lake.quality.statistics import stability_index, within
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.statements import bad_search
from datapunk.lake.sql_parts import Statement, identifier

_TENTHS = [tenth / 10 for tenth in range(1, 10)]
_REGULAR = ("match", "imatch")
Read = Callable[[Row], RuleResult]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of the rules of one type."""

    check_type: CheckType
    score: float
    rows: int
    rules: list[RuleResult]


def measure(
    tx: Transaction,
    dataset: Dataset,
    rules: Sequence[Rule],
    before: Mapping[str, RuleResult],
    seconds: float,
) -> list[Measured]:
    """Measure rules over the rows that are there, and return what came of each type of them.

    `before` is what came of rules the last time, by their names. A rule that no longer makes sense scores 0
    and says why, and so does an expression that cannot be computed for all rows. Expressions are measured
    apart: of all rules only they fail because of a row, and the others shall not be measured twice for that.
    Raises DeadlineExceededError when it takes longer than `seconds`.
    """
    until = time.monotonic() + seconds

    def run(chosen: Sequence[Rule]) -> list[Measured]:
        _limit(tx, until)
        with blaming(chosen), tx.savepoint():
            return _Measurement(tx, dataset, chosen, before).run()

    expressions = [rule for rule in rules if isinstance(rule, Expression)]
    others = [rule for rule in rules if not isinstance(rule, Expression)]
    return [item for chosen in (others, expressions) if chosen for item in _measured(chosen, run)]


def _measured(
    rules: Sequence[Rule], run: Callable[[Sequence[Rule]], list[Measured]]
) -> list[Measured]:
    """Measure rules together, or without those that cannot be measured, of which it is said why."""
    try:
        return run(rules)
    except InvalidInputError:
        problems = {rule.name: _problem(partial(run, [rule])) for rule in rules}
    sound = [rule for rule in rules if problems[rule.name] is None]
    found = run(sound) if sound else []
    rows = found[0].rows if found else 0
    by_type = {item.check_type: item for item in found}
    for rule in rules:
        if (problem := problems[rule.name]) is None:
            continue
        kind = CheckType(rule.check_type)
        others = by_type[kind].rules if kind in by_type else []
        by_type[kind] = Measured(kind, 0.0, rows, [*others, _result(rule, 0.0, problem=problem)])
    return list(by_type.values())


def _limit(tx: Transaction, until: float) -> None:
    """Have the next statement given up at a time of the monotonic clock, however long others took before."""
    left = until - time.monotonic()
    if left <= 0:
        raise DeadlineExceededError
    milliseconds = str(max(1, int(left * 1000)))
    tx.execute("SELECT set_config('statement_timeout', %s, true)", (milliseconds,))


def _problem(run: Callable[[], object]) -> str | None:
    """Return what is wrong with a rule that is measured alone, None for nothing."""
    try:
        run()
    except InvalidInputError as error:
        return error.detail
    return None


def require_measurable(tx: Transaction, dataset: Dataset, rules: Sequence[Rule]) -> None:
    """Raise InvalidInputError for a rule that makes no sense for the dataset, whatever its rows are."""
    for rule in rules:
        _require_readable(tx, dataset, rule)
        try:
            with blaming([rule]), tx.savepoint():
                _Measurement(tx, dataset, [rule], {}).run(empty=True)
        except InvalidInputError as error:
            raise _located(tx, dataset, rule, error) from error


def _located(
    tx: Transaction, dataset: Dataset, rule: Rule, error: InvalidInputError
) -> InvalidInputError:
    """Return the error with the part of an expression that it is about, as far as there is one."""
    if not isinstance(rule, Expression) or not is_of_types(error.__cause__):
        return error
    from datapunk.lake.quality.expressions import find_culprit

    part = find_culprit(tx, dataset, rule)
    said = error.errors[0]
    return refused(rule, f"{part}: {said.message}", said.code) if part else error


def _require_readable(tx: Transaction, dataset: Dataset, rule: Rule) -> None:
    """Raise InvalidInputError for texts that PostgreSQL would only read when there are rows."""
    patterns = [rule.pattern] if isinstance(rule, Pattern) else []
    where = (read_predicate(dataset, rule),) if isinstance(rule, Predicate) else ()
    patterns += _texts(where, _REGULAR)
    patterns += _patterns(rule) if isinstance(rule, Expression) else []
    try:
        with tx.savepoint(), bad_search(Select(dataset, (), where=where)):
            for pattern in patterns:
                tx.value("SELECT '' ~ %s", (pattern,))
            for words in _texts(where, ("fts",)):
                tx.value("SELECT to_tsquery(%s)", (words,))
    except InvalidInputError as error:
        raise refused(rule, "PostgreSQL cannot read the pattern", "pattern") from error
    except RestError as error:
        raise refused(rule, error.message.rstrip("."), "predicate") from error


def _patterns(rule: Expression) -> list[str]:
    from datapunk.lake.quality.expressions import compose_expression

    return compose_expression(rule, lambda *_: sql.SQL(""), lambda _: sql.SQL("")).patterns


def _texts(conditions: Sequence[Condition], operators: Sequence[str]) -> list[str]:
    """Return what the operators compare with, wherever they stand in conditions."""
    found: list[str] = []
    for item in conditions:
        if isinstance(item, Logic):
            found += _texts(item.items, operators)
        elif isinstance(item, Comparison) and item.operator in operators:
            found += item.value if isinstance(item.value, list) else [item.value]
    return found


def _result(rule: Rule, score: float, **others: Any) -> RuleResult:
    return RuleResult(
        name=rule.name,
        severity=rule.severity,
        threshold=rule.threshold,
        score=score,
        holds=score >= rule.threshold and "problem" not in others,
        **others,
    )


class _Measurement:
    """One statement: inside it a column for each rule and row, outside it what they come to."""

    def __init__(
        self,
        tx: Transaction,
        dataset: Dataset,
        rules: Sequence[Rule],
        before: Mapping[str, RuleResult],
    ) -> None:
        self.tx = tx
        self.dataset = dataset
        self.rules = rules
        self.before = before
        self.made = Statement(Disclosure(tx))
        self.table = self.made.new_table()
        self.conditions = Conditions(tx, dataset, self.made, self.table)
        self.inner: list[sql.Composable] = []
        self.outer: list[sql.Composable] = [sql.SQL("count(*) AS rows")]
        self.of_rows: dict[CheckType, list[sql.Identifier]] = {}
        self.empty = False

    def run(self, *, empty: bool = False) -> list[Measured]:
        """Measure; with `empty` over no rows, to find out whether it can be done."""
        self.empty = empty
        reads = [(rule, self._add(place, rule)) for place, rule in enumerate(self.rules)]
        for kind, names in self.of_rows.items():
            self.outer.append(self._failing(names, identifier(f"all {kind}")))
        counted = [
            sql.SQL(", {} AS {}").format(expression, identifier(name))
            for name, expression in self.conditions.counted.items()
        ]
        source = sql.SQL("(SELECT *{} FROM {}{}) AS {}").format(
            sql.Composed(counted),
            self.dataset.table,
            sql.SQL(" LIMIT 0" if empty else ""),
            identifier(self.table),
        )
        statement = sql.SQL("SELECT {} FROM (SELECT {} FROM {}) AS measured").format(
            sql.SQL(", ").join(self.outer), sql.SQL(", ").join(self.inner), source
        )
        row = self.tx.one(statement, self.made.parameters) or {}
        by_type: dict[CheckType, list[RuleResult]] = {}
        for rule, read in reads:
            by_type.setdefault(CheckType(rule.check_type), []).append(read(row))
        return [
            Measured(kind, self._score(kind, row, results), row["rows"], results)
            for kind, results in by_type.items()
        ]

    def _score(self, kind: CheckType, row: Row, results: list[RuleResult]) -> float:
        if kind in self.of_rows:
            return _share(row["rows"], row[f"all {kind}"])
        return min(item.score for item in results)

    @staticmethod
    def _failing(names: Sequence[sql.Identifier], called: sql.Identifier) -> sql.Composed:
        every = sql.SQL(" AND ").join(names)
        return sql.SQL("count(*) FILTER (WHERE NOT ({})) AS {}").format(every, called)

    def _add(self, place: int, rule: Rule) -> Read:
        """Add a rule to the statement and return what reads its result."""
        if isinstance(rule, Freshness):
            return self._freshness(place, rule)
        if isinstance(rule, Distribution):
            return self._distribution(place, rule)
        name, failed = identifier(f"c{place}"), f"f{place}"
        self.inner.append(sql.SQL("{} AS {}").format(self.conditions.passes(rule), name))
        self.outer.append(self._failing([name], identifier(failed)))
        self.of_rows.setdefault(CheckType(rule.check_type), []).append(name)
        return lambda row: _result(rule, _share(row["rows"], row[failed]), failed=row[failed])

    def _freshness(self, place: int, rule: Freshness) -> Read:
        wanted = rule.column or self.dataset.event_time
        if wanted is None:
            raise refused(rule, "name a column: the dataset has no event time", "column")
        column = open_column(self.dataset, rule, wanted)
        if column.type not in TIMES:
            raise refused(rule, f"{wanted} is neither date nor timestamp", "type")
        name, age = identifier(f"v{place}"), f"m{place}"
        self.inner.append(sql.SQL("{} AS {}").format(self.conditions.name(column), name))
        newest = sql.SQL("max({})").format(name)
        if column.type is ColumnType.DATE:
            newest = sql.SQL("({}::timestamp AT TIME ZONE 'UTC')").format(newest)
        self.outer.append(
            sql.SQL("extract(epoch FROM clock_timestamp() - {})::float8 AS {}").format(
                newest, identifier(age)
            )
        )

        def read(row: Row) -> RuleResult:
            measured = row[age]
            score = 0.0 if measured is None else within(measured, rule.seconds)
            return _result(rule, score, measured=measured)

        return read

    def _distribution(self, place: int, rule: Distribution) -> Read:
        column = open_column(self.dataset, rule, rule.column)
        if column.type not in NUMERIC:
            raise refused(rule, f"{rule.column} is {column.type}, and no number", "type")
        name = identifier(f"v{place}")
        self.inner.append(sql.SQL("{} AS {}").format(self.conditions.values(column), name))
        if isinstance(rule.measure, MeanStatistic):
            return self._mean(place, rule, rule.measure, name)
        return self._stability(place, rule, rule.measure, column, name)

    def _mean(
        self, place: int, rule: Distribution, bounds: MeanStatistic, name: sql.Identifier
    ) -> Read:
        mean = f"m{place}"
        self.outer.append(sql.SQL("avg({}) AS {}").format(name, identifier(mean)))
        low = float("-inf") if bounds.minimum is None else bounds.minimum
        high = float("inf") if bounds.maximum is None else bounds.maximum

        def read(row: Row) -> RuleResult:
            measured = row[mean]
            good = measured is None or low <= measured <= high
            return _result(rule, float(good), measured=measured)

        return read

    def _stability(
        self,
        place: int,
        rule: Distribution,
        asked: StabilityStatistic,
        column: Column,
        name: sql.Identifier,
    ) -> Read:
        expected = self._expected(rule, asked)
        edges = expected.edges if expected else self._tenths(column)
        if not edges:
            return lambda _: _result(rule, 1.0)
        bucket = sql.SQL("width_bucket({}, {}::float8[])").format(name, self.made.bind(edges))
        counts = sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE {} = {})").format(bucket, sql.Literal(number))
            for number in range(len(edges) + 1)
        )
        counted = f"m{place}"
        self.outer.append(sql.SQL("ARRAY[{}] AS {}").format(counts, identifier(counted)))

        def read(row: Row) -> RuleResult:
            total = sum(row[counted])
            if not total:
                return _result(rule, 1.0, spread=expected)
            shares = [number / total for number in row[counted]]
            spread = Shares(edges=edges, shares=shares)
            if expected is None:
                return _result(rule, 1.0, spread=spread)
            index = stability_index(expected.shares, shares)
            return _result(rule, within(index, asked.limit), measured=index, spread=spread)

        return read

    def _expected(self, rule: Distribution, asked: StabilityStatistic) -> Shares | None:
        if asked.baseline is not None:
            return Shares(edges=list(asked.baseline.edges), shares=list(asked.baseline.shares))
        earlier = self.before.get(rule.name)
        return earlier.spread if earlier else None

    def _tenths(self, column: Column) -> list[float]:
        """Return the distinct values that part the rows into tenths; there is nothing to compare with yet."""
        statement = sql.SQL(
            "SELECT percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY {}::float8) FROM {}"
        ).format(sql.Placeholder(), identifier(column.name), self.dataset.table)
        if self.empty:
            return [0.0]
        found = self.tx.value(statement, (_TENTHS,))
        return sorted({value for value in found or () if value is not None})


def _share(rows: int, failed: int) -> float:
    """Return the share of rows that pass; nothing is wrong with no rows."""
    return (rows - failed) / rows if rows else 1.0
