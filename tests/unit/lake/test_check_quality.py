"""lake.check_quality: every rule scores what a count in Python says, and what got worse is told of once."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
from typing import Any

import fastavro
import psycopg
import pytest
from datapunk.lake.quality.statistics import stability_index
from psycopg import sql

from tests.support.invoking import Answer, Invoker
from tests.support.samples import EVENTS
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.check_quality"
SCHEMA = EVENTS / "schemas" / "lake.quality.degraded.avsc"


def put(invoke: Invoker, *rules: dict[str, Any], dataset: str = "t") -> Answer:
    body = {"rules": [{"name": f"r{place}", **rule} for place, rule in enumerate(rules)]}
    return invoke("lake.put_quality_rules", path={"dataset": dataset}, body=body)


def check(invoke: Invoker, *rules: dict[str, Any], dataset: str = "t") -> dict[str, dict[str, Any]]:
    """Declare rules where any are given, measure, and return the scores by type."""
    if rules:
        assert put(invoke, *rules, dataset=dataset).status == 200
    answer = invoke(OPERATION, path={"dataset": dataset})
    assert answer.status == 200, answer.body
    return {score["check_type"]: score for score in answer.json["scores"]}


def rule(kind: str, column: str = "x", **others: Any) -> dict[str, Any]:
    return {"check_type": kind, "column": column, **others}


def told(database: str) -> list[dict[str, Any]]:
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT body FROM platform.outbox ORDER BY id").fetchall()
    events = [json.loads(body) for (body,) in found]
    return [event for event in events if event["type"] == "lake.quality.degraded"]


def test_a_dirty_file_scores_what_a_count_by_hand_says(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    """Every type of rule about rows at once, and two rules of one type that fail for other rows."""
    # Given ten rows: a gap, a double, values out of range, a reference that leads nowhere
    make_dataset("places", key=["id"], id="integer")
    insert("places", [{"id": 1}, {"id": 2}])
    make_dataset("t", id="integer", x="integer", code="text", place="integer")
    rows: list[dict[str, Any]] = [
        {"id": number, "x": number * 10, "code": f"a{number}", "place": 1 + number % 2}
        for number in range(10)
    ]
    rows[3]["x"] = None
    rows[4]["id"] = 5
    rows[6]["code"] = "ZZ"
    rows[7]["place"], rows[8]["place"] = 9, None
    insert("t", rows)
    # When
    found = check(
        invoke,
        rule("completeness"),
        rule("range", minimum=10, maximum=80),
        rule("range", exclusive_maximum=80),
        rule("pattern", "code", pattern="^a[0-9]$"),
        {"check_type": "uniqueness", "columns": ["id"]},
        {
            "check_type": "reference",
            "columns": ["place"],
            "dataset": "places",
            "references": ["id"],
        },
        {"check_type": "predicate", "predicate": "or=(x.is.null,and(x.gte.0,id.lt.9))"},
    )
    # Then
    assert {kind: (score["score"], score["rows"]) for kind, score in found.items()} == {
        "completeness": (0.9, 10),
        "range": (0.7, 10),  # 0, 80 and 90, of which each rule sees two
        "pattern": (0.9, 10),
        "uniqueness": (0.8, 10),  # both rows with the 5 fail
        "reference": (0.9, 10),
        "predicate": (0.9, 10),
    }
    ranges = {item["name"]: (item["failed"], item["score"]) for item in found["range"]["rules"]}
    assert ranges == {"r1": (2, 0.8), "r2": (2, 0.8)}
    assert not found["completeness"]["rules"][0]["holds"]


def test_freshness_is_the_age_of_the_newest_value(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given a value of four hours ago, and of yesterday
    make_dataset("t", at="timestamp", day="date")
    now = dt.datetime.now(dt.UTC)
    ago = (now - dt.timedelta(hours=4)).isoformat()
    insert("t", [{"at": ago, "day": "2001-01-01"}, {"at": "2001-01-01T00:00:00Z", "day": None}])
    limit = 2 * 3600
    # When
    found = check(
        invoke,
        rule("freshness", "at", seconds=limit),
        rule("freshness", "at", seconds=5 * 3600),
        rule("freshness", "day", seconds=10),
    )["freshness"]
    # Then
    late, early, old = found["rules"]
    assert late["measured"] == pytest.approx(4 * 3600, abs=60)
    assert late["score"] == pytest.approx(limit / late["measured"])
    assert (early["score"], early["holds"]) == (1.0, True)
    age = (now - dt.datetime(2001, 1, 1, tzinfo=dt.UTC)).total_seconds()
    assert old["measured"] == pytest.approx(age, abs=60)
    assert found["score"] == old["score"]


def test_distribution_is_compared_with_bounds_a_baseline_and_the_time_before(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given a hundred values in equal parts
    make_dataset("t", x="integer")
    insert("t", [{"x": number} for number in range(100)])
    shares = [0.4, 0.3, 0.2, 0.1]
    baseline = {"edges": [25, 50, 75], "shares": shares}
    rules = (
        rule("distribution", measure={"statistic": "mean", "minimum": 49, "maximum": 50}),
        rule("distribution", measure={"statistic": "stability", "baseline": baseline}),
        rule("distribution", measure={"statistic": "stability"}),
    )
    # When
    mean, declared, before = check(invoke, *rules)["distribution"]["rules"]
    # Then
    by_hand = sum((0.25 - share) * math.log(0.25 / share) for share in shares)
    assert (mean["measured"], mean["score"]) == (49.5, 1.0)
    assert declared["measured"] == pytest.approx(by_hand)
    assert declared["score"] == pytest.approx(min(1, 0.25 / by_hand))
    assert declared["spread"]["shares"] == [0.25] * 4
    assert (before["measured"], before["score"]) == (None, 1.0)
    assert len(before["spread"]["edges"]) == 9
    # When a hundred more come, all at one end
    insert("t", [{"x": 99}] * 100)
    mean, _, before = check(invoke)["distribution"]["rules"]
    # Then
    edges = before["spread"]["edges"]
    values = [*range(100), *[99] * 100]
    first, now = (
        [sum(sum(edge <= value for edge in edges) == place for value in part) / len(part)
         for place in range(10)]
        for part in (values[:100], values)
    )  # fmt: skip
    assert (mean["measured"], mean["score"]) == (74.25, 0.0)
    assert before["spread"]["shares"] == pytest.approx(now)
    assert before["measured"] == pytest.approx(stability_index(first, now))
    assert before["score"] < 1


def test_the_index_of_siddiqis_book() -> None:
    # Given / When / Then: the same is 0; a half that becomes a quarter weighs ln 2 and ln 1.5 for its quarter
    assert stability_index([0.5, 0.5], [0.5, 0.5]) == 0
    wanted = 0.25 * math.log(2) + 0.25 * math.log(1.5)
    assert stability_index([0.5, 0.5], [0.25, 0.75]) == pytest.approx(wanted)
    assert math.isfinite(stability_index([1, 0], [0, 1]))


def test_what_gets_worse_is_told_of_once(
    database: str,
    make_dataset: MakeDataset,
    insert: Insert,
    invoke: Invoker,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given rules that hold, one of them an error
    make_dataset("t", x="integer")
    insert("t", [{"x": 1}, {"x": 2}])
    check(
        invoke,
        rule("range", maximum=5, severity="error", threshold=0.9),
        rule("completeness", severity="warning"),
    )
    assert told(database) == []
    # When rows come that break both, twice measured
    insert("t", [{"x": 7}, {"x": None}])
    capsys.readouterr()
    check(invoke)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    check(invoke)
    # Then
    (event,) = told(database)
    assert (event["subject"], event["tenant"]) == ("t", "public")
    assert event["data"] == {
        "dataset": "t",
        "version": 1,
        "rule": "r0",
        "check_type": "range",
        "score": 0.75,
        "threshold": 0.9,
    }
    fastavro.schemaless_writer(
        io.BytesIO(), json.loads(SCHEMA.read_text()), event["data"], strict=True
    )
    gauges = {
        (line["table"], line["check_type"]): line["data_quality_score"]
        for line in lines
        if "data_quality_score" in line
    }
    assert gauges == {("t", "range"): 0.75, ("t", "completeness"): 0.75}


def test_a_rule_whose_column_is_masked_by_now_scores_nothing_and_says_why(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", x="integer", y="integer")
    insert("t", [{"x": 1, "y": 2}])
    check(invoke, rule("range", minimum=0), rule("range", "y", minimum=0), rule("completeness"))
    masking = {"roles": {"admin": "clear"}, "others": "full"}
    body = {"changes": [{"op": "set_masking", "column": "y", "masking": masking}]}
    assert invoke("lake.change_dataset", path={"dataset": "t"}, body=body).status == 200
    # When
    found = check(invoke)
    # Then
    assert found["range"]["score"] == 0.0
    one, gone = found["range"]["rules"]
    assert (one["score"], one["holds"]) == (1.0, True)
    assert (gone["score"], gone["holds"]) == (0.0, False)
    assert "y is masked" in gone["problem"]
    assert found["completeness"]["score"] == 1.0


def test_a_renamed_column_goes_on_being_measured(
    make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", x="integer")
    insert("t", [{"x": 1}, {"x": -1}])
    check(invoke, rule("range", minimum=0))
    body = {"changes": [{"op": "rename_column", "column": "x", "name": "z"}]}
    assert invoke("lake.change_dataset", path={"dataset": "t"}, body=body).status == 200
    # When / Then
    assert check(invoke)["range"]["score"] == 0.5


def test_what_takes_too_long_is_given_up_and_keeps_nothing(
    database: str, make_dataset: MakeDataset, invoke: Invoker
) -> None:
    # Given a table that somebody else holds
    make_dataset("t", x="integer")
    put(invoke, rule("completeness"))
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        found = connection.execute("SELECT table_name FROM lake.datasets").fetchone()
        assert found is not None
        connection.execute("SET LOCAL ROLE lake_owner")
        held = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE")
        connection.execute(held.format(sql.Identifier("lake_data", found[0])))
        # When
        answer = invoke(OPERATION, path={"dataset": "t"}, seconds=4.5)
    # Then
    assert answer.status == 504, answer.body
    quality = invoke("lake.get_quality", path={"dataset": "t"}).json
    assert quality["history"]["items"] == []


def test_another_tenants_dataset_is_not_found(make_dataset: MakeDataset, invoke: Invoker) -> None:
    # Given
    make_dataset("t", x="integer")
    # When / Then
    assert invoke(OPERATION, path={"dataset": "t"}, tenant="acme").status == 404
    assert check(invoke) == {}
