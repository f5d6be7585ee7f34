"""lake.put_quality_rules: a rule that cannot be measured is refused, and says why; nothing is ever SQL."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import ANN, BOB, DEFINITION, row
from tests.unit.lake.conftest import Insert, MakeDataset

OPERATION = "lake.put_quality_rules"


def _put(invoke: Invoker, *rules: dict[str, Any], dataset: str = "t", **others: Any) -> Answer:
    body = {"rules": [{"name": f"r{place}", **rule} for place, rule in enumerate(rules)]}
    return invoke(OPERATION, path={"dataset": dataset}, body=body, **others)


def _scores(invoke: Invoker, dataset: str = "t") -> dict[str, float]:
    answer = invoke("lake.check_quality", path={"dataset": dataset})
    assert answer.status == 200, answer.body
    return {score["check_type"]: score["score"] for score in answer.json["scores"]}


def test_the_sample_is_kept_whole_and_replaced_whole(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    kept = invoke(OPERATION)
    # Then
    assert kept.status == 200, kept.body
    names = ["ppm_present", "ppm_plausible", "year_of_week", "recent"]
    assert [rule["name"] for rule in kept.json["rules"]] == names
    assert invoke("lake.get_quality").json["rules"] == kept.json["rules"]
    assert _put(invoke, dataset="co2_weekly").status == 200
    assert invoke("lake.get_quality").json["rules"] == []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"check_type": "range", "column": "gone", "minimum": 1}, "unknown_column"),
        ({"check_type": "range", "column": "n", "minimum": "a"}, "type"),
        ({"check_type": "range", "column": "s", "minimum": 1}, "type"),
        ({"check_type": "range", "column": "n", "minimum": 2, "maximum": 1}, "type"),
        ({"check_type": "pattern", "column": "n", "pattern": "a"}, "type"),
        ({"check_type": "pattern", "column": "s", "pattern": r"\p{Greek}"}, "pattern"),
        ({"check_type": "type", "column": "n", "type": "date"}, "type"),
        ({"check_type": "uniqueness", "columns": ["j"]}, "type"),
        ({"check_type": "freshness", "seconds": 1}, "column"),
        ({"check_type": "freshness", "column": "n", "seconds": 1}, "type"),
        (
            {"check_type": "distribution", "column": "s", "measure": {"statistic": "stability"}},
            "type",
        ),
        (
            {
                "check_type": "reference",
                "columns": ["n"],
                "dataset": "none",
                "references": ["id"],
            },
            "unknown_dataset",
        ),
        (
            {"check_type": "reference", "columns": ["n"], "dataset": "t", "references": ["s"]},
            "type",
        ),
        ({"check_type": "predicate", "predicate": "n > 1; DROP TABLE t"}, "syntax"),
        ({"check_type": "predicate", "predicate": "and=(n.gte.1"}, "predicate"),
        ({"check_type": "predicate", "predicate": "and=(gone.gte.1)"}, "predicate"),
        ({"check_type": "predicate", "predicate": "and=(n.gte.a)"}, "predicate"),
        ({"check_type": "predicate", "predicate": "and=(s.fts.a b)"}, "predicate"),
        ({"check_type": "predicate", "predicate": 'or=(s.match."(")'}, "pattern"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    make_dataset: MakeDataset, invoke: Invoker, rule: dict[str, Any], code: str
) -> None:
    # Given
    make_dataset("t", n="integer", s="text", j="json")
    # When
    answer = _put(invoke, {"check_type": "completeness", "column": "n"}, rule)
    # Then nothing is kept
    assert (answer.status, answer.json.get("code")) == (422, "invalid_input"), answer.body
    assert answer.fields == {"rules.r1": code}
    assert invoke("lake.get_quality", path={"dataset": "t"}).json["rules"] == []


@pytest.mark.parametrize(
    "rule",
    [
        {"check_type": "range", "column": "n"},
        {"check_type": "guess", "column": "n"},
        {"check_type": "completeness", "column": "n", "threshold": 1.5},
        {"check_type": "completeness", "column": "n", "name": "r0"},
        {"check_type": "completeness", "column": 'n" IS NULL OR "n'},
        {"check_type": "distribution", "column": "n", "measure": {"statistic": "mean"}},
        {
            "check_type": "distribution",
            "column": "n",
            "measure": {
                "statistic": "stability",
                "baseline": {"edges": [1, 1], "shares": [0.5, 0.25, 0.25]},
            },
        },
    ],
)
def test_a_rule_that_is_none_is_refused(
    make_dataset: MakeDataset, invoke: Invoker, rule: dict[str, Any]
) -> None:
    # Given
    make_dataset("t", n="integer")
    # When / Then
    assert _put(invoke, {"check_type": "completeness", "column": "n"}, rule).status == 422


def test_of_what_is_protected_only_completeness_is_measured(
    database: str, invoke: Invoker, insert: Insert
) -> None:
    # Given a dataset with encrypted columns, one of which lacks a value, and a masked one
    masked = {"name": "town", "type": "text", "masking": {"roles": {"editor": "clear"}}}
    definition = DEFINITION | {"columns": [*DEFINITION["columns"], masked]}
    assert invoke("lake.create_dataset", body=definition).status == 201
    encrypted = next(c for c in DEFINITION["columns"] if c.get("protection") == "encrypted")
    column = encrypted["name"]
    lacking = {**row(2, BOB), column: None}
    answer = insert("patients", [row(1, ANN, town="Kiel"), lacking])
    assert answer.status == 201, answer.body
    # When / Then
    for name in (column, "town"):
        refusals: list[dict[str, Any]] = [
            {"check_type": "pattern", "column": name, "pattern": "a"},
            {"check_type": "uniqueness", "columns": [name]},
            {"check_type": "predicate", "predicate": f"or=(not.and({name}.eq.a))"},
            {"check_type": "type", "column": name, "type": "integer"},
        ]
        for rule in refusals:
            refused = _put(invoke, rule, dataset="patients")
            assert (refused.status, refused.fields) == (422, {"rules.r0": "protected"})
            assert "only its completeness" in refused.json["detail"]
    rules = [
        {"check_type": "completeness", "column": column},
        {"check_type": "predicate", "predicate": "and=(town.not.is.null)"},
    ]
    assert _put(invoke, *rules, dataset="patients").status == 200
    assert _scores(invoke, "patients") == {"completeness": 0.5, "predicate": 0.5}


@pytest.fixture
def table(make_dataset: MakeDataset, insert: Insert) -> str:
    """Make a dataset of one row for all examples."""
    make_dataset("t", s="text")
    insert("t", [{"s": "x"}])
    return "t"


hostile = st.lists(
    st.sampled_from(["'", '"', ";", "--", "/*", "%s", "%(p0)s", "%", "{}", "\\", "x", " OR ", "$1"])
    | st.characters(exclude_characters="\x00", exclude_categories=["Cs"]),
    min_size=1,
    max_size=8,
).map("".join)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=hostile)
def test_a_value_is_never_more_than_a_value(
    table: str, database: str, invoke: Invoker, value: str
) -> None:
    # Given
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    rules = [
        {"check_type": "predicate", "predicate": f"and=(s.eq.{quoted})"},
        {"check_type": "predicate", "predicate": f"or=(s.neq.{quoted})"},
    ]
    # When
    answer = _put(invoke, *rules)
    # Then one of them holds for the only row
    assert answer.status == 200, answer.body
    found = invoke("lake.check_quality", path={"dataset": "t"}).json["scores"]
    one, other = (rule["score"] for rule in found[0]["rules"])
    assert (one, other) == ((1.0, 0.0) if value == "x" else (0.0, 1.0))


def test_rules_go_with_their_dataset(
    database: str, make_dataset: MakeDataset, insert: Insert, invoke: Invoker
) -> None:
    # Given
    make_dataset("t", n="integer")
    _put(invoke, {"check_type": "completeness", "column": "n"})
    _scores(invoke)
    assert _put(invoke, tenant="acme").status == 404
    # When
    assert invoke("lake.delete_dataset", path={"dataset": "t"}).status == 204
    # Then
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
        left = connection.execute(
            "SELECT (SELECT count(*) FROM lake.quality_rules),"
            " (SELECT count(*) FROM lake.quality_results)"
        ).fetchone()
    assert left == (0, 0)
