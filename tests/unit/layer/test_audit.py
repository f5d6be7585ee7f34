"""The audit trail: records commit with their effects, in chains that show every change."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import psycopg.sql
import pytest
from datapunk.audit import Detail, Watch, expire, record, record_alone, watching
from datapunk.audit_chain import audited_tenants, list_audit, verify_audit
from datapunk.context import Trace, WorkContext, working
from datapunk.database import transaction
from datapunk.errors import ConflictError
from datapunk.identity import SYSTEM, Caller
from psycopg.types.json import Jsonb

ADA = Caller("user:ada", "acme", actors=("service:nexus",))
BEA = Caller("user:bea", "other")
EFFECT = "INSERT INTO nexus.tenants (id, name) VALUES (%s, 'made by a test')"

Tamper = Callable[..., None]


@pytest.fixture
def tamper(database: str) -> Iterator[Tamper]:
    """Return what runs a statement with the rights of the tables' owner, as an intruder might."""

    def run(statement: Any, *parameters: Any) -> None:
        with psycopg.connect(database) as connection:
            connection.execute("SET ROLE audit_owner")
            connection.execute(statement, parameters)

    yield run
    # The database goes on to the next test, which only finds it without rows.
    run("ALTER TABLE nexus.audit ENABLE TRIGGER ALL")


def _write(number: int, caller: Caller = ADA) -> None:
    for place in range(number):
        detail: Detail = {
            "place": place,
            "name": 'a "quoted" ü text\x00',
            "right": True,
            "none": None,
        }
        record_alone("lake.try_things", f"things/{place}", "done", detail, caller=caller)


def _breaks(tenant: str = "acme", after: int = 0) -> list[tuple[int, str]]:
    with transaction(Caller("user:auditor", tenant)) as tx:
        found = verify_audit(tx, tenant, after=after)
    assert found.complete
    assert found.whole is not bool(found.broken)
    return [(item.sequence, item.reason) for item in found.broken]


def test_a_record_says_who_through_whom_what_and_in_which_trace(database: str) -> None:
    # Given
    work = WorkContext("lake.x", "order-1", Trace("a" * 32, "b" * 16), time.monotonic() + 60, ADA)
    # When
    with working(work), transaction() as tx:
        record(tx, "lake.create_thing", "things/1", "done", {"rows": 3})
    # Then
    with transaction(ADA) as tx:
        (found,) = list_audit(tx, limit=10).items
    assert (found.principal, found.actors) == ("user:ada", ["service:nexus"])
    assert (found.action, found.resource, found.outcome) == (
        "lake.create_thing",
        "things/1",
        "done",
    )
    assert (found.detail, found.trace_id) == ({"rows": 3}, "a" * 32)
    assert found.correlation_id == "order-1"
    assert abs(found.at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_a_whole_chain_is_found_whole(database: str) -> None:
    # Given / When
    _write(5)
    # Then
    with transaction(ADA) as tx:
        found = verify_audit(tx, "acme")
    assert (found.whole, found.complete, found.records, found.checked_to) == (True, True, 5, 5)
    assert found.broken == []
    assert _breaks(after=3) == []


def test_a_tenant_without_records_has_a_whole_chain(database: str) -> None:
    # Given / When / Then
    assert _breaks("nobody") == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("principal", "user:mallory"),
        ("actors", []),
        ("action", "lake.other"),
        ("resource", "things/9"),
        ("outcome", "denied"),
        ("detail", Jsonb({"place": 2, "right": False})),
        ("source", "192.0.2.1"),
        ("trace_id", "c" * 32),
        ("correlation_id", "other"),
        ("at", dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    ],
)
def test_a_changed_row_is_named(database: str, tamper: Tamper, column: str, value: Any) -> None:
    # Given
    _write(5)
    assert _breaks() == []
    # When
    name = psycopg.sql.Identifier(column)
    statement = psycopg.sql.SQL("UPDATE nexus.audit SET {} = %s WHERE sequence = 3").format(name)
    tamper(statement, value)
    # Then
    assert _breaks() == [(3, "was changed: its hash does not cover what it says")]


def test_a_row_changed_together_with_its_hash_no_longer_leads_to_the_next(
    database: str, tamper: Tamper
) -> None:
    # Given
    _write(4)
    # When
    tamper("UPDATE nexus.audit SET hash = sha256('x') WHERE sequence = 2")
    # Then
    assert [number for number, _ in _breaks()] == [2, 3]


def test_removed_rows_are_missed(database: str, tamper: Tamper) -> None:
    # Given
    _write(6)
    # When
    tamper("ALTER TABLE nexus.audit DISABLE TRIGGER keep_365_days")
    tamper("DELETE FROM nexus.audit WHERE sequence IN (2, 3)")
    tamper("DELETE FROM nexus.audit WHERE sequence = 6")
    # Then
    assert _breaks() == [
        (2, "records 2 to 3 are missing"),
        (6, "the chain ends here; it had 6 records"),
    ]


def test_a_row_put_behind_the_end_is_named(database: str, tamper: Tamper) -> None:
    # Given
    _write(2)
    # When
    tamper(
        "INSERT INTO nexus.audit SELECT tenant, 3, at, principal, actors, action, resource, outcome,"
        " detail, source, trace_id, correlation_id, hash, hash FROM nexus.audit WHERE sequence = 2"
    )
    # Then
    assert (3, "was put behind the end of the chain") in _breaks()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE nexus.audit SET principal = 'x'",
        "DELETE FROM nexus.audit",
        "TRUNCATE nexus.audit",
        "UPDATE nexus.audit_heads SET sequence = 0",
        "INSERT INTO nexus.audit_heads (tenant, sequence, hash) VALUES ('x', 1, '')",
        "ALTER TABLE nexus.audit DISABLE TRIGGER ALL",
    ],
)
def test_the_platforms_role_cannot_change_what_is_written(database: str, statement: Any) -> None:
    # Given
    _write(1)
    # When / Then
    with (
        psycopg.connect(database) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("statement", ["DELETE FROM nexus.audit", "TRUNCATE nexus.audit"])
def test_not_even_the_owner_removes_young_records(
    database: str, tamper: Tamper, statement: str
) -> None:
    # Given
    _write(1)
    # When / Then
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="365 days"):
        tamper(statement)
    assert _breaks() == []


def test_a_record_shares_the_fate_of_its_effect(database: str) -> None:
    # Given an effect that is taken back
    def create() -> None:
        with transaction(SYSTEM) as tx:
            record(tx, "lake.create_thing", "things/1", caller=ADA)
            tx.execute(EFFECT, ("public",))

    with pytest.raises(ConflictError):
        create()
    # When / Then
    with transaction(ADA) as tx:
        assert list_audit(tx, limit=10).items == []


def test_a_watched_request_is_recorded_once_with_its_first_effect(database: str) -> None:
    # Given
    watch = Watch("nexus.create_tenant", "tenants", SYSTEM, "192.0.2.1", mutates=True)
    # When a request looks something up, changes something, and changes more
    with watching(watch):
        with transaction(SYSTEM) as tx:
            tx.value("SELECT count(*) FROM nexus.tenants")
        assert not watch.recorded
        for name in ("first", "second"):
            with transaction(SYSTEM) as tx:
                tx.execute(EFFECT, (name,))
        watch.finish("failed", {})
    # Then
    with transaction(SYSTEM) as tx:
        (found,) = list_audit(tx, limit=10).items
    assert (found.action, found.outcome, found.source) == (
        "nexus.create_tenant",
        "done",
        "192.0.2.1",
    )


def test_what_the_domain_records_stands_for_the_request(database: str) -> None:
    # Given
    watch = Watch("nexus.create_tenant", "tenants", SYSTEM, "", mutates=True)
    # When
    with watching(watch):
        with transaction(SYSTEM) as tx:
            record(tx, "nexus.create_tenant", "tenants/third", "done", {"id": "third"}, caller=ADA)
            tx.execute(EFFECT, ("third",))
        watch.finish("done", {})
    # Then
    with transaction(SYSTEM) as tx:
        assert audited_tenants(tx) == ["acme"]
    with transaction(ADA) as tx:
        (found,) = list_audit(tx, limit=10).items
    assert found.detail == {"id": "third"}


def test_a_request_that_fails_is_recorded_as_failed(database: str) -> None:
    # Given
    watch = Watch("nexus.create_tenant", "tenants", ADA, "", mutates=True)
    # When
    with watching(watch):
        with pytest.raises(ConflictError), transaction(SYSTEM) as tx:
            tx.execute(EFFECT, ("public",))
        watch.finish("failed", {"code": "conflict"})
    # Then
    with transaction(ADA) as tx:
        (found,) = list_audit(tx, limit=10).items
    assert (found.outcome, found.detail) == ("failed", {"code": "conflict"})


def test_tenants_have_chains_of_their_own_and_see_only_these(database: str) -> None:
    # Given
    _write(2)
    _write(3, BEA)
    # When
    with transaction(ADA) as tx:
        seen = audited_tenants(tx)
        foreign = tx.value("SELECT count(*) FROM nexus.audit WHERE tenant = 'other'")
    with transaction(SYSTEM) as tx:
        both = audited_tenants(tx)
    # Then
    assert (seen, foreign, both) == (["acme"], 0, ["acme", "other"])
    assert _breaks("acme") == _breaks("other") == []


def test_many_at_once_make_one_chain(database: str) -> None:
    # Given connections of their own
    entry = (
        '{"action":"a","actors":[],"at":"2026-01-01T00:00:00.000000Z","correlation_id":"",'
        '"detail":{},"outcome":"done","principal":"p","resource":"r","source":"","tenant":"acme",'
        '"trace_id":""}'
    )

    def write(_: int) -> None:
        with psycopg.connect(database) as connection:
            for _ in range(10):
                connection.execute("SELECT nexus.append_audit(%s, false)", (entry,))
                connection.commit()

    # When
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    # Then
    assert _breaks() == []
    with transaction(ADA) as tx:
        assert verify_audit(tx, "acme").records == 80


def test_a_page_leads_to_older_records_and_filters(database: str) -> None:
    # Given
    _write(3)
    record_alone("lake.other", "things", "denied", caller=ADA)
    # When
    with transaction(ADA) as tx:
        first = list_audit(tx, limit=2)
        second = list_audit(tx, limit=2, cursor=first.next_cursor)
        denied = list_audit(tx, limit=2, outcome="denied")
        others = list_audit(tx, limit=2, principal="user:bea")
    # Then
    assert [item.sequence for item in (*first.items, *second.items)] == [4, 3, 2, 1]
    assert second.next_cursor is None
    assert [item.action for item in denied.items] == ["lake.other"]
    assert others.items == []


def test_a_check_that_runs_out_of_time_says_how_far_it_came(database: str) -> None:
    # Given
    _write(3)
    # When
    with transaction(ADA) as tx:
        found = verify_audit(tx, "acme", seconds_left=lambda: 0.0)
    # Then
    assert (found.complete, found.records, found.checked_to) == (False, 0, 0)


def test_old_records_expire_and_the_chain_goes_on_from_their_anchor(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two old records and two young ones
    old = dt.datetime.now(dt.UTC) - dt.timedelta(days=366)
    with monkeypatch.context() as patch:
        patch.setattr("datapunk.audit.timestamp", lambda _: old.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        _write(2)
        _write(1, BEA)
    _write(2)
    # When
    removed = expire()
    # Then
    assert removed == 3
    assert _breaks() == []
    with transaction(ADA) as tx:
        assert [item.sequence for item in list_audit(tx, limit=9).items] == [4, 3]
    assert expire() == 0
    _write(1, BEA)
    assert _breaks("other") == []
    with transaction(BEA) as tx:
        assert [item.sequence for item in list_audit(tx, limit=9).items] == [2]
