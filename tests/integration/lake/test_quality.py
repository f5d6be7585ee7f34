"""Scores of any rows are what a count in Python says."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections import Counter
from typing import Any

import pytest
from datapunk.context import WorkContext, continue_correlation, continue_trace, working
from datapunk.database import transaction
from datapunk.identity import Caller
from datapunk.lake.datasets import find_dataset
from datapunk.lake.quality.measuring import measure
from datapunk.lake.quality.rules import Catalogue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.support.invoking import Invoker


def rule(kind: str, column: str = "x", **others: Any) -> dict[str, Any]:
    return {"check_type": kind, "column": column, **others}


numbers = st.none() | st.integers(-20, 20)


@pytest.fixture
def table(database: str, no_broker: None, invoke: Invoker) -> None:
    """Make a dataset for all examples; each takes away what it wrote."""
    kinds = {"x": "integer", "y": "integer", "s": "text", "day": "date"}
    columns = [{"name": name, "type": kind} for name, kind in kinds.items()]
    answer = invoke("lake.create_dataset", body={"name": "t", "columns": columns})
    assert answer.status == 201, answer.body


def _measured(rows: list[dict[str, Any]], *rules: dict[str, Any]) -> dict[str, float]:
    """Return what rules score over rows, by the code behind the handlers."""
    work = WorkContext(
        operation="lake.check_quality",
        correlation_id=continue_correlation(""),
        trace=continue_trace(None, None),
        deadline=time.monotonic() + 60,
        caller=Caller("user:tester"),
    )
    catalogue = Catalogue.model_validate(
        {"rules": [{"name": f"r{place}", **item} for place, item in enumerate(rules)]}
    )
    with working(work), transaction() as tx:
        dataset = find_dataset(tx, "t")
        with tx.acting_as("lake_owner"):
            tx.execute_many(
                sql.SQL("INSERT INTO {} (x, y, s) VALUES (%(x)s, %(y)s, %(s)s)").format(
                    dataset.table
                ),
                [{"x": None, "y": None, "s": None, **row} for row in rows],
            )
        found = measure(tx, dataset, catalogue.rules, {}, 30)
        tx.execute(sql.SQL("DELETE FROM {}").format(dataset.table))
    return {result.name: result.score for item in found for result in item.rules}


def _share(passed: list[bool]) -> float:
    return sum(passed) / len(passed) if passed else 1.0


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.fixed_dictionaries({"x": numbers, "y": numbers}), max_size=12),
    low=st.integers(-20, 20),
    high=st.integers(-20, 20),
)
def test_ranges_predicates_and_doubles_count_as_python_does(
    table: None, rows: list[dict[str, Any]], low: int, high: int
) -> None:
    # Given
    low, high = min(low, high), max(low, high)
    pairs = Counter((row["x"], row["y"]) for row in rows)
    # When
    found = _measured(
        rows,
        rule("range", minimum=low, exclusive_maximum=high + 1),
        {"check_type": "predicate", "predicate": f"and=(x.gte.{low},y.not.eq.{high})"},
        {"check_type": "predicate", "predicate": f"not.or=(x.lt.{low},y.in.({low},{high}))"},
        {"check_type": "uniqueness", "columns": ["x", "y"]},
        rule("completeness"),
    )

    # Then what is not known counts as passed
    def above(row: dict[str, Any]) -> bool | None:
        return None if row["x"] is None else row["x"] >= low

    assert found == {
        "r0": _share([row["x"] is None or low <= row["x"] <= high for row in rows]),
        "r1": _share([above(row) is not False and row["y"] != high for row in rows]),
        "r2": _share([above(row) is not False and row["y"] not in (low, high) for row in rows]),
        "r3": _share([None in row.values() or pairs[row["x"], row["y"]] == 1 for row in rows]),
        "r4": _share([row["x"] is not None for row in rows]),
    }


def _is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) and bool(
            dt.date.fromisoformat(text)
        )
    except ValueError:
        return False


dates = st.dates().map(str) | st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]\Z")
texts = dates | st.integers().map(str) | st.text("0123456789-+.e", max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(texts | st.none(), max_size=12))
def test_types_of_texts_count_as_python_does(table: None, values: list[str | None]) -> None:
    # Given / When
    found = _measured(
        [{"s": value} for value in values],
        *(rule("type", "s", type=kind) for kind in ("integer", "decimal", "date")),
    )

    # Then
    def share(fits: Any) -> float:
        return _share([value is None or bool(fits(value)) for value in values])

    decimal = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")
    assert found == {
        "r0": share(re.compile(r"[+-]?[0-9]+").fullmatch),
        "r1": share(decimal.fullmatch),
        "r2": share(_is_date),
    }


def test_no_rows_break_no_rule_but_are_not_fresh(table: None) -> None:
    # Given
    mean = {"statistic": "mean", "minimum": 0, "maximum": 10}
    # When
    found = _measured(
        [],
        rule("range", minimum=1),
        rule("distribution", measure=mean),
        rule("distribution", measure={"statistic": "stability"}),
        rule("freshness", "day", seconds=60),
    )
    # Then
    assert found == {"r0": 1.0, "r1": 1.0, "r2": 1.0, "r3": 0.0}
