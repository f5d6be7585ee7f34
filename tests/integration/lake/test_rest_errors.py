"""What PostgREST's face refuses, and that it says so in PostgREST's words; SQL stays text anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.hostile import METACHARACTERS
from tests.support.rest import Rest, filled_database
from tests.support.services import Instance


@pytest.fixture(scope="module")
def filled(instance: Instance) -> Iterator[str]:
    with filled_database(instance) as url:
        yield url


@pytest.fixture
def rest(filled: str, environment: None, monkeypatch: pytest.MonkeyPatch) -> Rest:
    monkeypatch.setenv("DATABASE_URL", filled)
    return Rest()


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ({"nothing": "eq.1"}, {}, 400, "42703"),
        ({"id": "eq.x"}, {}, 400, "22P02"),
        ({"id": "1"}, {}, 400, "PGRST100"),
        ({"id": "near.1"}, {}, 400, "PGRST100"),
        ({"id": "like.1"}, {}, 400, "42883"),
        ({"id": "neq(any).{1}"}, {}, 400, "PGRST100"),
        ({"id": "in.1,2"}, {}, 400, "22P02"),
        ({"id": "is.true"}, {}, 400, "22P02"),
        ({"id": "adj.1"}, {}, 400, "42883"),
        ({"valid": "ov.[2,1)"}, {}, 400, "22P02"),
        ({"label": "fts.a &"}, {}, 400, "42601"),
        ({"label": "fts(klingon).a"}, {}, 400, "PGRST100"),
        ({"label": "match.("}, {}, 400, "22P02"),
        ({"label": "like.a\\"}, {}, 400, "22P02"),
        ({"day": "eq.2026-02-30"}, {}, 400, "22P02"),
        ({"or": "id.eq.1"}, {}, 400, "PGRST100"),
        ({"or": "()"}, {}, 400, "PGRST100"),
        ({"or": "(" * 50 + ")" * 50}, {}, 400, "PGRST100"),
        ({"or": "(" + ",".join(["id.eq.1"] * 300) + ")"}, {}, 400, "54001"),
        ({"id": "in.(" + ",".join(["1"] * 1001) + ")"}, {}, 400, "22P02"),
        ({"select": "nothing"}, {}, 400, "42703"),
        ({"select": "id,"}, {}, 400, "PGRST100"),
        ({"select": "id::money"}, {}, 400, "42704"),
        ({"select": "label::int"}, {}, 400, "22P02"),
        ({"select": "a:id,a:ppm"}, {}, 400, "42701"),
        ({"select": "x" * 64 + ":id"}, {}, 400, "42622"),
        ({"select": "label.avg()"}, {}, 400, "42883"),
        ({"select": "id.median()"}, {}, 400, "42883"),
        ({"select": "count()", "order": "id"}, {}, 400, "42803"),
        ({"select": "nowhere(*)"}, {}, 400, "PGRST200"),
        ({"select": "stations!nohint(*)"}, {}, 400, "PGRST200"),
        ({"stations.code": "eq.MLO"}, {}, 400, "PGRST108"),
        ({"select": "stations(code)", "stations": "eq.1"}, {}, 400, "PGRST120"),
        ({"select": "...stations(count())"}, {}, 400, "PGRST127"),
        ({"order": "nothing"}, {}, 400, "42703"),
        ({"order": "id.up"}, {}, 400, "PGRST100"),
        ({"limit": "x"}, {}, 400, "PGRST100"),
        ({"limit": "-1"}, {}, 416, "PGRST103"),
        ({"offset": "-1"}, {}, 416, "PGRST103"),
        ({"offset": "6"}, {"Prefer": "count=exact"}, 416, "PGRST103"),
        ({}, {"Range": "5-1"}, 416, "PGRST103"),
        ({}, {"Prefer": "handling=strict, wish=granted"}, 400, "PGRST122"),
        ({}, {"Accept": "image/png"}, 406, "PGRST107"),
        ({}, {"Accept": "application/geo+json"}, 501, "0A000"),
        ({"on_conflict": "id"}, {}, 400, "PGRST100"),
    ],
)
def test_what_is_wrong_is_said_in_postgrests_words(
    rest: Rest, query: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    # Given / When
    answer = rest("readings", headers, **query)
    # Then
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert set(answer.json) == {"code", "message", "details", "hint"}
    assert answer.json["message"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", ["nothing_here", "Readings", "a b", "x" * 200])
def test_a_dataset_there_is_not(rest: Rest, name: str) -> None:
    # Given / When
    answer = rest(name)
    # Then
    assert (answer.status, answer.json["code"]) == (404, "PGRST205")


def test_two_references_need_a_hint(rest: Rest) -> None:
    # Given / When
    answer = rest("stations", select="code,stations(code)")
    # Then
    assert (answer.status, answer.json["code"]) == (300, "PGRST201")


def test_sql_anywhere_stays_text(rest: Rest) -> None:
    for text in METACHARACTERS:
        # Given
        attempts: list[dict[str, Any]] = [
            {"select": f"id,{text}"},
            {"select": f"doc->{text}"},
            {"select": f"id::{text}"},
            {"select": f"stations!{text}(code)"},
            {"order": f"id.{text}"},
            {"order": f"doc->>{text}"},
            {text: "eq.1"},
            {f"doc->>{text}": "eq.1"},
            {"label": f"eq.{text}"},
            {"label": f"fts.{text}"},
            {"label": f"match.{text}"},
            {"label": f"{text}.1"},
            {"id": f"in.({text})"},
            {"doc": f"cs.{text}"},
            {"valid": f"cs.{text}"},
            {"or": f"(label.eq.{text})"},
            {"or": f"({text})"},
            {"limit": text},
        ]
        for query in attempts:
            # When
            answer = rest("readings", **query)
            # Then
            assert answer.status in (200, 400, 416), (query, answer.body)
    assert len(rest("readings").json) == 5
