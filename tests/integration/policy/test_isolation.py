"""A tenant's data stays its own through every route: forged headers, filters, SQL, dirty connections."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from datapunk.database import transaction
from datapunk.database.connection import acquire
from datapunk.identity import Caller

from tests.support.invoking import Answer, Invoker

SECRET = "rosebud-4711"
COLUMNS = [{"name": "id", "type": "text"}, {"name": "note", "type": "text"}]
FORGED: list[dict[str, str]] = [
    {"X-Tenant": "acme", "X-Principal": "user:admin", "X-Roles": "admin", "X-Scopes": "admin"},
    {"X-Datapunk-Tenant": "acme", "Tenant": "acme", "tenant": "acme"},
    {"X-Forwarded-User": "admin", "X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiJhY21lIn0."},
    {"Cookie": "tenant=acme; datapunk=acme"},
    {"X-Amzn-Request-Context": '{"authorizer":{"tenant":"acme"}}'},
    {"Prefer": "tenant=acme", "Accept-Profile": "acme", "X-Correlation-Id": "acme"},
]
INJECTED = [
    "' OR '1'='1",
    "'; SET datapunk.tenant = 'acme'; --",
    "x') UNION SELECT table_name FROM lake.datasets --",
    "\\'; RESET ROLE; --",
    "%' OR tenant = 'acme",
    "$$acme$$",
]
pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def secrets(database: str, invoke: Invoker) -> str:
    """Give tenant acme a dataset with a secret in it, and its events; return the database's URL."""
    definition = {"name": "notes", "description": SECRET, "columns": COLUMNS, "key": ["id"]}
    made = invoke("lake.create_dataset", tenant="acme", body=definition)
    assert made.status == 201, made.body
    rows = [{"id": "1", "note": SECRET}]
    filled = _insert(invoke, "acme", rows)
    assert filled.status == 201, filled.body
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'acme', true)")
        connection.execute(
            "INSERT INTO stream.events (id, source, type, subject, time, data)"
            " VALUES ('1', '/acme', 'acme.noted', 'notes', now(), %s)",
            (json.dumps({"note": SECRET}),),
        )
    return database


def _insert(invoke: Invoker, tenant: str, rows: Any, dataset: str = "notes") -> Answer:
    return invoke(
        "lake.insert_records",
        tenant=tenant,
        path={"dataset": dataset},
        body=rows,
        content_type="application/json",
    )


def _everything(invoke: Invoker, tenant: str, **changes: Any) -> dict[str, Answer]:
    """Return what every reading route answers a tenant."""
    notes = {"dataset": "notes"}
    return {
        "list": invoke("lake.list_datasets", tenant=tenant, **changes),
        "get": invoke("lake.get_dataset", tenant=tenant, path=notes, **changes),
        "query": invoke("lake.query_records", tenant=tenant, path=notes, query={}, **changes),
        "events": invoke("stream.list_events", tenant=tenant, query={}, **changes),
    }


def _nothing(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        assert SECRET not in answer.body, name
    assert answers["list"].json["items"] == []
    assert answers["events"].json["items"] == []
    assert (answers["get"].status, answers["query"].status) == (404, 404)


def test_the_owner_sees_what_others_must_not(secrets: str, invoke: Invoker) -> None:
    # Given / When
    answers = _everything(invoke, "acme")
    # Then
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert all(SECRET in answer.body for answer in answers.values())


@pytest.mark.parametrize("tenant", ["umbrella", "public", "acm", "acmee"])
def test_another_tenant_sees_nothing(secrets: str, invoke: Invoker, tenant: str) -> None:
    # Given / When / Then
    _nothing(_everything(invoke, tenant, roles="admin", scopes="read write admin"))


@pytest.mark.parametrize("headers", FORGED)
def test_forged_headers_open_nothing(
    secrets: str, invoke: Invoker, headers: dict[str, str]
) -> None:
    # Given / When / Then
    _nothing(_everything(invoke, "umbrella", headers=headers))


@pytest.mark.parametrize("tenant", ["*", "", "ACME", "acme ", "acme' OR '1'='1", "acme\\"])
def test_a_tenant_that_is_none_opens_nothing(secrets: str, invoke: Invoker, tenant: str) -> None:
    # Given / When
    answers = _everything(invoke, tenant)
    # Then: an empty one is the public tenant, as without any
    for answer in answers.values():
        assert SECRET not in answer.body
        assert answer.status in ((200, 404) if tenant == "" else (403,))


@pytest.mark.parametrize("text", INJECTED)
def test_filters_open_nothing(secrets: str, invoke: Invoker, text: str) -> None:
    # Given another tenant with a dataset of the same name, so that filters are looked at
    own = {"name": "notes", "columns": COLUMNS, "key": ["id"]}
    assert invoke("lake.create_dataset", tenant="umbrella", body=own).status == 201
    notes = {"dataset": "notes"}
    queries: list[dict[str, str]] = [
        {"note": f"eq.{text}"},
        {"note": f"like.{text}"},
        {"note": f"in.({text})"},
        {"select": text},
        {"order": text},
        {"or": f"(note.eq.{text},id.eq.1)"},
        {text: "eq.1"},
        {"cursor": text},
    ]
    # When
    answers = [
        invoke("lake.query_records", tenant="umbrella", path=notes, query=query)
        for query in queries
    ]
    answers += [
        invoke("stream.list_events", tenant="umbrella", query={name: text})
        for name in ("type", "source", "subject", "cursor")
    ]
    # Then
    for answer in answers:
        assert SECRET not in answer.body
        assert answer.status in (200, 404, 422), answer.body
    assert SECRET in _everything(invoke, "acme")["query"].body


def test_a_tenants_name_of_a_dataset_reaches_no_other(secrets: str, invoke: Invoker) -> None:
    # Given the same name in another tenant, and a write there
    own = {"name": "notes", "columns": COLUMNS, "key": ["id"]}
    notes = {"dataset": "notes"}
    assert invoke("lake.create_dataset", tenant="umbrella", body=own).status == 201
    # When
    answer = _insert(invoke, "umbrella", [{"id": "1", "note": "theirs"}])
    # Then
    assert answer.status == 201
    ours = invoke("lake.query_records", tenant="acme", path=notes, query={})
    assert [item["note"] for item in ours.json["items"]] == [SECRET]


@pytest.mark.parametrize("scope", ["SESSION", "LOCAL"])
def test_a_connection_left_dirty_opens_nothing(secrets: str, invoke: Invoker, scope: str) -> None:
    # Given the environment's one connection, on which work for acme ended in the middle
    def dirty() -> None:
        with transaction(Caller("user:1", "acme")) as tx:
            tx.execute(
                "SET SESSION datapunk.tenant = 'acme'"
                if scope == "SESSION"
                else "SET LOCAL datapunk.tenant = 'acme'"
            )
            tx.execute("SELECT set_config('datapunk.principal', 'user:1', false)")
            raise RuntimeError("in the middle of it")

    connection = acquire()
    with pytest.raises(RuntimeError):
        dirty()
    # When
    answers = _everything(invoke, "umbrella")
    # Then
    assert acquire() is connection
    _nothing(answers)


def test_a_setting_that_outlives_its_transaction_opens_nothing(
    secrets: str, invoke: Invoker
) -> None:
    # Given a connection that believes it works for acme for ever
    acquire().execute("SET SESSION datapunk.tenant = 'acme'")
    acquire().execute("SET SESSION datapunk.principal = 'user:1'")
    # When / Then
    _nothing(_everything(invoke, "umbrella"))


def test_errors_tell_nothing_of_another_tenant(secrets: str, invoke: Invoker) -> None:
    # Given / When: what exists elsewhere and what exists nowhere
    found = {
        name: [
            invoke("lake.get_dataset", tenant="umbrella", path={"dataset": name}),
            _insert(invoke, "umbrella", [{"id": "1"}], name),
        ]
        for name in ("notes", "nothing")
    }
    # Then nobody can tell them apart
    for elsewhere, nowhere in zip(found["notes"], found["nothing"], strict=True):
        assert elsewhere.status == nowhere.status == 404
        told = json.loads(elsewhere.body.replace("notes", "nothing"))
        assert {**told, "trace_id": ""} == {**nowhere.json, "trace_id": ""}
