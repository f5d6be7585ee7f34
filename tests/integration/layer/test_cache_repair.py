"""Redis that fails, comes back or loses what it had: writes succeed, nobody is told old things for long."""

from __future__ import annotations

import time

import pytest
from datapunk import cache
from datapunk.cache import clock, repair, shared, writing
from datapunk.cache.local import LOCAL, MAX_AGE
from datapunk.cache.namespaces import Place
from datapunk.cache.reading import forget, read
from datapunk.database import transaction
from datapunk.errors import UnavailableError
from datapunk.identity import Caller

from tests.support.notes import CACHED, NOTES, TENANT, Environment, write_note
from tests.support.services import Instance

KEYS = [f"k{number}" for number in range(20)]
pytestmark = pytest.mark.timeout(120)


def _in_redis(key: str) -> str:
    return str(cache.client().get(Place(NOTES, TENANT, key).keys()[0]))


def test_without_redis_reads_fall_through_writes_succeed_and_all_keys_converge(
    fragile_notes: Instance,
) -> None:
    # Given
    for key in KEYS:
        write_note(key, "one")
    # When Redis is gone for a while
    with fragile_notes.without("redis"):
        forget()
        for key in KEYS:
            write_note(key, "two")
        own = read(CACHED, TENANT, KEYS[0])
        LOCAL.clear()
        others = [read(CACHED, TENANT, key) for key in KEYS]
    # Then
    assert own.value == "two"
    assert {(found.value, found.answered) for found in others} == {("two", "bypass")}
    assert repair.pending() == len(KEYS)
    # When it is repaired, without anybody reading
    shared.forget()
    swept = repair.sweep_all()
    # Then
    assert swept == repair.Swept(repaired=len(KEYS), complete=True)
    assert all(_in_redis(key).endswith('"two"') for key in KEYS)
    assert repair.pending() == 0
    forget()
    assert {read(CACHED, TENANT, key).answered for key in KEYS} == {"hit-l2"}


def test_the_first_reader_repairs_before_it_trusts_redis(notes: None) -> None:
    # Given a writer that cannot reach Redis, which all others can
    write_note("a", "one")
    shared._paused[:] = [time.monotonic() + 60]
    write_note("a", "two")
    assert _in_redis("a").endswith('"one"')
    time.sleep(shared.SWEPT_SECONDS)
    # When
    forget()
    found = read(CACHED, TENANT, "a")
    # Then
    assert (found.value, found.answered) == ("two", "hit-l2")
    assert repair.pending() == 0


def test_a_writer_that_ended_after_its_commit_is_made_good(
    notes: None,
) -> None:
    # Given
    write_note("a", "one")
    read(CACHED, TENANT, "a")
    with transaction(Caller("user:ada", TENANT)) as tx:
        tx.execute("UPDATE notes SET text = 'two'")
        writing.stage(tx, CACHED, "a", "two", cause="test")
        tx.after_commit.clear()
    written = time.monotonic()
    # When others go on reading
    values = []
    while time.monotonic() < written + 5:
        values.append((time.monotonic() - written, read(CACHED, TENANT, "a").value))
        time.sleep(0.05)
    # Then
    assert values[0][1] == "one"
    assert values[-1][1] == "two"
    assert max(at for at, value in values if value == "one") < MAX_AGE + shared.SWEPT_SECONDS + 0.5


def test_a_server_that_began_again_is_not_believed(fragile_notes: Instance) -> None:
    # Given a server that wrote its last second to no disk: here one whose last write is taken back
    write_note("a", "one")
    old = _in_redis("a")
    write_note("a", "two")
    cache.client().set(Place(NOTES, TENANT, "a").keys()[0], old, ex=60)
    with fragile_notes.without("redis"):
        pass
    # When
    forget()
    found = read(CACHED, TENANT, "a")
    # Then
    assert _in_redis("a").endswith('"two"')
    assert (found.value, found.answered) == ("two", "miss")


def test_redis_is_left_alone_after_a_failure(fragile_notes: Instance) -> None:
    # Given
    write_note("a", "one")
    with fragile_notes.frozen("redis"):
        LOCAL.clear()
        read(CACHED, TENANT, "a")
        # When
        LOCAL.clear()
        started = time.monotonic()
        found = read(CACHED, TENANT, "a")
        seconds = time.monotonic() - started
        with pytest.raises(UnavailableError):
            writing.invalidate(NOTES.name, TENANT, None, "test")
    # Then
    assert found.answered == "bypass"
    assert seconds < cache.TIMEOUT


def test_a_late_write_is_left_to_the_repair(notes: None) -> None:
    # Given a writer that was stopped between its commit and Redis
    with transaction(Caller("user:ada", TENANT)) as tx:
        tx.execute("INSERT INTO notes (key, text) VALUES ('a', 'one')")
        version = writing.stage(tx, CACHED, "a", "one", cause="test")
        tx.after_commit.clear()
    since = repair.wall_ms() - shared.LATE_MS - 1000
    late = shared.Write(Place(NOTES, TENANT, "a"), version, '"one"', "test", since)
    # When
    brought = repair.bring([late])
    # Then
    assert brought == 0
    assert repair.pending() == 1
    assert repair.sweep_all().complete
    assert _in_redis("a").endswith('"one"')


def test_a_process_that_was_stopped_answers_nothing_old(
    notes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an environment that has read and is stopped
    for key in KEYS:
        write_note(key, "one")
    other = Environment.start()
    try:
        before = other.read(KEYS)
        other.stop()
        # When
        for key in KEYS:
            write_note(key, "two")
        time.sleep(5)
        other.go_on()
        after = other.read(KEYS)
    finally:
        other.end()
    # Then
    assert {value for _, value, _ in before} == {"one"}
    assert {value for _, value, _ in after} == {"two"}


def test_memory_of_before_a_suspension_is_not_answered(
    notes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a machine that was suspended: only one of its clocks noticed
    write_note("a", "one")
    boot, wall = clock.now()
    monkeypatch.setattr(clock, "now", lambda: (boot + 0.1, wall + 60))
    # When
    found = read(CACHED, TENANT, "a")
    # Then
    assert found.answered == "hit-l2"
