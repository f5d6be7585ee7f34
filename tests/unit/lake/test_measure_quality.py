"""lake.measure_quality: every tenant's datasets in turn, and one that fails keeps no other waiting."""

from __future__ import annotations

import json
from typing import Any, LiteralString

import psycopg

from tests.support.invoking import Invoker, run
from tests.support.samples import load_sample

OPERATION = "lake.measure_quality"
DEFINITION: dict[str, Any] = {"name": "t", "columns": [{"name": "n", "type": "integer"}]}
RULE = {"name": "r", "check_type": "completeness", "column": "n", "severity": "error"}


def _make(invoke: Invoker, tenant: str, name: str = "t") -> None:
    """Make a dataset with one row that breaks its only rule."""
    path = {"dataset": name}
    made = invoke("lake.create_dataset", body={**DEFINITION, "name": name}, tenant=tenant)
    assert made.status == 201, made.body
    sent = invoke(
        "lake.insert_records",
        path=path,
        body=[{"n": None}],
        content_type="application/json",
        tenant=tenant,
    )
    assert sent.status == 201, sent.body
    body = {"rules": [RULE]}
    assert invoke("lake.put_quality_rules", path=path, body=body, tenant=tenant).status == 200


def _rows(database: str, statement: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
        return connection.execute(statement).fetchall()


def _events(database: str) -> list[tuple[str, str]]:
    events = [json.loads(body) for (body,) in _rows(database, "SELECT body FROM platform.outbox")]
    return sorted(
        (event["tenant"], event["subject"])
        for event in events
        if event["type"] == "lake.quality.degraded"
    )


def test_the_sample_finds_nothing_to_measure(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given / When / Then
    assert invoke.sample(OPERATION) == {"measured": 0, "left": 0, "forgotten": 0}


def test_every_tenants_rules_are_measured_and_told_of_to_that_tenant(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    for tenant in ("acme", "umbrella"):
        _make(invoke, tenant)
    # When
    first, second = invoke.sample(OPERATION), invoke.sample(OPERATION)
    # Then
    assert first == second == {"measured": 2, "left": 0, "forgotten": 0}
    kept = _rows(
        database,
        "SELECT tenant, score, measured_by, count(*) FROM lake.quality_results"
        " GROUP BY 1, 2, 3 ORDER BY 1",
    )
    assert kept == [("acme", 0.0, OPERATION, 2), ("umbrella", 0.0, OPERATION, 2)]
    assert _events(database) == [("acme", "t"), ("umbrella", "t")]


def test_one_that_cannot_be_measured_leaves_the_others_alone(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given two datasets, of which the table of one is gone
    for name in ("broken", "sound"):
        _make(invoke, "acme", name)
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'acme', true)")
        connection.execute("UPDATE lake.datasets SET table_name = 'gone' WHERE name = 'broken'")
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    assert (outcome["measured"], outcome["left"]) == (1, 1)
    assert _events(database) == [("acme", "sound")]


def test_without_time_left_nothing_is_begun(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    _make(invoke, "acme")
    # When
    outcome = run(OPERATION, load_sample(OPERATION), seconds=4)
    # Then
    assert (outcome["measured"], outcome["left"]) == (0, 1)


def test_scores_are_forgotten_after_ninety_days(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    _make(invoke, "acme")
    invoke.sample(OPERATION)
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
        connection.execute(
            "UPDATE lake.quality_results SET measured_at = now() - interval '91 days'"
        )
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome == {"measured": 1, "left": 0, "forgotten": 1}
