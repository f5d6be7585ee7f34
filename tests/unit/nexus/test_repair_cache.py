"""nexus.repair_cache: what Redis has not got is brought to it, without anybody reading."""

from __future__ import annotations

import time

import pytest
from datapunk import cache
from datapunk.cache import shared
from datapunk.cache.namespaces import LAKE_DATASET, Place
from datapunk.cache.reading import forget

from tests.support.invoking import Invoker


def _stored() -> str | None:
    stored = cache.client().get(Place(LAKE_DATASET, "acme", "co2_weekly").keys()[0])
    return None if stored is None else str(stored)


def test_a_write_that_redis_did_not_get_is_repaired(database: str, invoke: Invoker) -> None:
    # Given
    shared._paused[:] = [time.monotonic() + 60]
    created = invoke("lake.create_dataset", tenant="acme")
    before = _stored()
    forget()
    # When
    outcomes = [invoke.sample("nexus.repair_cache") for _ in range(2)]
    # Then
    assert (created.status, before) == (201, None)
    assert [outcome["repaired"] for outcome in outcomes] == [1, 0]
    assert [outcome["waiting"] for outcome in outcomes] == [0, 0]
    assert '"table_name"' in str(_stored())
    answer = invoke("lake.get_dataset", tenant="acme")
    assert answer.headers["x-cache"] == "hit-l2"
    assert answer.headers["x-freshness"] == created.headers["x-freshness"]


def test_it_says_how_many_wait(
    database: str,
    invoke: Invoker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given
    shared._paused[:] = [time.monotonic() + 60]
    invoke("lake.create_dataset")
    # When
    with pytest.raises(Exception, match="redis"):
        invoke.sample("nexus.repair_cache")
    # Then
    assert '"cache_writes_waiting":1' in capsys.readouterr().out
