"""The flags that pause and bound inserting hold for PostgREST's clients, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.rest import Rest, fill
from tests.support.rules import OFF, ON, boolean, other, rule, write

NEW = [{"code": "BRW", "name": "Barrow"}, {"code": "SMO", "name": "Samoa"}]


@pytest.fixture
def rules(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    no_broker: None,
    invoke: Invoker,
) -> Path:
    """Fill the datasets, and return the file of feature flags."""
    fill(invoke)
    path = tmp_path / "flags.json"
    monkeypatch.setenv("FEATURE_FLAGS", f"file:{path}")
    settings.cache_clear()
    return path


def test_while_inserting_is_paused_nothing_new_comes_by_either_method(rules: Path) -> None:
    # Given
    paused = rule(OFF, ("dataset", "EQUALS", "stations"))
    write(rules, {"lake.ingest": boolean(ON, stations=paused)})
    rest = Rest()
    # When
    posted = rest.post("stations", NEW)
    put = rest.put("stations", NEW[0], code="eq.BRW")
    # Then
    for refused in (posted, put):
        assert (refused.status, refused.json["code"]) == (503, "paused")
        assert refused.headers["retry-after"] == "60"
    assert rest("stations", code="in.(BRW,SMO)").json == []
    # And what is there can be read, changed and deleted
    assert rest.patch("stations", {"height": 95}, code="eq.CGO").json[0]["height"] == 95
    assert rest.delete("readings", id="eq.5").status == 200


def test_more_rows_than_an_operator_allows_are_refused_whole(rules: Path) -> None:
    # Given
    small = rule(1, ("dataset", "EQUALS", "stations"))
    write(rules, {"lake.rows_per_insert": other(1_000, small=small)})
    rest = Rest()
    # When
    refused, fitting = rest.post("stations", NEW), rest.post("stations", NEW[:1])
    # Then
    assert refused.status == 413
    assert fitting.status == 201
    assert len(rest("stations", code="in.(BRW,SMO)").json) == 1
