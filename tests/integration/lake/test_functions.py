"""Functions: any argument is data, whoever calls sees his own, and a dataset that changes is told of."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from datapunk import limits
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.integration.lake.test_rest import BODIES, HEADERS, LIKELY, QUERIES, assert_calm
from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Answer, Invoker
from tests.support.people_rows import ANN, BOB, DEFINITION, EMAIL, row
from tests.support.rest import Rest, fill

ACME: dict[str, Any] = {"tenant": "acme"}
TEXTS: list[str] = [
    "7&or=(id.gt.0)",
    "null),id.gt.(0",
    "a,b",
    '"',
    "\\",
    "{x}",
    "{}",
    "(a)",
    "%",
    "",
    "not.is.null",
    "*",
]
ANY_TEXT = (
    st.sampled_from([*TEXTS, *(text for text in METACHARACTERS if "\x00" not in text)])
    | st.text("ab,.(){}\"'\\%*&=", max_size=5)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
)


def _parameter(name: str, kind: str = "text", **others: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **others}


@pytest.fixture
def rest(database: str, no_broker: None) -> Rest:
    """Return a client with as many requests as it needs."""
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, quota, window_seconds)"
            " VALUES ('public', 1000000, 60)"
        )
    limits.forget()
    return Rest()


@pytest.fixture
def texts(rest: Rest) -> Rest:
    """Return a client of a dataset of texts, and of functions that compare them in each place there is."""
    columns = [
        {"name": "id", "type": "integer"},
        {"name": "t", "type": "text"},
        {"name": "j", "type": "json"},
    ]
    definition = {"name": "x", "columns": columns, "key": ["id"]}
    assert rest.invoke("lake.create_dataset", body=definition).status == 201
    for name, query in {
        "equal": {"t": "eq.{p}"},
        "inner": {"or": "(id.lt.0,and(t.eq.{p},id.gte.0))"},
        "other": {"not.or": "(t.eq.{p},id.lt.0)"},
        "listed": {"t": "in.{many}"},
        "whole": {"j": "eq.{value}"},
        "member": {"j->>k": "eq.{p}"},
    }.items():
        used = next(iter(query.values()))
        (parameter,) = [
            item
            for item in (
                _parameter("p"),
                _parameter("many", many=True),
                _parameter("value", "json"),
            )
            if f"{{{item['name']}}}" in used
        ]
        body = {
            "dataset": "x",
            "parameters": [parameter],
            "query": {"select": "id", "order": "id", **query},
        }
        assert rest.put_function(name, body).status == 200
    return rest


@settings(max_examples=60)
@given(rows=st.lists(ANY_TEXT, min_size=1, max_size=6), asked=ANY_TEXT, place=st.integers(0, 5))
@example(rows=["7", "a"], asked="7&or=(id.gt.0)", place=0)
@example(rows=["null", "a"], asked="null),id.gt.(0", place=0)
def test_any_argument_is_data(texts: Rest, rows: list[str], asked: str, place: int) -> None:
    # Given rows one of which has the very text, by chance or more
    rows = [*rows, asked][place % 2 :]
    texts.delete("x", "return=minimal", id="gte.0")
    stored = [{"id": n, "t": text, "j": {"k": text}} for n, text in enumerate(rows)]
    assert texts.post("x", stored, "return=minimal").status == 201
    equal = [n for n, text in enumerate(rows) if text == asked]
    listed = [n for n, text in enumerate(rows) if text in (asked, rows[0])]
    # When
    posted = {
        "equal": texts.rpc("equal", {"p": asked}),
        "inner": texts.rpc("inner", {"p": asked}),
        "member": texts.rpc("member", {"p": asked}),
        "whole": texts.rpc("whole", {"value": {"k": asked}}),
        "equal by query": texts.rpc_get("equal", p=asked),
        "inner by query": texts.rpc_get("inner", p=asked),
    }
    others = texts.rpc("other", {"p": asked})
    several = texts.rpc("listed", {"many": [asked, rows[0]]})
    # Then
    for how, answer in posted.items():
        assert (answer.status, _ids(answer)) == (200, equal), (how, answer.body)
    assert _ids(others) == [n for n in range(len(rows)) if n not in equal]
    assert _ids(several) == listed


def _ids(answer: Answer) -> list[int]:
    return [item["id"] for item in answer.json]


CALLED = {
    "dataset": "readings",
    "parameters": [
        _parameter("label", optional=True),
        _parameter("ppm", "number", optional=True),
        _parameter("doc", "json", optional=True),
        _parameter("day", "date", optional=True),
        _parameter("valid", "integer_range", optional=True),
        _parameter("id", "integer", many=True, optional=True),
        _parameter("words", optional=True),
        _parameter("pattern", optional=True),
        _parameter("rows", "integer", optional=True),
    ],
    "query": {
        "select": "*,stations(name)",
        "or": "(label.eq.{label},ppm.gte.{ppm},doc.cs.{doc},and(day.gte.{day},valid.ov.{valid}))",
        "id": "in.{id}",
        "label": ["fts.{words}", "match.{pattern}"],
        "limit": "{rows}",
    },
}
ARGUMENTS = st.dictionaries(
    st.sampled_from(["label", "ppm", "doc", "day", "valid", "id", "words", "pattern", "rows", "x"]),
    st.none() | st.integers() | LIKELY | st.lists(st.integers(-1, 9), max_size=3),
    max_size=4,
)


@pytest.fixture
def filled(rest: Rest) -> Rest:
    """Return a client of two datasets and a function."""
    fill(rest.invoke)
    for name, how in (("f", "set"), ("g", "single")):
        assert rest.put_function(name, {**CALLED, "returns": how}).status == 200
    return rest


@settings(max_examples=120)
@given(
    function=st.sampled_from(["f", "g"]),
    arguments=ARGUMENTS | BODIES,
    query=QUERIES,
    headers=HEADERS,
)
@example("f", {"doc": {"a": "\x00"}}, {}, {})
@example("f", '{"label": "\\ud800"}', {}, {})
@example("f", "[" * 5000, {}, {})
@example("f", {}, {"\ud800": ["eq.1"]}, {})
@example("f", {"pattern": "("}, {}, {})
@example("f", {"words": "'"}, {}, {})
@example("f", {"day": "9999-12-31"}, {"select": ["day.max()"]}, {})
@example("f", {}, {"select": ["count()", "stations"]}, {"Accept": "text/csv"})
@example("g", {}, {"select": ["stations::text"]}, {"Prefer": "count=planned"})
def test_whatever_is_called_is_answered_calmly(
    filled: Rest, function: str, arguments: Any, query: dict[str, Any], headers: dict[str, str]
) -> None:
    # Given
    sent = {name: text.encode("ascii", "ignore").decode() for name, text in headers.items()}
    content = arguments.encode("utf-8", "replace") if isinstance(arguments, str) else arguments
    # When / Then
    assert_calm(filled.rpc(function, content, sent, **query))
    if isinstance(arguments, dict):
        texts = {name: str(value) for name, value in arguments.items()}
        assert_calm(filled.rpc_get(function, sent, **{**query, **texts}))


@settings(max_examples=80)
@given(query=st.dictionaries(st.text(max_size=3), LIKELY, max_size=2) | QUERIES)
def test_whatever_is_registered_is_refused_or_works(
    filled: Rest, database: str, query: dict[str, Any]
) -> None:
    # Given / When
    answer = filled.put_function("h", {"dataset": "readings", "query": query})
    # Then
    assert answer.status in (200, 422, 400), answer.body
    if answer.status == 200:
        assert_calm(filled.rpc("h"))
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        found = connection.execute("SELECT count(*) FROM lake.datasets").fetchone()
    assert found == (2,)


def test_a_function_is_its_tenants_and_finds_its_tenants_rows(filled: Rest) -> None:
    # Given two tenants with a dataset of one name
    columns = [{"name": "id", "type": "integer"}]
    definition = {"name": "readings", "columns": columns, "key": ["id"]}
    assert filled.invoke("lake.create_dataset", body=definition, **ACME).status == 201
    # When
    foreign = filled.rpc("f", caller=ACME)
    assert filled.put_function("f", {"dataset": "readings"}, **ACME).status == 200
    own = filled.rpc("f", caller=ACME)
    # Then
    assert (foreign.status, foreign.json["code"]) == (404, "PGRST202")
    assert foreign.json["hint"] == "GET /v1/lake/functions lists the functions there are."
    assert (own.status, own.json) == (200, [])
    assert len(filled.rpc("f").json) == 5


def test_no_function_sets_another_tenant(filled: Rest) -> None:
    # Given what would, were it SQL
    hostile = "x'), set_config('datapunk.tenant', 'acme', true) --"
    for query in ({"select": hostile}, {"order": hostile}, {hostile: "eq.1"}, {"or": hostile}):
        # When
        answer = filled.put_function("h", {"dataset": "readings", "query": query})
        # Then
        assert answer.status == 422, answer.body
    # When
    answer = filled.rpc("f", {"label": hostile})
    # Then
    assert (answer.status, answer.json) == (200, [])


def test_each_caller_is_shown_his_own(rest: Rest, invoke: Invoker) -> None:
    # Given a function of a dataset with encrypted and masked columns, registered by who sees all
    masking = {"roles": {"admin": "clear"}, "others": "full"}
    columns = [*DEFINITION["columns"], {"name": "town", "type": "text", "masking": masking}]
    made = invoke("lake.create_dataset", body={**DEFINITION, "columns": columns})
    assert made.status == 201, made.body
    rows = [row(1, ANN, town="Kiel"), row(2, BOB, town="Rome")]
    assert rest.post("patients", rows, "return=minimal").status == 201
    admin: dict[str, Any] = {"tenant": "public", "roles": "admin", "scopes": "read write admin"}
    viewer: dict[str, Any] = {"tenant": "public", "roles": "viewer", "scopes": "read"}
    for name, parameters, query in (
        ("of_email", [_parameter("email")], {"email": "eq.{email}", "select": "id,email,town"}),
        ("of_town", [_parameter("town")], {"town": "eq.{town}", "select": "id"}),
        ("email_of", [_parameter("id", "integer")], {"id": "eq.{id}", "select": "email"}),
    ):
        body = {"dataset": "patients", "parameters": parameters, "query": query}
        if name == "email_of":
            body["returns"] = "scalar"
        answer = rest.put_function(name, body, **admin)
        assert answer.status == 200, answer.body
    # When
    asked: dict[str, Any] = {"email": EMAIL[ANN]}
    shown = [rest.rpc("of_email", asked, caller=who).json for who in (admin, viewer)]
    refused = rest.rpc("of_town", {"town": "Kiel"}, caller=viewer)
    # Then
    expected = {"id": 1, "email": EMAIL[ANN], "town": "Kiel"}
    assert shown == [[expected], [{**expected, "town": None}]]
    assert rest.rpc("email_of", {"id": 2}, caller=viewer).json == EMAIL[BOB]
    table = rest.rpc("of_email", asked, {"Accept": "text/csv"}, caller=viewer)
    assert table.body.splitlines()[1] == f"1,{EMAIL[ANN]},"
    assert rest.rpc("of_town", {"town": "Kiel"}, caller=admin).json == [{"id": 1}]
    assert (refused.status, "masked for you" in refused.body) == (400, True)
    # When the request asks more of a protected value of the result than to be shown
    further: list[dict[str, Any]] = [
        {"email": "like.ann*"},
        {"order": "email"},
        {"select": "email.count()"},
    ]
    for more in further:
        answer = rest.rpc("of_email", asked, caller=admin, **more)
        # Then
        assert (answer.status, answer.json["code"]) == (400, "PGRST127"), answer.body


def test_a_scope_is_needed(filled: Rest) -> None:
    # Given
    reader: dict[str, Any] = {"tenant": "public", "roles": "viewer", "scopes": "read"}
    nobody: dict[str, Any] = {"tenant": "public", "roles": "viewer", "scopes": "write"}
    # When / Then
    assert filled.rpc("f", caller=reader).status == 200
    assert filled.rpc("f", caller=nobody).status == 403
    assert filled.put_function("f", CALLED, **reader).status == 403


def test_a_function_whose_dataset_changes_works_on_or_says_why_not(filled: Rest) -> None:
    # Given
    body = {
        "dataset": "readings",
        "parameters": [_parameter("least", "integer")],
        "query": {"id": "gte.{least}", "select": "id,label", "order": "id"},
    }
    assert filled.put_function("h", body).status == 200
    dataset = filled.invoke("lake.get_dataset", path={"dataset": "readings"})

    def change(etag: str, *changes: dict[str, Any]) -> str:
        answer = filled.invoke(
            "lake.change_dataset",
            path={"dataset": "readings"},
            body={"changes": list(changes), "compatibility": "none"},
            headers={"If-Match": etag},
        )
        assert answer.status == 200, answer.body
        return answer.headers["etag"]

    # When a column has another name, the old one still does
    etag = change(
        dataset.headers["etag"], {"op": "rename_column", "column": "label", "name": "text"}
    )
    renamed = filled.rpc("h", {"least": 5})
    # When it is gone
    old = {"op": "deprecate_column", "column": "text", "reason": "gone soon"}
    change(change(etag, old), {"op": "drop_column", "column": "text"})
    dropped = filled.rpc("h", {"least": 5})
    # When the dataset is
    assert filled.invoke("lake.delete_dataset", path={"dataset": "readings"}).status == 204
    deleted = filled.rpc("h", {"least": 5})
    # Then
    assert (renamed.status, renamed.json) == (200, [{"id": 5, "label": "a,b(c)"}])
    assert (dropped.status, dropped.json["code"]) == (400, "42703")
    assert dropped.json["message"] == "column readings.label does not exist"
    assert "no longer fits the dataset readings" in dropped.json["details"]
    assert dropped.json["hint"] == "Register it again: PUT /v1/lake/functions/h"
    assert (deleted.status, deleted.json["code"]) == (404, "42P01")
    assert deleted.json["message"] == "the dataset readings does not exist"
    assert filled.invoke("lake.get_function", path={"function": "h"}).status == 200
