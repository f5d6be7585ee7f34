"""What a declaration becomes in PostgreSQL: keys, rules, defaults, references, partitions, policies."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest

from tests.support.invoking import Answer, Invoker

pytestmark = pytest.mark.usefixtures("no_broker")
STATIONS: dict[str, Any] = {
    "name": "stations",
    "columns": [
        {"name": "code", "type": "text", "checks": {"pattern": "^[a-z]{3}$"}},
        {"name": "country", "type": "text", "default": "us", "checks": {"max_length": 2}},
        {"name": "height", "type": "integer", "checks": {"minimum": -500, "maximum": 9000}},
        {"name": "kind", "type": "text", "checks": {"enum": ["buoy", "tower"]}},
        {"name": "serial", "type": "integer"},
    ],
    "key": ["code"],
    "unique": [["serial"]],
}
READINGS: dict[str, Any] = {
    "name": "readings",
    "columns": [
        {"name": "station", "type": "text", "nullable": False},
        {"name": "at", "type": "timestamp"},
        {"name": "ppm", "type": "decimal", "checks": {"exclusive_minimum": 0}},
        {"name": "flags", "type": "json", "default": {"raw": True}},
        {"name": "person", "type": "text", "sensitivity": "personal"},
    ],
    "key": ["station", "at"],
    "event_time": "at",
    "indexes": [["ppm"]],
    "references": [{"columns": ["station"], "dataset": "stations"}],
}


@pytest.fixture
def made(database: str, invoke: Invoker) -> dict[str, Any]:
    """Make both datasets; return what was answered for the second."""
    for definition in (STATIONS, READINGS):
        answer = invoke("lake.create_dataset", body=definition)
        assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


def _insert(
    invoke: Invoker, dataset: str, rows: Any, media_type: str = "application/json"
) -> Answer:
    return invoke(
        "lake.insert_records", path={"dataset": dataset}, body=rows, content_type=media_type
    )


def _all(invoke: Invoker, dataset: str, **query: str) -> Any:
    answer = invoke("lake.query_records", path={"dataset": dataset}, query=query)
    assert answer.status == 200, answer.body
    return answer.json["items"]


def _table(database: str, dataset: str) -> str:
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        row = connection.execute(
            "SELECT table_name FROM lake.datasets WHERE name = %s", (dataset,)
        ).fetchone()
    assert row is not None
    return str(row[0])


def _catalogue(database: str, query: str, *parameters: Any) -> list[Any]:
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute(query.encode(), parameters).fetchall()]


def test_what_was_declared_is_told(made: dict[str, Any]) -> None:
    # Given / When / Then
    assert made["tenant"] == "public"
    assert made["event_time"] == "at"
    assert made["references"] == [
        {
            "name": "readings_station_fkey",
            "columns": ["station"],
            "dataset": "stations",
            "references": [],
            "on_delete": "restrict",
        }
    ]
    columns = {column["name"]: column for column in made["columns"]}
    assert columns["person"]["sensitivity"] == "personal"
    assert columns["ppm"]["sensitivity"] == "internal"
    assert columns["at"]["nullable"] is False


def test_defaults_fill_what_is_not_sent(made: dict[str, Any], invoke: Invoker) -> None:
    # Given / When
    assert _insert(invoke, "stations", [{"code": "mlo"}]).status == 201
    assert _insert(invoke, "stations", "code\nspo\n", "text/csv").status == 201
    assert _insert(invoke, "stations", [{"code": "brw", "country": None}]).status == 201
    # Then what is sent as null stays null
    found = {item["code"]: item["country"] for item in _all(invoke, "stations")}
    assert found == {"mlo": "us", "spo": "us", "brw": None}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"code": "MLO"}, "records.0.code"),
        ({"code": "mloa"}, "records.0.code"),
        ({"code": "mlo", "country": "usa"}, "records.0.country"),
        ({"code": "mlo", "height": 9001}, "records.0.height"),
        ({"code": "mlo", "kind": "ship"}, "records.0.kind"),
    ],
)
@pytest.mark.parametrize("media_type", ["application/json", "text/csv"])
def test_a_row_that_breaks_a_rule_is_named(
    made: dict[str, Any], invoke: Invoker, row: dict[str, Any], field: str, media_type: str
) -> None:
    # Given
    csv = f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"
    # When
    answer = _insert(invoke, "stations", csv if media_type == "text/csv" else [row], media_type)
    # Then
    assert (answer.status, answer.fields) == (422, {field: "check"})
    assert _all(invoke, "stations") == []


def test_the_database_keeps_the_rules_too(made: dict[str, Any], database: str) -> None:
    # Given
    table = _table(database, "stations")
    statement = f"INSERT INTO lake_data.{table} (code, height) VALUES ('mlo', 9001)"
    # When / Then
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE lake_owner")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(statement.encode())


def test_a_reference_must_lead_to_a_row(made: dict[str, Any], invoke: Invoker) -> None:
    # Given
    row = {"station": "mlo", "at": "2026-11-01T00:00:00Z", "ppm": 420.5}
    # When
    early = _insert(invoke, "readings", [row])
    _insert(invoke, "stations", [{"code": "mlo"}])
    late = _insert(invoke, "readings", [row])
    # Then
    assert (early.status, early.fields) == (422, {"station": "reference"})
    assert late.status == 201, late.body


def test_a_second_row_with_what_is_unique_is_refused(made: dict[str, Any], invoke: Invoker) -> None:
    # Given
    _insert(invoke, "stations", [{"code": "mlo", "serial": 1}])
    # When
    answer = _insert(invoke, "stations", [{"code": "spo", "serial": 1}])
    # Then
    assert (answer.status, answer.fields) == (409, {"records.0": "unique"})


def test_rows_of_any_time_are_taken_and_lie_in_their_month(
    made: dict[str, Any], invoke: Invoker, database: str
) -> None:
    # Given
    _insert(invoke, "stations", [{"code": "mlo"}])
    now = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    times = [now, now - dt.timedelta(microseconds=1), dt.datetime(1958, 3, 29, tzinfo=dt.UTC)]
    rows = [{"station": "mlo", "at": at.isoformat(), "ppm": "1.5"} for at in times]
    # When
    assert _insert(invoke, "readings", rows).status == 201
    # Then
    table = _table(database, "readings")
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE lake_owner")
        query = f"SELECT tableoid::regclass::text FROM lake_data.{table} ORDER BY at DESC"
        found = [row[0] for row in connection.execute(query.encode()).fetchall()]
    before = now - dt.timedelta(days=1)
    assert found == [
        f"lake_data.{table}_{now:%Y%m}",
        f"lake_data.{table}_{before:%Y%m}",
        f"lake_data.{table}_default",
    ]
    assert len(_all(invoke, "readings", at="gte.1958-01-01")) == 3


def test_every_table_and_partition_is_under_row_level_security(
    made: dict[str, Any], invoke: Invoker, database: str
) -> None:
    # Given
    _insert(invoke, "stations", [{"code": "mlo"}])
    _insert(invoke, "readings", [{"station": "mlo", "at": "1958-03-29T00:00:00Z"}])
    # When
    open_tables = _catalogue(
        database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'lake_data'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relrowsecurity",
    )
    partitions = _catalogue(
        database,
        "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass",
        f"lake_data.{_table(database, 'readings')}",
    )
    # Then a partition by itself shows nothing, whoever asks
    assert open_tables == []
    assert partitions == [26]
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        direct = f"SELECT count(*) FROM lake_data.{_table(database, 'readings')}_default"
        assert connection.execute(direct.encode()).fetchone() == (0,)


def test_indexes_are_chosen_from_the_declaration(made: dict[str, Any], database: str) -> None:
    # Given / When the key begins with the reference, which needs no index of its own
    found = _catalogue(
        database,
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass",
        f"lake_data.{_table(database, 'readings')}",
    )
    # Then
    columns = sorted(text[text.index("(") :] for text in found)
    assert columns == ["(at)", "(ppm)", "(station, at)"]


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ({"columns": ["a"], "dataset": "nothing"}, "there is no dataset"),
        ({"columns": ["a"], "dataset": "stations", "references": ["kind"]}, "neither the key"),
        ({"columns": ["a", "b"], "dataset": "stations"}, "cannot name"),
        ({"columns": ["b"], "dataset": "stations"}, "different types"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(
    made: dict[str, Any], invoke: Invoker, link: dict[str, Any], message: str
) -> None:
    # Given
    columns = [{"name": "a", "type": "text"}, {"name": "b", "type": "integer"}]
    body = {"name": "t", "columns": columns, "references": [link]}
    # When
    answer = invoke("lake.create_dataset", body=body)
    # Then
    assert (answer.status, answer.fields) == (422, {"references": "reference"})
    assert message in answer.body
    assert invoke("lake.get_dataset", path={"dataset": "t"}).status == 404


def test_no_reference_leads_to_another_tenant(made: dict[str, Any], invoke: Invoker) -> None:
    # Given
    columns = [{"name": "a", "type": "text"}]
    links = [{"columns": ["a"], "dataset": "stations"}]
    # When
    answer = invoke(
        "lake.create_dataset",
        body={"name": "t", "columns": columns, "references": links},
        tenant="acme",
    )
    # Then
    assert (answer.status, answer.fields) == (422, {"references": "reference"})


def test_a_dataset_may_refer_to_itself(database: str, invoke: Invoker) -> None:
    # Given
    columns = [{"name": "id", "type": "integer"}, {"name": "parent", "type": "integer"}]
    links = [{"columns": ["parent"], "dataset": "nodes", "on_delete": "set_null"}]
    body = {"name": "nodes", "columns": columns, "key": ["id"], "references": links}
    # When
    made = invoke("lake.create_dataset", body=body)
    # Then
    assert made.status == 201, made.body
    good = _insert(invoke, "nodes", [{"id": 1}, {"id": 2, "parent": 1}])
    assert good.status == 201
    assert _insert(invoke, "nodes", [{"id": 3, "parent": 9}]).fields == {"parent": "reference"}
