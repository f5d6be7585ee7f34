"""No route of the document shows or changes what is another tenant's, whatever comes with the request.

Tenant acme has one of everything, with a marker in it. An administrator of another tenant, with every role
and scope, then goes through all operations: by acme's own identifiers, with forged headers, with look-alikes
of what an authorizer says, with SQL in every parameter, and over a connection that was left dirty. A route
that is new is gone through as well; one with a new path parameter fails here until it is told what to name.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from datapunk import limits
from datapunk.database import transaction
from datapunk.database.connection import acquire
from datapunk.identity import SYSTEM
from datapunk.nexus.oauth.clients import ClientRegistration, register_client
from datapunk.nexus.routing.requests import accept
from datapunk.nexus.sessions import start_session
from datapunk.nexus.users import UserAccount

from infrastructure.documents.openapi import FILE
from infrastructure.documents.operations import operations
from tests.integration.policy.test_isolation import COLUMNS, FORGED, INJECTED
from tests.support import api_keys
from tests.support.invoking import Answer, Invoker, answer
from tests.support.oauth import WEB
from tests.support.people import acting, add_user
from tests.support.samples import http_event, http_operations
from tests.support.services import Instance, with_path
from tests.support.workloads import certificate_of, register

MARK = "rosebud-4711"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
FOREIGN = (".serve_rpc", "nexus.consul")
"""Calls and Consul's clients have contracts of their own; what they reach is tested where they are."""
SHOWN = {
    *("lake.list_datasets", "lake.get_dataset", "lake.query_records", "lake.list_quarantine"),
    *("lake.get_function", "lake.list_archives"),
    "stream.list_events",
    *("nexus.list_users", "nexus.get_user", "nexus.list_clients", "nexus.list_api_keys"),
    "nexus.list_audit",
}
"""Operations in which acme's own administrator finds the marker."""
NAMED = ("user", "key", "session", "serial", "dataset", "request", "row", "job", "archive")
"""Path parameters that name something which is there, and which others must not find."""
LOOKALIKES: list[dict[str, Any]] = [
    {"tenant": "acme"},
    {"principalId": "user:admin", "roles": "admin", "requestContext": {"tenant": "acme"}},
    {"authorizer": {"tenant": "acme", "principalId": "system"}, "datapunk.tenant": "*"},
]
DIRT = [
    "SET SESSION datapunk.tenant = 'acme'",
    "SELECT set_config('datapunk.tenant', '*', false)",
    "SET ROLE lake_owner",
    "SET ROLE audit_owner",
    "SET SESSION search_path = lake_data, lake, nexus, public",
    "SET SESSION row_security = off",
    "BEGIN; SELECT set_config('datapunk.tenant', 'acme', true)",
    "BEGIN; SELECT set_config('datapunk.tenant', 'acme', true); SELECT 1 / 0",
]
pytestmark = pytest.mark.usefixtures("broker", "authority", "bucket")


def _routes() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Return the routes of each operation: the path, and what the document says of it."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for path, methods in DOCUMENT["paths"].items():
        for item in methods.values():
            name = ".".join(item["operationId"].split(".")[:2])
            found.setdefault(name, []).append((path, item))
    return found


ROUTES = _routes()


@dataclass(frozen=True)
class Scene:
    """Who attacks, who owns, what there is of his by path parameter, and the database over all."""

    owner: UserAccount
    attacker: UserAccount
    named: dict[str, str]
    above: str

    def fingerprint(self) -> dict[str, str]:
        """Return a digest of acme's rows in each table of the platform, and of its dataset."""
        with psycopg.connect(self.above) as connection:
            tables = connection.execute(
                "SELECT table_schema || '.' || table_name FROM information_schema.columns"
                " WHERE column_name = 'tenant' AND table_schema IN ('lake', 'nexus', 'stream')"
            ).fetchall()
            digest = "SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM {} AS t{}"
            found = {
                name: connection.execute(digest.format(name, " WHERE tenant = 'acme'")).fetchone()
                for (name,) in tables
            }
            (place,) = connection.execute(
                "SELECT table_name FROM lake.datasets WHERE tenant = 'acme'"
            ).fetchall()
            rows = digest.format(f"lake_data.{place[0]}", "")
            found["rows"] = connection.execute(rows).fetchone()
        return {name: str(value) for name, value in found.items()}


@pytest.fixture
def scene(database: str, instance: Instance, invoke: Invoker) -> Scene:
    with transaction(SYSTEM) as tx:
        for tenant, name in (("acme", MARK), ("umbrella", "Umbrella")):
            tx.execute("INSERT INTO nexus.tenants (id, name) VALUES (%s, %s)", (tenant, name))
        tx.execute(
            "INSERT INTO nexus.rate_limits (tenant, quota, window_seconds) VALUES ('*', 1000000, 60)"
        )
        wanted = ClientRegistration.model_validate({**WEB, "name": MARK})
        register_client(tx, wanted, tenant="acme")
    limits.forget()
    every = ("admin", "editor", "auditor")
    owner = add_user(f"{MARK}@acme.example", roles=every, tenant="acme")
    attacker = add_user("eve@umbrella.example", roles=every, tenant="umbrella")
    definition = {"name": "notes", "description": MARK, "columns": COLUMNS, "key": ["id"]}
    assert invoke("lake.create_dataset", body=definition, **acting(owner)).status == 201
    filled = invoke(
        "lake.insert_records",
        path={"dataset": "notes"},
        body=[{"id": "1", "note": MARK}],
        content_type="application/json",
        **acting(owner),
    )
    assert filled.status == 201
    aside = invoke(
        "lake.insert_records",
        path={"dataset": "notes"},
        query={"on_error": "quarantine"},
        body=[{"id": 2, "note": MARK}],
        content_type="application/json",
        **acting(owner),
    )
    assert aside.json["quarantined"] == 1, aside.body
    waiting = invoke("lake.list_quarantine", path={"dataset": "notes"}, **acting(owner)).json
    job = invoke("lake.create_upload", path={"dataset": "notes"}, **acting(owner)).json["job"]
    function = {"dataset": "notes", "description": MARK, "query": {"note": f"neq.{MARK}!"}}
    path = {"function": "noted"}
    made = invoke("lake.put_function", path=path, body=function, **acting(owner))
    assert made.status == 200, made.body
    # The trail names the path.
    assert register(owner, MARK).status == 200
    _, session = start_session(owner)
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'acme', true)")
        connection.execute(
            "INSERT INTO stream.events (id, source, type, subject, time, data)"
            " VALUES ('1', '/acme', 'acme.noted', 'notes', now(), %s)",
            (json.dumps({"note": MARK}),),
        )
        archive = connection.execute(
            "INSERT INTO lake.archives (id, dataset_id, dataset, month, state, version, rows, bytes,"
            " sha256, first_event, last_event, columns, archived_at)"
            " SELECT gen_random_uuid(), id, name, '2025-10-01', 'archived', 1, 1, 1, %s, now(), now(),"
            " '[]', now() FROM lake.datasets RETURNING id",
            (MARK,),
        ).fetchone()
    assert archive is not None
    accepted = accept(owner.caller, {}, needs="route.read", seconds=30, repeatable=True)
    named = {
        "dataset": "notes",
        "row": waiting["items"][0]["id"],
        "job": job,
        "archive": str(archive[0]),
        "function": "noted",
        "user": str(owner.id),
        "principal": owner.principal,
        "role": "viewer",
        "key": api_keys.issue(owner, name=MARK)["id"],
        "session": session.id,
        "serial": certificate_of(owner, "billing")["serial"],
        "service": "billing",
        "tenant": "acme",
        "operations": "lake.insert_records",
        "client": f"user:{owner.id}",
        "provider": "google",
        "probe": "live",
        "route": "notes",
        "request": str(accepted.id),
        "path": "things",
        "what": "leader",
    }
    above = with_path(instance.superuser_url, urlsplit(database).path.lstrip("/"))
    return Scene(owner, attacker, named, above)


def _event(
    operation: str, route: tuple[str, dict[str, Any]], scene: Scene, who: UserAccount
) -> dict[str, Any]:
    """Return the operation's sample at one of its routes, naming what is acme's, sent by `who`."""
    path, item = route
    parameters = [p["name"] for p in item.get("parameters", ()) if p["in"] == "path"]
    event = http_event(operation, path={n: scene.named[n] for n in parameters}, **acting(who))
    event["resource"] = path
    for name in parameters:
        path = path.replace(f"{{{name}}}", quote(scene.named[name]))
    event["path"] = path
    event["queryStringParameters"] = event["multiValueQueryStringParameters"] = None
    return event


def _with_query(event: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    many = {name: [value] for name, value in query.items()}
    return {**event, "queryStringParameters": query, "multiValueQueryStringParameters": many}


def _each(scene: Scene, who: UserAccount) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for operation, routes in ROUTES.items():
        for route in routes:
            yield operation, _event(operation, route, scene, who), route[1]


def _leak(operation: str, event: dict[str, Any], found: Answer) -> str | None:
    """Return what is wrong with an answer to the attacker, if anything is."""
    told = f"{found.body} {found.headers}"
    if MARK in told or found.status >= 500:
        return f"{operation}: {found.status} {told[:300]}"
    named = set(event["pathParameters"] or ()) & set(NAMED)
    if named and found.status < 400:
        return f"{operation}: {found.status} for another tenant's {named}"
    return None


def _attack(requests: Iterator[tuple[str, dict[str, Any]]]) -> list[str]:
    leaks = [
        _leak(operation, event, answer(operation, copy.deepcopy(event)))
        for operation, event in requests
    ]
    assert len(leaks) >= sum(map(len, ROUTES.values()))
    return [leak for leak in leaks if leak]


def test_the_routes_are_those_that_are_deployed() -> None:
    # Given / When / Then
    assert set(ROUTES) == {name for name in http_operations() if not name.endswith(FOREIGN)}
    assert set(ROUTES) <= {operation.id for operation in operations()}


def test_the_owner_finds_what_others_must_not(scene: Scene) -> None:
    # Given what is deleted is not found any more
    routes = sorted(_each(scene, scene.owner), key=lambda route: route[1]["httpMethod"] == "DELETE")
    # When
    shown = {operation for operation, event, _ in routes if MARK in answer(operation, event).body}
    # Then
    assert shown >= SHOWN


def test_anothers_identifiers_open_and_change_nothing(scene: Scene) -> None:
    # Given
    before = scene.fingerprint()
    # When
    leaks = _attack((name, event) for name, event, _ in _each(scene, scene.attacker))
    # Then
    assert leaks == []
    assert scene.fingerprint() == before


def test_forged_headers_open_and_change_nothing(scene: Scene) -> None:
    # Given
    before = scene.fingerprint()

    def forged() -> Iterator[tuple[str, dict[str, Any]]]:
        for name, event, _ in _each(scene, scene.attacker):
            for headers in FORGED:
                many = {key: [value] for key, value in headers.items()}
                yield (
                    name,
                    {
                        **event,
                        "headers": {**event["headers"], **headers},
                        "multiValueHeaders": {**event["multiValueHeaders"], **many},
                    },
                )

    # When / Then
    assert _attack(forged()) == []
    assert scene.fingerprint() == before


def test_lookalikes_in_bodies_and_queries_open_and_change_nothing(scene: Scene) -> None:
    # Given
    before = scene.fingerprint()

    def alike() -> Iterator[tuple[str, dict[str, Any]]]:
        for name, event, _ in _each(scene, scene.attacker):
            for claims in LOOKALIKES:
                yield name, _with_query(event, {k: str(v) for k, v in claims.items()})
                if str(event.get("body") or "").startswith("{"):
                    yield (
                        name,
                        {**event, "body": json.dumps({**json.loads(event["body"]), **claims})},
                    )

    # When / Then
    assert _attack(alike()) == []
    assert scene.fingerprint() == before


def test_sql_in_every_parameter_opens_and_changes_nothing(scene: Scene) -> None:
    # Given
    before = scene.fingerprint()

    def injected() -> Iterator[tuple[str, dict[str, Any]]]:
        for name, event, item in _each(scene, scene.attacker):
            yield name, event
            for text in INJECTED:
                for parameter in item.get("parameters", ()):
                    if parameter["in"] == "query":
                        yield name, _with_query(event, {parameter["name"]: text})
                    elif parameter["in"] == "path":
                        wanted = quote(scene.named[parameter["name"]])
                        yield (
                            name,
                            {**event, "path": event["path"].replace(wanted, quote(text, ""))},
                        )
                    else:
                        headers = {**event["multiValueHeaders"], parameter["name"]: [text]}
                        yield name, {**event, "multiValueHeaders": headers}

    # When / Then
    assert _attack(injected()) == []
    assert scene.fingerprint() == before


def _soil(dirt: str) -> None:
    """Leave this environment's connection as work that went wrong would."""
    connection = acquire()
    for statement in dirt.split("; "):
        with contextlib.suppress(psycopg.errors.DivisionByZero):
            connection.execute(statement.encode())


@pytest.mark.parametrize("dirt", DIRT)
def test_a_dirty_connection_opens_and_changes_nothing(scene: Scene, dirt: str) -> None:
    # Given
    before = scene.fingerprint()

    def dirty() -> Iterator[tuple[str, dict[str, Any]]]:
        for name, event, _ in _each(scene, scene.attacker):
            _soil(dirt)
            yield name, event

    # When / Then
    assert _attack(dirty()) == []
    assert scene.fingerprint() == before


@pytest.mark.parametrize("dirt", [dirt for dirt in DIRT if "row_security" not in dirt])
def test_a_dirty_connection_serves_the_next_request_as_a_clean_one(
    scene: Scene, invoke: Invoker, dirt: str
) -> None:
    # Given
    _soil(dirt)
    # When
    listed = invoke("lake.list_datasets", **acting(scene.owner))
    _soil(dirt)
    trail = invoke("nexus.list_audit", query={"limit": "1000"}, **acting(scene.owner))
    # Then
    assert [item["name"] for item in listed.json["items"]] == ["notes"]
    assert MARK in trail.body
