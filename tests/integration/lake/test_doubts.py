"""Rows that a table refuses, found by questions about all of them: the same ones as by trying each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from datapunk.lake.doubts import Doubts
from datapunk.lake.staging import Outcome, Stage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.invoking import Invoker

pytestmark = pytest.mark.usefixtures("no_broker")
WHOLE = {"type": "integer"}
STATIONS = {"name": "stations", "columns": [{"name": "id", **WHOLE}], "key": ["id"]}
T = {
    "name": "t",
    "columns": [
        {"name": "id", **WHOLE},
        {"name": "day", "type": "date"},
        {"name": "code", "nullable": True, **WHOLE},
        {"name": "station", "nullable": True, **WHOLE},
        {"name": "parent", "nullable": True, **WHOLE},
        {"name": "parent_day", "nullable": True, "type": "date"},
    ],
    "key": ["id", "day"],
    "unique": [["code", "day"]],
    "references": [
        {"columns": ["station"], "dataset": "stations"},
        {"columns": ["parent", "parent_day"], "dataset": "t"},
    ],
}
Row = Sequence[int | None]
HEADER = "id,day,code,station,parent,parent_day"
FEW = st.integers(0, 3)
ROW = st.tuples(FEW, FEW, st.none() | FEW, st.none() | FEW, st.none() | FEW)


def _line(row: Row) -> str:
    key, day, code, station, parent = ("" if value is None else value for value in row)
    parent_day = "" if parent == "" else "2020-01-01"
    return f"{key},2020-01-0{int(day or 0) + 1},{code},{station},{parent},{parent_day}"


class Table:
    """The dataset, to which rows are added and of which they are taken away again."""

    def __init__(self, database: str, invoke: Invoker) -> None:
        self.invoke = invoke
        self.connection = psycopg.connect(database, autocommit=True)
        for definition in (STATIONS, T):
            answer = invoke("lake.create_dataset", body=definition)
            assert answer.status == 201, answer.body
        for station in (1, 2):
            self.add("stations", ["id", str(station)])

    def add(self, dataset: str, lines: list[str]) -> dict[str, Any]:
        """Add lines of CSV; those that do not fit go into quarantine."""
        answer = self.invoke(
            "lake.insert_records",
            path={"dataset": dataset},
            query={"on_error": "quarantine"},
            body="\n".join(lines).encode(),
            content_type="text/csv",
        )
        assert answer.status == 201, answer.body
        receipt: dict[str, Any] = answer.json
        return receipt

    def outcome(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what becomes of rows that are added to three; nothing of it stays."""
        there: list[Row] = [(0, 0, 0, 1, None), (1, 1, 1, None, 0), (2, 2, None, 2, None)]
        self.add("t", [HEADER, *map(_line, there)])
        receipt = self.add("t", [HEADER, *map(_line, rows)])
        (table,) = self._all("SELECT table_name FROM lake.datasets WHERE name = 't'")
        name = f"lake_data.{table[0]}"
        found = {
            **{name: receipt[name] for name in ("inserted", "quarantined", "reasons")},
            "stored": self._all(f"SELECT id, day, code, station, parent FROM {name} ORDER BY 1, 2"),
            "refused": self._all("SELECT position FROM lake.quarantine ORDER BY 1"),
        }
        self._all("DELETE FROM lake.quarantine RETURNING 1")
        self._all(f"DELETE FROM {name} RETURNING 1")
        return found

    def _all(self, statement: str) -> list[Any]:
        with self.connection.transaction():
            self.connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
            return self.connection.execute(statement.encode()).fetchall()


@pytest.fixture
def table(database: str, invoke: Invoker) -> Iterator[Table]:
    made = Table(database, invoke)
    yield made
    made.connection.close()


@given(rows=st.lists(ROW, max_size=12))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_same_rows_are_refused_as_by_trying_each(table: Table, rows: list[Any]) -> None:
    # Given
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Doubts, "mark", lambda _: None)
        by_trying = table.outcome(rows)
    # When
    by_asking = table.outcome(rows)
    # Then all is the same, but the reason of a row that has several
    reasons = [outcome.pop("reasons") for outcome in (by_asking, by_trying)]
    assert by_asking == by_trying
    assert [sum(each.values()) for each in reasons] == [len(by_asking["refused"])] * 2


def test_few_rows_are_tried_where_many_are_refused(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file of which a third is there already, a third refers to nothing, and a third is sound
    rows = [(1, 1, 1, None, None), (9, 0, None, 9, None), (9, 0, None, 1, None)]
    tried: list[tuple[int, int]] = []
    real = Stage._store

    def counted(stage: Stage, outcome: Outcome, low: int, high: int) -> None:
        tried.append((low, high))
        real(stage, outcome, low, high)

    monkeypatch.setattr(Stage, "_store", counted)
    numbered = [(k + 10, 1, None, *rows[k % 3][3:]) if k % 3 else rows[0] for k in range(3_000)]
    # When
    outcome = table.outcome(numbered)
    # Then
    assert outcome["reasons"] == {"unique": 1_000, "reference": 1_000}
    assert len(outcome["stored"]) == 1_000 + 3
    # And tried were the three rows that are there, all of these at once, and those without doubt
    assert tried == [(1, 3), (1, 3_000), (1, 3_000)]
