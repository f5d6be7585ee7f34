"""Any rows, any conditions: PostgREST's face finds what Python would; and whatever is sent, it stays calm."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import pytest
from datapunk import limits
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake.operators import OPERATORS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.invoking import Answer
from tests.support.rest import Rest, fill

Row = dict[str, Any]
Verdict = bool | None
"""What SQL says: true, false or unknown."""

COLUMNS = [
    {"name": "id", "type": "integer"},
    {"name": "n", "type": "integer"},
    {"name": "t", "type": "text"},
    {"name": "b", "type": "boolean"},
    {"name": "d", "type": "date"},
    {"name": "j", "type": "json"},
    {"name": "r", "type": "integer_range"},
]
NUMBERS = st.integers(-3, 3)
TEXTS = st.text("aAbB %_*,.()\\\"'{}", max_size=4)
DAYS = st.dates(dt.date(2026, 1, 1), dt.date(2026, 1, 4))
SPANS = st.none() | st.tuples(st.integers(0, 5), st.integers(1, 3)).map(lambda p: (p[0], sum(p)))
"""Ranges of whole numbers, the upper bound left out; None is the empty one."""
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.none() | NUMBERS,
            "t": st.none() | TEXTS,
            "b": st.none() | st.booleans(),
            "d": st.none() | DAYS,
            "j": st.none() | st.fixed_dictionaries({}, optional={"k": TEXTS, "m": NUMBERS}),
            "r": st.none() | st.tuples(SPANS),
        }
    ),
    min_size=1,
    max_size=8,
)


@dataclass(frozen=True)
class Asked:
    """A condition: how it is written as a parameter and inside a tree, and what Python says of a row."""

    name: str
    text: str
    inner: str
    holds: Callable[[Row], Verdict]


def _known(compare: Callable[[Any], bool], value: Any) -> Verdict:
    return None if value is None else bool(compare(value))


def _not(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def _and(verdicts: list[Verdict]) -> Verdict:
    return False if False in verdicts else None if None in verdicts else True


def _or(verdicts: list[Verdict]) -> Verdict:
    return True if True in verdicts else None if None in verdicts else False


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def _swapped(compare: Callable[[Any, Any], bool], value: Any, found: Any) -> bool:
    return compare(found, value)


LISTABLE = ("eq", "gt", "gte", "lt", "lte")


@st.composite
def comparisons(draw: st.DrawFn) -> Asked:
    """Draw a comparison of a column with one value or several."""
    name, values = draw(
        st.sampled_from([("n", NUMBERS), ("t", TEXTS), ("b", st.booleans()), ("d", DAYS)])
    )
    word = draw(st.sampled_from([*COMPARE, "in", "isdistinct", "any", "all"]))
    if word in ("in", "any", "all"):
        listed = draw(st.lists(values, max_size=3))
        written = ",".join(_quoted(_value(value)) for value in listed)
        if word == "in":
            text = f"in.({written})"
            return Asked(name, text, text, lambda row: _in(row[name], listed))
        operator, glue = draw(st.sampled_from(LISTABLE)), _or if word == "any" else _and
        text = f"{operator}({word}).{{{written}}}"
        return Asked(
            name,
            text,
            text,
            lambda row: glue(
                [_known(partial(_swapped, COMPARE[operator], it), row[name]) for it in listed]
            ),
        )
    value = draw(values)
    written = _value(value)
    inner = f"{word}.{_quoted(written)}"
    if word == "isdistinct":
        return Asked(name, f"{word}.{written}", inner, lambda row: row[name] != value)
    return Asked(
        name,
        f"{word}.{written}",
        inner,
        lambda row: _known(lambda found: COMPARE[word](found, value), row[name]),
    )


def _in(found: Any, listed: list[Any]) -> Verdict:
    if not listed:
        return False
    return _known(lambda value: value in listed, found)


def _pattern(text: str) -> str:
    """Return LIKE's pattern as a regular expression; a backslash takes the next sign as it is."""
    parts = re.findall(r"\\.|.", text, re.DOTALL)
    signs = {"%": ".*", "*": ".*", "_": "."}
    return "".join(
        re.escape("%" if part == "\\*" else part[1])
        if part.startswith("\\")
        else signs.get(part, re.escape(part))
        for part in parts
    )


@st.composite
def patterns(draw: st.DrawFn) -> Asked:
    """Draw a comparison with a pattern."""
    word = draw(st.sampled_from(["like", "ilike"]))
    text = draw(st.text("aAbB%_*", max_size=4))
    flags = re.DOTALL | (re.IGNORECASE if word == "ilike" else 0)
    shape = re.compile(_pattern(text), flags)
    return Asked(
        "t",
        f"{word}.{text}",
        f"{word}.{_quoted(text)}",
        lambda row: _known(lambda found: shape.fullmatch(found) is not None, row["t"]),
    )


@st.composite
def nothings(draw: st.DrawFn) -> Asked:
    """Draw an `is`."""
    name = draw(st.sampled_from(["n", "t", "b", "d", "j", "r"]))
    words: dict[str, Callable[[Any], bool]] = {
        "null": lambda found: found is None,
        "not_null": lambda found: found is not None,
    }
    if name == "b":
        words |= {
            "true": lambda found: found is True,
            "false": lambda found: found is False,
            "unknown": lambda found: found is None,
        }
    word = draw(st.sampled_from(sorted(words)))
    return Asked(name, f"is.{word}", f"is.{word}", lambda row: words[word](row[name]))


@st.composite
def insides(draw: st.DrawFn) -> Asked:
    """Draw a comparison with what is inside a JSON value."""
    if draw(st.booleans()):
        key = draw(TEXTS)
        return Asked(
            "j->>k",
            f"eq.{key}",
            f"eq.{_quoted(key)}",
            lambda row: _known(lambda found: found == key, (row["j"] or {}).get("k")),
        )
    number = draw(NUMBERS)
    return Asked(
        "j->m",
        f"gt.{number}",
        f"gt.{number}",
        lambda row: _known(lambda found: found > number, (row["j"] or {}).get("m")),
    )


Span = tuple[int, int] | None
SPANNING: dict[str, Callable[[Span, Span], bool]] = {
    "cs": lambda a, b: b is None or (a is not None and a[0] <= b[0] and b[1] <= a[1]),
    "cd": lambda a, b: a is None or (b is not None and b[0] <= a[0] and a[1] <= b[1]),
    "ov": lambda a, b: bool(a and b and a[0] < b[1] and b[0] < a[1]),
    "sl": lambda a, b: bool(a and b and a[1] <= b[0]),
    "sr": lambda a, b: bool(a and b and a[0] >= b[1]),
    "nxr": lambda a, b: bool(a and b and a[1] <= b[1]),
    "nxl": lambda a, b: bool(a and b and a[0] >= b[0]),
    "adj": lambda a, b: bool(a and b and (a[1] == b[0] or b[1] == a[0])),
    "eq": lambda a, b: a == b,
}


def _span(span: Span) -> str:
    return "empty" if span is None else f"[{span[0]},{span[1]})"


@st.composite
def spans(draw: st.DrawFn) -> Asked:
    """Draw a comparison of ranges."""
    word, other = draw(st.sampled_from(sorted(SPANNING))), draw(SPANS)
    text = f"{word}.{_span(other)}"
    return Asked(
        "r",
        text,
        text,
        lambda row: _known(lambda found: SPANNING[word](found[0], other), row["r"]),
    )


LEAVES = st.one_of(comparisons(), patterns(), nothings(), insides(), spans())


def _negated(asked: Asked) -> Asked:
    return Asked(
        asked.name, f"not.{asked.text}", f"not.{asked.inner}", lambda row: _not(asked.holds(row))
    )


SIMPLE = LEAVES | LEAVES.map(_negated)


def _joined(word: str, items: list[Asked], *, negated: bool) -> Asked:
    inner = ",".join(
        f"{item.name}{item.inner}" if item.name in TREES else f"{item.name}.{item.inner}"
        for item in items
    )
    glue = _and if word == "and" else _or
    name = f"not.{word}" if negated else word

    def holds(row: Row) -> Verdict:
        verdict = glue([item.holds(row) for item in items])
        return _not(verdict) if negated else verdict

    return Asked(name, f"({inner})", f"({inner})", holds)


TREES = ("and", "or", "not.and", "not.or")
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: st.builds(
        _joined,
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
        negated=st.booleans(),
    ),
    max_leaves=6,
)


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


def _plain(row: Row) -> Row:
    day, span = row["d"], row["r"]
    return {**row, "d": day and day.isoformat(), "r": None if span is None else _span(span[0])}


@settings(max_examples=100)
@given(rows=ROWS, asked=st.lists(CONDITIONS, min_size=1, max_size=3))
def test_conditions_find_what_python_would(rest: Rest, rows: list[Row], asked: list[Asked]) -> None:
    # Given
    rest.delete("x", "return=minimal", id="gte.0")
    numbered = [{"id": number, **row} for number, row in enumerate(rows)]
    assert rest.post("x", [_plain(row) for row in numbered], "return=minimal").status == 201
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
    assert rest.post("x", [_plain(row) for row in numbered], "return=minimal").status == 201
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


@pytest.fixture
def filled(rest: Rest) -> Rest:
    """Return a client of two datasets, which are still whole at the end."""
    fill(rest.invoke)
    return rest


def _calm(answer: Answer) -> None:
    """Refuse a server's error, an error of SQL, and anything but the documented shapes."""
    assert answer.status < 500, answer.body
    if answer.status >= 300:
        assert set(answer.json) == {"code", "message", "details", "hint"}
        assert answer.json["code"] not in ("internal", "configuration")
        told = " ".join(str(part) for part in answer.json.values())
        assert [word for word in SQL_SAYS if word in told] == []


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    return {name: text.encode("ascii", "ignore").decode() for name, text in headers.items()}


@settings(max_examples=200)
@given(query=QUERIES, headers=HEADERS)
@example(query={"label": ["fts.'"]}, headers={})
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
    _calm(filled("readings", _sendable(headers), **query))


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
    _calm(
        filled.invoke(
            "lake.write_rest", method=method, path=path, query=query, headers=sent, body=content
        )
    )
    # Then nothing but rows is touched
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        found = connection.execute("SELECT count(*) FROM lake.datasets").fetchone()
    assert found == (3,)
