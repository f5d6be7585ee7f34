"""Any rows, any conditions: PostgREST's face finds what Python would; and whatever is sent, it stays calm."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from datapunk import limits
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake.operators import OPERATORS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.conditions import COLUMNS, CONDITIONS, NUMBERS, ROWS, SIMPLE, Asked, Row, plain
from tests.support.invoking import Answer
from tests.support.rest import Rest, fill


@pytest.fixture
def rest(database: str, no_broker: None) -> Rest:
    """Return a client with as many requests as it needs."""
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, quota, window_seconds)"
            " VALUES ('public', 1000000, 60)"
        )
    limits.forget()
    made = Rest()
    definition = {"name": "x", "columns": COLUMNS, "key": ["id"]}
    assert made.invoke("lake.create_dataset", body=definition).status == 201
    return made


@settings(max_examples=100)
@given(rows=ROWS, asked=st.lists(CONDITIONS, min_size=1, max_size=3))
def test_conditions_find_what_python_would(rest: Rest, rows: list[Row], asked: list[Asked]) -> None:
    # Given
    rest.delete("x", "return=minimal", id="gte.0")
    numbered = [{"id": number, **row} for number, row in enumerate(rows)]
    assert rest.post("x", [plain(row) for row in numbered], "return=minimal").status == 201
    # When
    query: dict[str, Any] = {}
    for item in asked:
        query.setdefault(item.name, []).append(item.text)
    answer = rest("x", select="id", order="id", **query)
    # Then
    assert answer.status == 200, (query, answer.body)
    expected = [row["id"] for row in numbered if all(item.holds(row) is True for item in asked)]
    assert [row["id"] for row in answer.json] == expected, query


@settings(max_examples=30)
@given(rows=ROWS, asked=SIMPLE, number=NUMBERS)
def test_changes_and_deletions_hit_what_python_would(
    rest: Rest, rows: list[Row], asked: Asked, number: int
) -> None:
    # Given
    rest.delete("x", "return=minimal", id="gte.0")
    numbered = [{"id": place, **row} for place, row in enumerate(rows)]
    assert rest.post("x", [plain(row) for row in numbered], "return=minimal").status == 201
    hit = {row["id"] for row in numbered if asked.holds(row) is True}
    # When
    deleted = rest.delete("x", select="id", order="id", **{asked.name: asked.text})
    changed = rest.patch("x", {"n": number}, select="id,n", order="id", id="gte.0")
    # Then
    assert {row["id"] for row in deleted.json} == hit
    left = [row["id"] for row in numbered if row["id"] not in hit]
    assert changed.json == [{"id": place, "n": number} for place in left]


WORDS = st.sampled_from(
    [
        *OPERATORS,
        *("id", "station", "doc", "valid", "label", "stations", "readings", "count", "x"),
        *(".", ",", "(", ")", ":", "::", "->", "->>", "!", "...", "*", '"', "\\", "'", ";", "--"),
        *("not.", "and(", "or(", "()", "{", "}", "[", "]", "any", "all", "inner", "sum()", "text"),
        *("int", "desc", "nullsfirst", "null", "true", "1", "-1", "9" * 30, "%", "%s", "$1", " "),
        *("\x00", "\ud800", "\u2028", "1e999", "infinity", "NaN", "=", "&", "{}", "[1,2)"),
    ]
)
PIECES = st.one_of(st.text(max_size=12), st.lists(WORDS, max_size=10).map("".join))
LIKELY = st.one_of(
    PIECES,
    st.builds("{}.{}".format, st.sampled_from(OPERATORS), PIECES),
    st.builds("{}.({})".format, st.sampled_from(OPERATORS), PIECES),
    st.builds("({})".format, PIECES),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *(
                "select",
                "order",
                "limit",
                "offset",
                "columns",
                "on_conflict",
                "and",
                "or",
                "not.or",
            ),
            *("id", "label", "doc", "valid", "good", "day", "ppm", "doc->n", "doc->>city"),
            *("stations.code", "stations.order", "stations.limit", "stations"),
        ]
    ),
    PIECES,
)
QUERIES = st.dictionaries(NAMES, st.lists(LIKELY, min_size=1, max_size=2), max_size=4)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Prefer": st.one_of(
            st.text(max_size=20),
            st.sampled_from(
                [
                    *("count=exact", "count=planned", "count=estimated", "handling=strict"),
                    *("return=representation", "return=headers-only", "handling=strict,a=b"),
                    "resolution=merge-duplicates,missing=default,return=representation",
                    "handling=strict,max-affected=0",
                ]
            ),
        ),
        "Range": st.one_of(st.text("0123456789-", max_size=30), PIECES),
        "Accept": st.sampled_from(
            ["text/csv", "application/vnd.pgrst.object+json", "*/*", "a/b", ";;", ""]
        ),
    },
)
BODIES = st.one_of(
    PIECES,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "label", "ppm", "doc", "day", "valid", "x"]), inner
            )
        ),
        max_leaves=8,
    ).map(json.dumps),
)


SQL_SAYS = (
    "syntax error at",
    "LINE 1",
    "psycopg",
    "lake_data",
    "SELECT ",
    "pg_",
    "Traceback",
    "t1.",
)
"""What only an error of SQL, or of ours, would say to a client."""


def assert_calm(answer: Answer) -> None:
    """Refuse a server's error, an error of SQL, and anything but the documented shapes."""
    assert answer.status < 500, answer.body
    if answer.status >= 300:
        assert set(answer.json) == {"code", "message", "details", "hint"}
        assert answer.json["code"] not in ("internal", "configuration")
        told = " ".join(str(part) for part in answer.json.values())
        assert [word for word in SQL_SAYS if word in told] == []


@pytest.fixture
def filled(rest: Rest) -> Rest:
    """Return a client of two datasets, which are still whole at the end."""
    fill(rest.invoke)
    return rest


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    return {name: text.encode("ascii", "ignore").decode() for name, text in headers.items()}


@settings(max_examples=200)
@given(query=QUERIES, headers=HEADERS)
@example(query={"label": ["fts.'"]}, headers={})
@example(query={"\ud800": ["eq.1"], "select": ["\udfff"]}, headers={})
@example(query={"label": ["match.(((("]}, headers={})
@example(query={"doc": ['cs.{"a":"\\u0000"}']}, headers={})
@example(query={"select": ["doc->99999999999"]}, headers={})
@example(query={"ppm": ["eq.1e999"]}, headers={"Prefer": "count=planned"})
@example(query={"valid": ["ov.[,]"]}, headers={})
@example(query={"select": ["label::int"]}, headers={"Prefer": "count=exact"})
@example(query={"select": ["id.sum()::int2"]}, headers={})
def test_whatever_is_asked_is_answered_calmly(
    filled: Rest, query: dict[str, Any], headers: dict[str, str]
) -> None:
    # Given / When / Then
    assert_calm(filled("readings", _sendable(headers), **query))


@settings(max_examples=120)
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    query=QUERIES,
    headers=HEADERS,
    body=BODIES,
    kind=st.sampled_from(["application/json", "text/csv"]),
)
@example("POST", {}, {}, '[{"id": 1e2}]', "application/json")
@example("POST", {}, {}, '[{"id": 7, "doc": NaN}]', "application/json")
@example("POST", {}, {}, '[{"id": 7, "doc": "\\u0000"}]', "application/json")
@example("PATCH", {"id": ["eq.1"]}, {}, '{"doc": "\\ud800"}', "application/json")
def test_whatever_is_written_is_answered_calmly(
    filled: Rest,
    database: str,
    method: str,
    query: dict[str, list[str]],
    headers: dict[str, str],
    body: str,
    kind: str,
) -> None:
    # Given / When
    sent = {"Content-Type": kind, **_sendable(headers)}
    content = body.encode("utf-8", "surrogatepass")
    path = {"dataset": "readings"}
    assert_calm(
        filled.invoke(
            "lake.write_rest", method=method, path=path, query=query, headers=sent, body=content
        )
    )
    # Then nothing but rows is touched
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        found = connection.execute("SELECT count(*) FROM lake.datasets").fetchone()
    assert found == (3,)
