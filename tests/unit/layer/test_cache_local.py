"""The memory of an environment: bounded in number, bytes and age."""

from __future__ import annotations

from datapunk.cache import clock, local, shared
from datapunk.cache.local import LocalCache, LocalEntry
from hypothesis import given
from hypothesis import strategies as st

KEYS = [("ns", "acme", str(number)) for number in range(8)]


def _entry(version: int = 1, size: int = 10, late: float = 0.0) -> LocalEntry:
    boot, wall = clock.now()
    return LocalEntry(f"v{version}", version, size, (boot - late, wall - late))


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 60), st.integers(1, 5))))
def test_it_stays_within_its_bounds(puts: list[tuple[tuple[str, str, str], int, int]]) -> None:
    # Given
    cache = LocalCache(entries=4, size=100)
    for address, size, version in puts:
        # When
        cache.put(address, _entry(version, size))
        # Then
        kept = [entry for key in KEYS if (entry := cache.get(key)) is not None]
        assert len(kept) == len(cache) <= 4
        assert sum(entry.size for entry in kept) == cache.size <= 100


def test_the_least_recently_used_goes_first() -> None:
    # Given
    cache = LocalCache(entries=2, size=100)
    cache.put(KEYS[0], _entry())
    cache.put(KEYS[1], _entry())
    cache.get(KEYS[0])
    # When
    cache.put(KEYS[2], _entry())
    # Then
    assert [cache.get(key) is not None for key in KEYS[:3]] == [True, False, True]


def test_a_later_version_stays_and_an_old_one_is_not_answered() -> None:
    # Given
    cache = LocalCache()
    cache.put(KEYS[0], _entry(version=2))
    # When
    cache.put(KEYS[0], _entry(version=1))
    cache.put(KEYS[1], _entry(version=9, late=local.MAX_AGE + 0.1))
    # Then
    found = cache.get(KEYS[0])
    assert found is not None
    assert found.version == 2
    assert cache.get(KEYS[1]) is None
    assert len(cache) == 1


def test_what_is_larger_than_all_of_it_is_not_kept() -> None:
    # Given
    cache = LocalCache(size=100)
    # When
    cache.put(KEYS[0], _entry(size=101))
    # Then
    assert (len(cache), cache.size) == (0, 0)


def test_memory_and_redis_together_stay_below_the_five_seconds_of_the_contract() -> None:
    # Given / When / Then
    assert local.MAX_AGE + shared.SWEPT_SECONDS < 5
