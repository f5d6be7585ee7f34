"""Rules that are expressions of SQL: they mean what PostgreSQL reads, and can do nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import DEFINITION

COLUMNS = {
    "id": "integer",
    "n": "integer",
    "price": "decimal",
    "ratio": "number",
    "name": "text",
    "status": "text",
    "open": "boolean",
    "day": "date",
    "started": "timestamp",
    "ended": "timestamp",
    "doc": "json",
    "u": "uuid",
}
ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "n": 3,
        "price": "2.50",
        "ratio": 7.5,
        "name": " Ann ",
        "status": "open",
        "open": True,
        "day": "2026-01-31",
        "started": "2026-01-01T10:00:00Z",
        "ended": "2026-01-01T12:00:00Z",
        "doc": {"a": {"b": "x"}, "l": [1, 2]},
        "u": "00000000-0000-0000-0000-000000000001",
    },
    {
        "id": 2,
        "n": 0,
        "price": "10",
        "ratio": 0.0,
        "name": "bob",
        "status": "closed",
        "open": False,
        "day": "2026-02-01",
        "started": "2026-01-01T10:00:00Z",
        "ended": "2026-01-01T09:00:00Z",
        "doc": {"l": []},
        "u": "00000000-0000-0000-0000-000000000002",
    },
    {"id": 3, "name": "", "status": "lost", "n": -5, "started": "2026-01-02T00:00:00Z"},
    {"id": 4},
]
# Each with the ids of the rows that fail: those for which it is false, and neither true nor unknown.
HOLDS: dict[str, set[int]] = {
    "ended IS NULL OR ended > started": {2},
    "ratio = n * price": set(),
    "length(trim(name)) > 0": {3},
    "status IN ('open', 'closed') AND price BETWEEN 0 AND 5": {2, 3},
    "CASE WHEN open THEN n > 3 ELSE n <= 0 END": {1},
    "CASE status WHEN 'open' THEN TRUE WHEN 'closed' THEN n <> 0 END": {2},
    "coalesce(n, 1) >= 0": {3},
    "lower(name) ~ '^[a-z]+$'": {1, 3},
    "name !~* 'BOB'": {2},
    "started < now() - interval '1 day'": set(),
    "ended - started >= interval '1 hour 30 minutes'": {2},
    "started + interval '2 hours' = ended": {2},
    "day >= '2026-02-01'": {1},
    "day = date '2026-01-31' OR day - date '2026-01-31' = 1": set(),
    "extract(month FROM day) = 1": {2},
    "date_trunc('day', started AT TIME ZONE 'UTC') = timestamp '2026-01-01 00:00'": {3},
    "started::date = day - 30": {2},
    "n % 2 = 0": {1, 3},
    "-n < 0": {2, 3},
    "n / 2 = 1": {2, 3},
    "round(price, 1) = 2.5": {2},
    "price::numeric(4, 1) = price": set(),
    "10 / nullif(n, 0) > 0": {3},
    "name LIKE '%n%'": {2, 3},
    "name NOT ILIKE 'B%' ESCAPE '!'": {2},
    "name || status = 'bobclosed'": {1, 3},
    "substring(name FROM 2 FOR 3) = 'Ann'": {2, 3},
    "position('b' IN name) = 1": {1, 3},
    "NOT open": {1},
    "open IS NOT TRUE": {1},
    "n IS NOT DISTINCT FROM 3": {2, 3, 4},
    "(n IS NULL) = (name IS NULL)": set(),
    "num_nulls(n, name, status) = 0": {4},
    "greatest(n, 1) = least(n, 3)": {2, 3, 4},
    "jsonb_extract_path_text(doc, 'a', 'b') = 'x'": set(),
    "jsonb_array_length(jsonb_extract_path(doc, 'l')) = 2": {2},
    "u::text LIKE '%1'": {2},
    "u = '00000000-0000-0000-0000-000000000001'": {2},
    "CAST(n AS text) = '3'": {2, 3},
    "n NOT IN (1, 2, 3) AND n NOT BETWEEN 0 AND 1": {1, 2},
    '"n" = .5 * 6': {2, 3},
    "n < 9223372036854775808": set(),
    "status = 'it''s' OR status <> 'x\\y%s'": set(),
    "FALSE": {1, 2, 3, 4},
    "NULL": set(),
}
HOSTILE = [
    "n > 1; DROP TABLE t",
    "n > 1 --",
    "n /* x */ > 1",
    "(SELECT count(*) FROM lake.datasets) > 0",
    "EXISTS (SELECT 1)",
    "n IN (SELECT 1)",
    "n = ANY (ARRAY[1])",
    "n = ALL (SELECT 1)",
    "count(*) > 1",
    "sum(n) > 1",
    "row_number() OVER () > 1",
    "lag(n) OVER (ORDER BY id) < n",
    "pg_sleep(10) IS NULL",
    "pg_catalog.pg_sleep(10) IS NULL",
    '"pg_sleep"(10) IS NULL',
    "nextval('x') > 0",
    "set_config('datapunk.tenant', '*', true) = '*'",
    "current_setting('datapunk.tenant') = ''",
    "pg_read_file('/etc/passwd') = ''",
    "lo_import('/etc/passwd') > 0",
    "query_to_xml('select 1', true, true, '') IS NULL",
    "random() > 0.5",
    "clock_timestamp() > started",
    "repeat(name, 1000000000) = ''",
    "lpad(name, 1000000000) = ''",
    "replace(name, 'a', 'aaaaaaaaaaaa') = ''",
    "n ^ 100000 > 1",
    "regexp_replace(name, '(a+)+$', '') = ''",
    "substring(name FROM '(a+)+$') = ''",
    "name ~ status",
    "name ~ '(?=a)'",
    r"name ~ '(a)\1'",
    "name ~ '('",
    "name SIMILAR TO '%a%'",
    "$$x$$ = name",
    "$tag$x$tag$ = name",
    "E'\\x41' = name",
    "U&'\\0041' = name",
    "x'41' IS NULL",
    "$1 = n",
    "%(p0)s = n",
    "%s = n",
    ":p0 = n",
    "? = n",
    "@n > 1",
    "n::regclass IS NULL",
    "'lake.datasets'::regclass IS NULL",
    "n::int[] IS NULL",
    "name::bytea IS NULL",
    "t.n > 1",
    "lake_data.t.n > 1",
    "gone > 1",
    "ctid IS NULL",
    "tableoid > 0",
    "xmin IS NULL",
    "n OPERATOR(pg_catalog.>) 1",
    "name COLLATE \"C\" < 'a'",
    "user = session_user",
    "current_user = 'x'",
    "(n, id) = (1, 2)",
    "ROW(n) = ROW(1)",
    "n > 1 AS x",
    "*",
    "",
    " ",
    "(",
    "n >",
    "n > 1)",
    "n > 'a",
    "n = 1 = 1",
    "n + 1",
    "name",
    "n > name",
    "day > 5",
    "length(n) = 1",
    "upper(name, name) = ''",
    "n = 'a'",
    "day > 'tomorrow morning'",
    "1 / 0 > 1",
    "interval '1 day ago' > interval '1 hour'",
    "n = 1e9999",
    "n = ٣",
    "n = " + "9" * 3000,
    "name = '" + "x" * 1001 + "'",
    "(" * 500 + "n" + ")" * 500,
    "NOT " * 900 + "open",
    "- " * 900 + "n > 1",
    "abs(" * 100 + "n" + ")" * 100 + " > 1",
    "CASE WHEN " * 30 + "open" + " THEN open END" * 30,
    " OR ".join(["n > 1"] * 300),
    " || ".join(["name"] * 50) + " = ''",
    "n > 1\x00",
    "x" * 4001,
]
OURS = ("lake_data", "LINE 1", "psycopg", "syntax error", "does not exist", "operator is not", "p0")
"""What would tell that a message is PostgreSQL's, or about a statement of ours."""


def put(invoke: Invoker, *expressions: str, dataset: str = "t") -> Answer:
    rules = [
        {"name": f"r{place}", "check_type": "sql", "expression": expression}
        for place, expression in enumerate(expressions)
    ]
    path = {"dataset": dataset}
    return invoke("lake.put_quality_rules", path=path, body={"rules": rules})


def scores(invoke: Invoker) -> dict[str, dict[str, Any]]:
    answer = invoke("lake.check_quality", path={"dataset": "t"})
    assert answer.status == 200, answer.body
    return {rule["name"]: rule for score in answer.json["scores"] for rule in score["rules"]}


@pytest.fixture
def table(database: str, no_broker: None, invoke: Invoker) -> str:
    """Make a dataset with a few rows, of which some lack values."""
    columns = [{"name": name, "type": kind} for name, kind in COLUMNS.items()]
    made = invoke("lake.create_dataset", body={"name": "t", "columns": columns})
    assert made.status == 201, made.body
    where = {"dataset": "t"}
    written = invoke("lake.insert_records", path=where, body=ROWS, content_type="application/json")
    assert written.status == 201, written.body
    return "t"


def test_expressions_score_what_a_count_by_hand_says(table: str, invoke: Invoker) -> None:
    # Given
    kept = put(invoke, *HOLDS)
    assert kept.status == 200, kept.body
    # When
    found = scores(invoke)
    # Then
    counted = {text: found[f"r{place}"]["failed"] for place, text in enumerate(HOLDS)}
    assert counted == {text: len(failing) for text, failing in HOLDS.items()}
    assert found["r0"]["score"] == 0.75
    assert all(rule.get("problem") is None for rule in found.values())


@pytest.fixture
def refused(table: str, invoke: Invoker) -> list[Answer]:
    """Return what comes of each hostile expression."""
    return [put(invoke, text) for text in HOSTILE]


def test_what_is_not_on_the_lists_is_refused_with_a_reason(
    refused: list[Answer], invoke: Invoker
) -> None:
    # Given / When / Then
    for text, answer in zip(HOSTILE, refused, strict=True):
        assert answer.status == 422, (text, answer.body)
        said = str(answer.json["errors"])
        assert not [word for word in OURS if word in said and word not in text], (text, said)
    quality = invoke("lake.get_quality", path={"dataset": "t"}).json
    assert quality["rules"] == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("open OR (id > 0 AND abs(n) > lower(name))", "ABS(n) > LOWER(name): "),
        ("CASE WHEN open THEN coalesce(n, day) = 1 END", "COALESCE(n, day): "),
        ("name IS NULL OR round(ratio, 2) = 1", "ROUND(ratio, 2): "),
        ("n > 0 AND name", "n > 0 AND name: it must be true or false"),
        ("n + 1", "it must be true or false"),
    ],
)
def test_the_part_whose_types_do_not_go_together_is_named(
    table: str, invoke: Invoker, text: str, part: str
) -> None:
    # Given / When
    answer = put(invoke, text)
    # Then
    assert answer.fields == {"rules.r0": "type"}
    assert answer.json["errors"][0]["message"].lower().startswith(part.lower())


def test_a_row_that_cannot_be_computed_breaks_its_rule_only(table: str, invoke: Invoker) -> None:
    # Given expressions that a row makes fail, and rules that hold
    rules = [
        {"name": "good", "check_type": "sql", "expression": "n < 100"},
        {"name": "zero", "check_type": "sql", "expression": "10 / n > 1", "severity": "error"},
        {"name": "large", "check_type": "sql", "expression": "(n + 5)::smallint * 32000 >= 0"},
        {"name": "text", "check_type": "sql", "expression": "status::date > day"},
        {"name": "there", "check_type": "completeness", "column": "id"},
    ]
    body = {"rules": rules}
    answer = invoke("lake.put_quality_rules", path={"dataset": "t"}, body=body)
    assert answer.status == 200, answer.body
    # When
    found = scores(invoke)
    # Then
    assert {name: rule["score"] for name, rule in found.items()} == {
        "good": 1.0,
        "zero": 0.0,
        "large": 1.0,
        "text": 0.0,
        "there": 1.0,
    }
    assert "nullif" in found["zero"]["problem"]
    assert "date" in found["text"]["problem"]
    assert not found["zero"]["holds"]


def test_a_rule_goes_on_while_its_columns_do(table: str, invoke: Invoker) -> None:
    # Given
    assert put(invoke, "n > 0", "price > 0", "name IS NULL OR name > ''").status == 200
    changes: list[dict[str, Any]] = [
        {"op": "rename_column", "column": "n", "name": "amount"},
        {"op": "deprecate_column", "column": "price", "reason": "not used"},
        {"op": "drop_column", "column": "price"},
        {"op": "set_masking", "column": "name", "masking": {"roles": {"admin": "clear"}}},
    ]
    # When
    changed = invoke("lake.change_dataset", path={"dataset": "t"}, body={"changes": changes})
    # Then what was renamed goes by its old name, what is gone or masked says so
    assert changed.status == 200, changed.body
    found = scores(invoke)
    assert (found["r0"]["score"], found["r0"]["failed"]) == (0.5, 2)
    assert "price is not a column" in found["r1"]["problem"]
    assert "name is masked" in found["r2"]["problem"]


def test_of_protected_columns_only_their_absence_is_asked(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    hidden = next(c["name"] for c in DEFINITION["columns"] if c.get("protection") == "encrypted")
    # When / Then
    for text in (f"{hidden} = 'x'", f"({hidden}) IS NULL", f"num_nulls({hidden}) = 0"):
        assert put(invoke, text, dataset="patients").fields == {"rules.r0": "protected"}
    assert put(invoke, f"{hidden} IS NOT NULL", dataset="patients").status == 200


pieces = st.sampled_from(
    [
        *("n", "name", "open", "day", "doc", "gone", '"', "'", "''", "(", ")", "[", "]", "{", "}"),
        *(";", "--", "/*", "*/", "%", "%s", "%(p0)s", "$1", "$$", ":", "::", ",", ".", "\\", "=>"),
        *("=", "<", ">", "~", "||", "->", "+", "-", "*", "/", "^", "@", "#", "?", "&", "|", "!"),
        *("AND", "OR", "NOT", "IS", "NULL", "IN", "LIKE", "BETWEEN", "CASE", "WHEN", "THEN", "END"),
        *("SELECT", "FROM", "WHERE", "UNION", "CAST", "AS", "int", "interval", "date", "timestamp"),
        *(
            "1",
            "1e9",
            "0x1",
            "'a'",
            "E'a'",
            "U&'a'",
            "coalesce",
            "lower",
            "pg_sleep",
            "OVER",
            "ARRAY",
        ),
    ]
)
anything = st.one_of(
    st.lists(pieces, min_size=1, max_size=12).map(" ".join),
    st.lists(pieces, min_size=1, max_size=8).map("".join),
    st.text(max_size=30),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=anything)
def test_no_text_breaks_the_door(table: str, invoke: Invoker, text: str) -> None:
    # Given / When
    answer = put(invoke, text)
    # Then
    assert answer.status in (200, 422), answer.body
    if answer.status == 422:
        said = str([error["message"] for error in answer.json["errors"]])
        assert not [word for word in OURS if word in said and word not in text], said
