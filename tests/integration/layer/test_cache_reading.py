"""Reading and writing through both levels: who answers, who is kept from what, what is published."""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from datapunk import cache
from datapunk.cache import repair, shared, warming, writing
from datapunk.cache.clock import CLOCK
from datapunk.cache.local import LOCAL
from datapunk.cache.namespaces import PARTITIONS, Place
from datapunk.cache.reading import forget, read
from datapunk.cache.values import Cached, Found
from datapunk.database import Transaction, transaction
from datapunk.errors import NotFoundError
from datapunk.identity import SYSTEM, Caller

from tests.support.notes import CACHED, NOTES, TENANT, load_note, notes_of, write_note
from tests.support.services import Instance

pytestmark = pytest.mark.usefixtures("notes")


def _elsewhere(key: str, cached: Cached[str] = CACHED, **demand: int) -> Found[str]:
    """Read in an environment that has read nothing yet."""
    forget()
    return read(cached, TENANT, key, **demand)


def test_each_level_answers_in_its_turn() -> None:
    # Given what was written without the cache
    with transaction(Caller("user:ada", TENANT)) as tx:
        tx.execute("INSERT INTO notes (key, text) VALUES ('a', 'one')")
    # When
    answers = [read(CACHED, TENANT, "a"), read(CACHED, TENANT, "a"), _elsewhere("a")]
    # Then
    assert [found.value for found in answers] == ["one"] * 3
    assert [found.answered for found in answers] == ["miss", "hit-l1", "hit-l2"]


def test_what_was_written_is_there_at_once_for_everybody() -> None:
    # Given / When
    version = write_note("a", "one")
    # Then
    stored = str(cache.client().get(Place(NOTES, TENANT, "a").keys()[0]))
    assert stored.endswith('\n"one"')
    assert read(CACHED, TENANT, "a") == Found("one", version, "hit-l1")
    assert _elsewhere("a") == Found("one", version, "hit-l2")


def test_what_is_rolled_back_reaches_nobody() -> None:
    # Given
    write_note("a", "one")
    # When
    with contextlib.suppress(RuntimeError), transaction(Caller("user:ada", TENANT)) as tx:
        writing.stage(tx, CACHED, "a", "two", cause="test")
        raise RuntimeError
    # Then
    assert read(CACHED, TENANT, "a").value == "one"
    assert _elsewhere("a").value == "one"


def test_what_is_not_there_is_remembered_until_it_is() -> None:
    # Given
    first = read(CACHED, TENANT, "a")
    # When
    again = _elsewhere("a")
    write_note("a", "one")
    written = _elsewhere("a")
    write_note("a", None)
    deleted = _elsewhere("a")
    # Then
    assert [first.answered, again.answered, written.answered, deleted.answered] == [
        "miss",
        *["hit-l2"] * 3,
    ]
    assert [first.value, again.value, written.value, deleted.value] == [None, None, "one", None]
    key = Place(NOTES, TENANT, "a").keys()[0]
    assert 0 < int(cache.client().ttl(key)) <= NOTES.absent_ttl


def test_no_tenant_is_given_anothers_value() -> None:
    # Given keys that would meet if tenant and key were only joined
    write_note("a", "acme's", tenant="acme")
    write_note("b:a", "acme's other")
    # When
    found = [read(CACHED, tenant, key) for tenant, key in (("other", "a"), ("acme:b", "a"))]
    # Then
    assert [item.value for item in found] == [None, None]
    forget()
    assert read(CACHED, "other", "a").value is None


def test_one_of_many_loads_and_the_others_wait_for_it() -> None:
    # Given a value that takes a while
    loads = []

    def load(tx: Transaction, key: str) -> str | None:
        loads.append(key)
        time.sleep(0.2)
        return load_note(tx, key)

    slow = Cached(NOTES, CACHED.encode, CACHED.decode, load)
    write_note("a", "one")
    writing.invalidate(NOTES.name, TENANT, "a", "test")
    read(CACHED, TENANT, "other")
    # When ten ask at once, who share nothing but Redis
    lease = shared.read(slow.place(TENANT, "a"))
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(shared.read, slow.place(TENANT, "a")) for _ in range(10)]
        words = [task.result().word for task in waiting]
        kept = pool.submit(_fill, slow, lease)
        found = read(slow, TENANT, "a")
    # Then
    assert lease.word == "load"
    assert words == ["wait"] * 10
    assert kept.result()
    assert loads == ["a"]
    assert (found.value, found.answered) == ("one", "hit-l2")


def _fill(cached: Cached[str], lease: shared.Answer) -> bool:
    from datapunk.cache.values import loader

    # A connection belongs to one thread at a time: the one that waits does not use it meanwhile.
    with transaction(loader(TENANT)) as tx:
        value = cached.load(tx, "a")
    text = None if value is None else cached.encode(value)
    return shared.fill(cached.place(TENANT, "a"), lease, 0, text)


def test_who_waits_in_vain_reads_the_database() -> None:
    # Given one who was to load the value and has ended
    repair.sweep()
    write_note("a", "one")
    writing.invalidate(NOTES.name, TENANT, "a", "test")
    assert shared.read(CACHED.place(TENANT, "a")).word == "load"
    # When
    found = _elsewhere("a")
    # Then
    assert (found.value, found.answered) == ("one", "miss")


def test_a_value_is_renewed_by_one_before_it_expires() -> None:
    # Given a value that is due at once
    due = notes_of(early=1.0)
    repair.sweep()
    write_note("a", "one", cached=due)
    # When
    words = [shared.read(due.place(TENANT, "a")).word for _ in range(3)]
    # Then
    assert words == ["renew", "hit", "hit"]
    assert shared.read(due.place(TENANT, "a")).value == '"one"'


def test_a_demanded_position_is_never_answered_with_something_older() -> None:
    # Given Redis and memory that know the first of two writes
    repair.sweep()
    first = write_note("a", "one")
    with transaction(Caller("user:ada", TENANT)) as tx:
        tx.execute("UPDATE notes SET text = 'two'")
        second = writing.stage(tx, CACHED, "a", "two", cause="test")
        tx.after_commit.clear()
    # When
    relaxed = read(CACHED, TENANT, "a", at_least=first)
    strict = read(CACHED, TENANT, "a", at_least=second)
    # Then
    assert (relaxed.value, relaxed.answered) == ("one", "hit-l1")
    assert (strict.value, strict.version, strict.answered) == ("two", second, "bypass")
    assert _elsewhere("a", at_least=second).value == "two"


def test_a_loser_is_counted_and_the_later_write_stays(capsys: pytest.CaptureFixture[str]) -> None:
    # Given two writers, the first of which is slow to say so
    with transaction(Caller("user:ada", TENANT)) as tx:
        tx.execute("INSERT INTO notes (key, text) VALUES ('a', 'one')")
        writing.stage(tx, CACHED, "a", "one", cause="test")
        (say_so,) = tx.after_commit
        tx.after_commit.clear()
    CLOCK._last -= 10_000 << 11
    version = write_note("a", "two")
    capsys.readouterr()
    # When
    say_so()
    # Then
    assert '"cache_conflicts_total":1' in capsys.readouterr().out
    assert _elsewhere("a") == Found("two", version, "hit-l2")


def test_changes_are_published_on_both_names(instance: Instance) -> None:
    # Given
    with redis.Redis.from_url(instance.url("redis"), decode_responses=True) as outside:
        listener = outside.pubsub(ignore_subscribe_messages=True)
        listener.subscribe("cache.update", "cache_update", "cache.invalidate", "cache_invalidate")
        # When
        version = write_note("a", "one")
        deleted = write_note("a", None)
        writing.invalidate(NOTES.name, TENANT, "b", "by hand")
        told: list[tuple[str, dict[str, object]]] = []
        give_up = time.monotonic() + 10
        while len(told) < 6 and time.monotonic() < give_up:
            if item := listener.get_message(timeout=0.2):
                told.append((item["channel"], json.loads(item["data"])))
        listener.close()
    # Then
    seen = [(name, item["key"], item["version"], item["cause"]) for name, item in told]
    assert seen == [
        ("cache.update", "a", version, "test"),
        ("cache_update", "a", version, "test"),
        ("cache.invalidate", "a", deleted, "test"),
        ("cache_invalidate", "a", deleted, "test"),
        ("cache.invalidate", "b", 0, "by hand"),
        ("cache_invalidate", "b", 0, "by hand"),
    ]


@pytest.mark.parametrize("tenant", [TENANT, None])
def test_a_namespace_is_invalidated_in_one_step(tenant: str | None) -> None:
    # Given
    for key in "abc":
        write_note(key, "one")
    write_note("a", "theirs", tenant="other")
    # When
    writing.invalidate(NOTES.name, tenant, None, "test")
    # Then
    assert len(LOCAL) == 0
    assert [_elsewhere(key).answered for key in "abc"] == ["miss"] * 3
    forget()
    assert read(CACHED, "other", "a").answered == ("hit-l2" if tenant else "miss")


def test_an_unknown_namespace_cannot_be_invalidated() -> None:
    # Given / When / Then
    with pytest.raises(NotFoundError, match=r"test\.note"):
        writing.invalidate("nothing", TENANT, None, "test")


def test_bytes_stay_below_the_bound_and_the_oldest_go() -> None:
    # Given room for some twenty values in each partition
    small = notes_of(max_bytes=16 * 10_000, max_value=2_000)
    keys = [f"k{number}" for number in range(800)]
    # When
    for number, key in enumerate(keys):
        place = Place(small.namespace, TENANT, key)
        text = json.dumps("x" * 400)
        shared.put(shared.Write(place, number + 1, text, "test", int(time.time() * 1000)))
    # Then
    client = cache.client()
    used = {
        key: int(client.memory_usage(key) or 0)
        for key in client.scan_iter(f"cache:{{{NOTES.name}:*}}:entry:*", count=1000)
    }
    assert 0.7 * small.namespace.max_bytes < sum(used.values()) <= small.namespace.max_bytes
    first, last = (Place(small.namespace, TENANT, key).keys()[0] for key in (keys[0], keys[-1]))
    assert first not in used
    assert last in used
    assert [key for key in client.scan_iter("cache:*", count=1000) if client.ttl(key) < 0] == []


def test_a_value_that_is_too_large_is_read_from_the_database() -> None:
    # Given
    small = notes_of(max_value=100)
    # When
    write_note("a", "x" * 101, cached=small)
    # Then
    assert [_elsewhere("a", small).answered for _ in range(2)] == ["miss", "miss"]
    assert cache.client().get(Place(NOTES, TENANT, "a").keys()[0]) is not None


def test_what_another_release_wrote_is_read_anew() -> None:
    # Given
    place = Place(NOTES, TENANT, "a")
    version = write_note("a", "one")
    shared.put(shared.Write(place, version + 1, "{unreadable", "test", int(time.time() * 1000)))
    # When
    answers = [_elsewhere("a") for _ in range(3)]
    # Then
    assert [found.value for found in answers] == ["one"] * 3
    assert answers[2].answered == "hit-l2"


def test_hot_keys_are_there_again_after_a_flush_and_a_run(instance: Instance) -> None:
    # Given
    for key in "abc":
        write_note(key, f"text of {key}")
    for _ in range(3):
        _elsewhere("a")
        _elsewhere("b")
    first = warming.warm(CACHED)
    with redis.Redis.from_url(instance.url("redis")) as server:
        for lost in server.scan_iter("cache:*", count=1000):
            server.delete(lost)
    # When
    second = warming.warm(CACHED)
    # Then
    assert first == {"hot": 2, "loaded": 0}
    assert second == {"hot": 2, "loaded": 2}
    forget()
    assert read(CACHED, TENANT, "c").answered == "miss"
    # An environment takes what is hot into its memory when it first asks.
    assert read(CACHED, TENANT, "a").answered == "hit-l1"


def test_what_is_no_longer_read_cools_down() -> None:
    # Given
    write_note("a", "one")
    for _ in range(3):
        _elsewhere("a")
    # When
    hot = [warming.warm(CACHED)["hot"] for _ in range(8)]
    # Then
    assert hot[0] == 1
    assert hot[-1] == 0


def test_both_levels_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    # Given
    write_note("a", "one")
    forget()
    capsys.readouterr()
    # When
    read(CACHED, TENANT, "a")
    read(CACHED, TENANT, "a")
    # Then
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    ratios = [
        (item["level"], item["cache_hit_ratio"]) for item in lines if "cache_hit_ratio" in item
    ]
    assert ratios == [("l1", 0), ("l2", 1), ("l1", 1)]


def test_a_partition_serves_its_own_keys_only() -> None:
    # Given
    places = [Place(NOTES, TENANT, f"k{number}") for number in range(400)]
    # When
    partitions = {place.partition for place in places}
    # Then
    assert partitions == set(range(PARTITIONS))
    for place in places:
        keys = place.keys()
        assert len({key[key.index("{") : key.index("}")] for key in keys}) == 1


def test_versions_of_keys_that_have_gone_are_forgotten() -> None:
    # Given
    write_note("a", "one")
    write_note("b", "two")
    with transaction(SYSTEM) as tx:
        tx.execute(
            "UPDATE platform.cache_writes SET written_at = written_at - interval '25 hours' "
            "WHERE key = 'a'"
        )
    # When
    forgotten = repair.purge()
    # Then
    assert forgotten == 1
    assert repair.pending() == 0
