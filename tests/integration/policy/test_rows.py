"""The policy and PostgreSQL's row-level security give the same answer, for any subject and any row."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from datapunk.identity import Caller
from datapunk.policy import Resource, may_see
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import errors, sql

from infrastructure.policies.sources import DATA
from tests.support.services import Instance, with_path

TENANTS = ("acme", "umbrella", "public")
PEOPLE = [uuid.UUID(int=number) for number in range(1, 5)]
ADMIN = PEOPLE[0]
"""Has the role admin in every tenant, as the subjects drawn below have it."""
TABLES: dict[str, Any] = json.loads(DATA.read_text())["access"]["tables"]
CONTEXT = (
    "SELECT set_config('datapunk.tenant', %s, true), set_config('datapunk.principal', %s, true)"
)


PLATFORM_ONLY = {
    *("nexus.oauth_codes", "nexus.oauth_refresh_tokens", "nexus.revocations"),
    *("nexus.routes", "nexus.route_versions", "nexus.route_epoch"),
}
"""Their rows are no tenant's."""
PEOPLES_OWN = {
    *("nexus.users", "nexus.api_keys", "user_data.linked_accounts"),
    *("nexus.requests", "platform.idempotency"),
}
"""Their rows have a person as owner; what else is `owned` is its tenant's administrators'."""


@dataclass(frozen=True)
class Row:
    """A row of a table: whose it is."""

    table: str
    tenant: str
    person: uuid.UUID

    @property
    def resource(self) -> Resource:
        tenant = "*" if self.table in PLATFORM_ONLY else self.tenant
        found = Resource(table=self.table, tenant=tenant)
        if self.table in PEOPLES_OWN:
            return Resource(**found, owner=f"user:{self.person}")
        return found


STATEMENTS = {
    "lake.datasets": "(tenant, name, columns, table_name, owner)"
    " VALUES (%(tenant)s, %(mark)s, '[]', %(mark)s, 'x')",
    "lake.archives": "(id, tenant, dataset, month, version, columns)"
    " VALUES (gen_random_uuid(), %(tenant)s, %(mark)s, '2025-10-01', 1, '[]')",
    "lake.erasures": "(tenant, subject) VALUES (%(tenant)s, %(mark)s::bytea)",
    "lake.dataset_versions": "(tenant, dataset_id, version, definition, changed_by)"
    " VALUES (%(tenant)s, gen_random_uuid(), 1, '{}', %(mark)s)",
    "lake.data_keys": "(tenant, kind, subject, erased_at)"
    " VALUES (%(tenant)s, 'person', %(mark)s::bytea, now())",
    "lake.jobs": "(tenant, dataset_id, dataset, caller, media_type, on_conflict, created_by,"
    " expires_at) VALUES (%(tenant)s, gen_random_uuid(), %(mark)s, '{}', 'x', 'error', 'x', now())",
    "lake.quarantine": "(tenant, dataset_id, dataset, version, batch, position, media_type, content,"
    " rule, reason, errors, quarantined_by) VALUES (%(tenant)s, gen_random_uuid(), 'x', 1,"
    " gen_random_uuid(), 1, 'x', %(mark)s, 'x', 'x', '[]', 'x')",
    "lake.functions": "(tenant, name, dataset, definition, created_by, updated_by)"
    " VALUES (%(tenant)s, %(mark)s, 'x', '{}', 'x', 'x')",
    "lake.quality_results": "(tenant, dataset_id, run, version, check_type, score, rows, rules, measured_by)"
    " VALUES (%(tenant)s, gen_random_uuid(), gen_random_uuid(), 1, %(mark)s, 1, 0, '[]', 'x')",
    "lake.quality_rules": "(tenant, dataset_id, dataset, rules, updated_by)"
    " VALUES (%(tenant)s, gen_random_uuid(), %(mark)s, '[]', 'x')",
    "stream.events": "(tenant, id, source, type, time)"
    " VALUES (%(tenant)s, %(mark)s, '/policy', 'tried', now())",
    "nexus.tenants": "(id, name) VALUES (%(tenant)s, %(mark)s)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    "nexus.users": "(id, tenant, email, name) VALUES (%(person)s, %(tenant)s, %(mark)s, 'Ann')",
    "nexus.role_assignments": "(tenant, principal, role) VALUES (%(tenant)s, %(mark)s, 'viewer')",
    "nexus.api_keys": "(id, tenant, owner, name, secret_hash, scopes, lifetime, expires_at)"
    " VALUES (left(md5(%(mark)s), 8), %(tenant)s, 'user:' || %(person)s, %(mark)s,"
    " sha256('x'), '{read}', '1 day', now() + interval '1 day')",
    "nexus.oauth_clients": "(id, tenant, name, grant_types, scopes, created_by)"
    " VALUES (%(mark)s, %(tenant)s, 'x', '{}', '{}', 'x')",
    "nexus.oauth_grants": "(tenant, client_id, principal, scopes, auth_time, expires_at)"
    " VALUES (%(tenant)s, 'x', %(mark)s, '{}', now(), now())",
    "nexus.oauth_codes": "(hash, grant_id, redirect_uri, challenge, expires_at)"
    " VALUES (md5(%(mark)s::text)::bytea, gen_random_uuid(), %(mark)s, 'x', now())",
    "nexus.oauth_refresh_tokens": "(hash, grant_id, expires_at)"
    " VALUES (%(mark)s::bytea, gen_random_uuid(), now())",
    "nexus.revocations": "(subject, issued_through, expires_at) VALUES (%(mark)s, now(), now())",
    "nexus.audit": "(tenant, sequence, at, principal, actors, action, resource, outcome, detail,"
    " source, trace_id, correlation_id, previous_hash, hash) VALUES (%(tenant)s, 1, now(), 'x',"
    " '{}', 'x', %(mark)s, 'done', '{}', 'x', 'x', 'x', sha256('x'), sha256('x'))",
    "nexus.audit_heads": "(tenant, sequence, hash) VALUES (%(tenant)s, 1, %(mark)s::bytea)",
    "nexus.audit_anchors": "(tenant, sequence, hash) VALUES (%(tenant)s, 1, %(mark)s::bytea)",
    "nexus.rate_limits": "(tenant, subject, quota, window_seconds)"
    " VALUES (%(tenant)s, %(mark)s, 1, 1)",
    "nexus.workloads": "(tenant, service, scopes, role_arn, created_by)"
    " VALUES (%(tenant)s, %(mark)s, '{}', 'x', 'x')",
    "nexus.certificates": "(serial, tenant, service, not_before, not_after)"
    " VALUES (md5(%(mark)s), %(tenant)s, %(mark)s, now(), now())",
    "user_data.linked_accounts": "(issuer, subject, user_id, email)"
    " VALUES ('x', %(mark)s, %(person)s, 'x')",
    "nexus.routes": "(name, version, changed_by) VALUES (%(mark)s, 1, 'x')",
    "nexus.route_versions": "(name, version, changed_at, changed_by)"
    " VALUES (%(mark)s, 1, now(), 'x')",
    "nexus.route_epoch": "(epoch) VALUES (('x' || left(md5(%(mark)s), 15))::bit(60)::bigint)"
    " ON CONFLICT (single) DO UPDATE SET epoch = excluded.epoch",
    "nexus.requests": "(tenant, principal, repeatable, needs, seconds)"
    " VALUES (%(tenant)s, 'user:' || %(person)s, true, %(mark)s, 1)",
    "platform.idempotency": "(tenant, principal, operation, key, digest)"
    " VALUES (%(tenant)s, 'user:' || %(person)s, 'x', %(mark)s, 'x')",
    "platform.cache_writes": "(namespace, tenant, key, version, cause)"
    " VALUES ('x', %(tenant)s, %(mark)s, 1, 'x')",
    "platform.cache_heat": "(namespace, tenant, key, heat) VALUES ('x', %(tenant)s, %(mark)s, 1)",
}
"""What writes a row of each table that can be found by its mark."""


def _statement(row: Row, mark: str) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {"tenant": row.tenant, "mark": mark, "person": row.person}
    return f"INSERT INTO {row.table} {STATEMENTS[row.table]}", values


FOUND_BY = {
    "lake.archives": "dataset",
    "lake.erasures": "subject",
    "lake.datasets": "name",
    "lake.dataset_versions": "changed_by",
    "lake.data_keys": "subject",
    "lake.functions": "name",
    "lake.quality_results": "check_type",
    "lake.quality_rules": "dataset",
    "lake.jobs": "dataset",
    "lake.quarantine": "content",
    "stream.events": "id",
    "nexus.tenants": "name",
    "nexus.users": "email",
    "nexus.role_assignments": "principal",
    "nexus.api_keys": "name",
    "nexus.oauth_clients": "id",
    "nexus.oauth_grants": "principal",
    "nexus.oauth_codes": "redirect_uri",
    "nexus.oauth_refresh_tokens": "hash",
    "nexus.revocations": "subject",
    "nexus.audit": "resource",
    "nexus.audit_heads": "hash",
    "nexus.audit_anchors": "hash",
    "nexus.rate_limits": "subject",
    "nexus.workloads": "service",
    "nexus.certificates": "service",
    "user_data.linked_accounts": "subject",
    "nexus.routes": "name",
    "nexus.route_versions": "name",
    "nexus.route_epoch": "epoch",
    "nexus.requests": "needs",
    "platform.idempotency": "key",
    "platform.cache_writes": "key",
    "platform.cache_heat": "key",
}
BYTES = {
    *("lake.data_keys", "nexus.audit_heads", "nexus.audit_anchors", "nexus.oauth_refresh_tokens")
}
"""Tables whose mark is a digest's."""
NUMBERS = {"nexus.route_epoch"}
"""Tables whose mark is a number's."""


def _marked(table: str) -> sql.Composed:
    """Return the condition that finds the row with a mark."""
    value = sql.SQL("%s::bytea" if table in BYTES else "%s")
    if table in NUMBERS:
        value = sql.SQL("('x' || left(md5(%s), 15))::bit(60)::bigint")
    return (
        sql.SQL("FROM {} WHERE {} = ").format(
            sql.Identifier(*table.split(".")), sql.Identifier(FOUND_BY[table])
        )
        + value
    )


def _remove(above: psycopg.Connection, table: str, mark: str) -> None:
    if table != "nexus.tenants":
        above.execute(sql.SQL("DELETE ") + _marked(table), (mark,))


tenants = st.sampled_from([*TENANTS, "*", "", "ACME", "acme ", "acme' OR '1'='1", "acm%", "acme\\"])
principals = st.one_of(
    st.sampled_from([f"user:{person}" for person in PEOPLE]),
    st.sampled_from(
        [
            *("anonymous", "system", "service:x", "client:x", "", "user:", "user:*"),
            *(str(PEOPLE[1]), f"User:{PEOPLE[1]}", f"user:{PEOPLE[1]}' --", f"client:{PEOPLE[1]}"),
        ]
    ),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
)
rows = st.builds(
    Row,
    table=st.sampled_from(sorted(TABLES)),
    tenant=st.sampled_from(TENANTS),
    person=st.sampled_from(PEOPLE),
)


def _caller(tenant: str, principal: str) -> Caller:
    """Return the subject with the roles that the database knows him to have."""
    admin = principal == f"user:{ADMIN}" and tenant in TENANTS
    return Caller(principal, tenant, ("admin",) if admin else ("viewer",))


@pytest.fixture(scope="module")
def connections(instance: Instance) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """Return connections to one database: of a superuser, and of the role that functions have."""
    url = instance.new_database()
    over = with_path(instance.superuser_url, urlsplit(url).path.lstrip("/"))
    with psycopg.connect(over, autocommit=True) as above, psycopg.connect(url) as plain:
        for tenant in TENANTS:
            above.execute(
                "INSERT INTO nexus.tenants (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (tenant, tenant),
            )
            above.execute(
                "INSERT INTO nexus.role_assignments (tenant, principal, role)"
                " VALUES (%s, %s, 'admin')",
                (tenant, f"user:{ADMIN}"),
            )
        # Rows stand alone here: no foreign keys, and no triggers that keep the audit trail.
        above.execute("SET session_replication_role = replica")
        yield above, plain
    instance.drop_database(url)


def _seen(plain: psycopg.Connection, caller: Caller, row: Row, mark: str) -> bool:
    query = sql.SQL("SELECT count(*) ") + _marked(row.table)
    with plain.transaction(force_rollback=True):
        plain.execute(CONTEXT, (caller.tenant, caller.principal))
        found = plain.execute(query, (mark,)).fetchone()
    assert found is not None
    return bool(found[0])


def test_every_table_of_the_policy_is_compared() -> None:
    # Given / When / Then
    assert set(TABLES) == set(FOUND_BY) == set(STATEMENTS)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_table_is_drawn_and_seen_by_some_and_not_by_others(
    connections: tuple[psycopg.Connection, psycopg.Connection], table: str
) -> None:
    # Given the subject that sees most, the one that sees least, and a row of the table
    above, plain = connections
    row, mark = Row(table, "public", PEOPLE[1]), f"m{uuid.uuid4().hex}"
    above.execute(*_statement(row, mark))
    who = {
        "platform": Caller("system", "*"),
        "nobody": Caller("anonymous", ""),
        "admin": Caller(f"user:{ADMIN}", "public", ("admin",)),
        "oneself": Caller(f"user:{PEOPLE[1]}", "public", ("viewer",)),
    }
    # When
    seen = {name: _seen(plain, caller, row, mark) for name, caller in who.items()}
    _remove(above, table, mark)
    # Then
    assert seen == {name: may_see(caller, row.resource) for name, caller in who.items()}
    assert set(seen.values()) == {True, False}


@settings(max_examples=600)
@given(row=rows, subjects=st.lists(st.tuples(tenants, principals), min_size=1, max_size=8))
def test_who_sees_a_row(
    connections: tuple[psycopg.Connection, psycopg.Connection],
    row: Row,
    subjects: list[tuple[str, str]],
) -> None:
    # Given a row that is there
    above, plain = connections
    mark = f"m{uuid.uuid4().hex}"
    with above.transaction(force_rollback=False):
        above.execute(*_statement(row, mark))
    try:
        for subject in subjects:
            caller = _caller(*subject)
            # When
            by_policy, by_database = may_see(caller, row.resource), _seen(plain, caller, row, mark)
            # Then
            assert by_policy == by_database, (caller, row)
    finally:
        _remove(above, row.table, mark)


WRITTEN = (
    *("lake.datasets", "stream.events", "nexus.users", "nexus.oauth_clients"),
    *("nexus.rate_limits", "nexus.workloads", "nexus.routes", "nexus.requests"),
    *("platform.idempotency", "platform.cache_writes", "platform.cache_heat"),
)
"""Tables whose rows are written by exactly those who see them; roles are assigned by admins only, keys
are issued by their owners only."""


@settings(max_examples=200)
@given(row=rows.filter(lambda row: row.table in WRITTEN), tenant=tenants, principal=principals)
def test_who_writes_a_row(
    connections: tuple[psycopg.Connection, psycopg.Connection],
    row: Row,
    tenant: str,
    principal: str,
) -> None:
    # Given
    _, plain = connections
    caller = _caller(tenant, principal)
    written = True
    # When the row is written in the subject's name
    with plain.transaction(force_rollback=True):
        plain.execute(CONTEXT, (tenant, principal))
        try:
            with plain.transaction():
                plain.execute(*_statement(row, f"m{uuid.uuid4().hex}"))
        except errors.InsufficientPrivilege:
            written = False
    # Then
    assert written == may_see(caller, row.resource), (caller, row)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_without_a_context_nothing_is_seen(
    connections: tuple[psycopg.Connection, psycopg.Connection], table: str
) -> None:
    # Given rows, and a connection on which nobody has said who is asking
    above, plain = connections
    mark = f"m{uuid.uuid4().hex}"
    above.execute(*_statement(Row(table, "acme", PEOPLE[3]), mark))
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".")))
    # When
    with plain.transaction(force_rollback=True):
        seen = plain.execute(query).fetchone()
    existing = above.execute(query).fetchone()
    _remove(above, table, mark)
    # Then
    assert seen == (0,)
    assert existing is not None
    assert existing[0] > 0


def test_every_table_with_row_level_security_is_compared_and_none_is_without(
    connections: tuple[psycopg.Connection, psycopg.Connection],
) -> None:
    # Given
    above, _ = connections
    # When
    found = above.execute(
        "SELECT n.nspname || '.' || c.relname, c.relrowsecurity AND c.relforcerowsecurity"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'"
    ).fetchall()
    # Then a new table needs a row of `tables` in the policy's data, or a reason here
    assert {name for name, forced in found if forced} == set(TABLES)
    assert {name for name, forced in found if not forced} == UNSEEN


UNSEEN = {
    *("platform.outbox", "platform.inbox", "platform.delivery_start", "platform.lease"),
    "public.datapunk_migrations",
}
"""The platform's own bookkeeping, which no route shows: rows of all tenants on their way."""
