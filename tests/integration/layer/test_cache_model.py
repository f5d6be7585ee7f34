"""Whatever order things happen in, Redis never answers something older than the last write it was brought."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from datapunk import cache
from datapunk.cache import shared
from datapunk.cache.clock import HybridClock
from datapunk.cache.namespaces import NAMESPACES, Place
from datapunk.cache.repair import wall_ms
from datapunk.cache.shared import Answer, Write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.support.notes import NOTES

KEYS = st.sampled_from(["a", "b"])
SKEW = st.sampled_from([-3_000, -1, 0, 1, 3_000])


@dataclass
class _Lease:
    """A reader that was told to load, and what it has read so far."""

    place: Place
    answer: Answer
    loaded: tuple[int, str | None] | None = None


class CacheModel(RuleBasedStateMachine):
    """The database is a list of writes per key; Redis is a real one, with the real scripts.

    Writers end between Redis and their note in the database: versions, leases and epochs are on their own.
    """

    settles = False

    def __init__(self) -> None:
        super().__init__()
        self.tenant = f"t{uuid.uuid4().hex[:12]}"
        self.history: dict[str, list[Write]] = {}
        self.brought: dict[str, int] = {}
        self.on_the_way: list[Write] = []
        self.leases: list[_Lease] = []

    def _place(self, key: str) -> Place:
        return Place(NOTES, self.tenant, key)

    def _last(self, key: str) -> tuple[int, str | None]:
        writes = self.history.get(key)
        return (writes[-1].version, writes[-1].value) if writes else (0, None)

    def _bring(self, write: Write) -> None:
        """Put a write as `repair.bring` does, with the list in place of the table."""
        outcome, key = shared.put(write), write.place.key
        last, _ = self._last(key)
        if write.version == last:
            assert outcome in ("stored", "same"), "the last write of all has lost"
            self.brought[key] = last
        elif outcome != "older" and self.settles:
            shared.drop(write.place, "overtaken", version=write.version)

    @rule(
        key=KEYS,
        skew=SKEW,
        deleted=st.integers(0, 3).map(lambda number: number == 3),
        at_once=st.booleans(),
    )
    def write(self, key: str, skew: int, *, deleted: bool, at_once: bool) -> None:
        """Commit a write of a process whose clock is wrong."""
        tick = HybridClock(lambda: wall_ms() + skew).tick()
        version = max(tick, self._last(key)[0] + 1)
        text = None if deleted else f"{key} {version}"
        write = Write(self._place(key), version, text, "test", wall_ms())
        self.history.setdefault(key, []).append(write)
        if at_once:
            self._bring(write)
        else:
            self.on_the_way.append(write)

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        """Bring one of the writes, in any order."""
        place = data.draw(st.integers(0, len(self.on_the_way) - 1))
        self._bring(self.on_the_way.pop(place))

    @rule()
    def sweep(self) -> None:
        """Bring the last write of each key, as the repair finds them."""
        for key, writes in self.history.items():
            if self.brought.get(key) != writes[-1].version:
                self._bring(writes[-1])

    @rule(key=KEYS)
    def ask(self, key: str) -> None:
        shared.mark_swept(shared.server_ms())
        answer = shared.read(self._place(key))
        if answer.word in ("load", "renew"):
            self.leases.append(_Lease(self._place(key), answer))
        if answer.word not in ("hit", "renew"):
            return
        version, text = self._last(key)
        known = [(write.version, write.value) for write in self.history.get(key, [])]
        assert answer.value in [text for _, text in known] + [None]
        if self.brought.get(key, 0) == version:
            assert answer.value == text

    @precondition(lambda self: any(lease.loaded is None for lease in self.leases))
    @rule(data=st.data())
    def load(self, data: st.DataObject) -> None:
        """Let a reader read the database; it may be slow to say what it found."""
        waiting = [lease for lease in self.leases if lease.loaded is None]
        lease = data.draw(st.sampled_from(waiting))
        lease.loaded = self._last(lease.place.key)

    @precondition(lambda self: any(lease.loaded is not None for lease in self.leases))
    @rule(data=st.data())
    def fill(self, data: st.DataObject) -> None:
        lease = data.draw(
            st.sampled_from([item for item in self.leases if item.loaded is not None])
        )
        self.leases.remove(lease)
        assert lease.loaded is not None
        shared.fill(lease.place, lease.answer, *lease.loaded)
        self.ask(lease.place.key)

    @rule(key=KEYS)
    def invalidate(self, key: str) -> None:
        shared.drop(self._place(key), "test")

    @rule()
    def invalidate_all(self) -> None:
        shared.void(NOTES, self.tenant, "test")

    def teardown(self) -> None:
        """Let all that is on its way arrive: Redis has the last write of each key, or nothing."""
        self.sweep()
        while self.on_the_way:
            self._bring(self.on_the_way.pop(0))
        for key in self.history:
            self.ask(key)


class LosingModel(CacheModel):
    """Redis also loses things, and writers note what it has: what was overtaken unseen is taken out again."""

    settles = True

    @rule(key=KEYS)
    def evict(self, key: str) -> None:
        """Let Redis need the room."""
        cache.client().delete(self._place(key).keys()[0])

    @rule(key=KEYS)
    def flush(self, key: str) -> None:
        """Let a node lose all it has."""
        cache.client().delete(*self._place(key).keys())

    @rule(key=KEYS)
    def lose_the_epoch(self, key: str) -> None:
        cache.client().delete(self._place(key).keys()[2])


@pytest.mark.parametrize("model", [CacheModel, LosingModel])
def test_the_last_write_wins_in_any_order(
    environment: None, monkeypatch: pytest.MonkeyPatch, model: type[CacheModel]
) -> None:
    # Given
    monkeypatch.setitem(NAMESPACES, NOTES.name, NOTES)
    # When / Then
    run_state_machine_as_test(
        model, settings=settings(max_examples=60, stateful_step_count=50, deadline=None)
    )
    assert cache.client().ping()
