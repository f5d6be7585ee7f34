"""lake.write_rest: rows inserted, merged, changed and deleted in PostgREST's words; each tells of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.hostile import METACHARACTERS
from tests.support.invoking import Invoker
from tests.support.rest import READINGS, STATIONS, Rest, fill, filled_database
from tests.support.services import Instance

NEW = {"code": "BRW", "name": "Barrow", "height": 11, "head": "MLO"}
OBJECT = "application/vnd.pgrst.object+json"


@pytest.fixture
def rest(database: str, no_broker: None, invoke: Invoker) -> Rest:
    fill(invoke)
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM platform.outbox")
    return Rest()


@pytest.fixture(scope="module")
def filled(instance: Instance) -> Iterator[str]:
    with filled_database(instance) as url:
        yield url


@pytest.fixture
def unchanged(
    filled: str, environment: None, no_broker: None, monkeypatch: pytest.MonkeyPatch
) -> Rest:
    """Return a client of a database that the tests do not change."""
    monkeypatch.setenv("DATABASE_URL", filled)
    return Rest()


def _events(database: str) -> list[tuple[str, int]]:
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT body FROM platform.outbox ORDER BY id").fetchall()
    events = [json.loads(body) for (body,) in found]
    return [(event["type"], event["data"]["count"]) for event in events]


def test_the_sample_is_answered(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    answer = invoke("lake.write_rest")
    # Then
    assert answer.status == 201, answer.body
    assert [row["ppm"] for row in answer.json] == [316.1, None]
    applied = "return=representation, resolution=merge-duplicates"
    assert answer.headers["preference-applied"] == applied


def test_insert(rest: Rest, database: str) -> None:
    # Given / When
    one = rest.post("stations", NEW)
    two = rest.post(
        "readings", [{"id": 6, "station": "BRW"}, {"id": 7, "station": None}], "count=exact"
    )
    embedded = rest.post("readings", {"id": 8, "station": "BRW"}, select="id,stations(name)")
    single = rest.write("POST", "readings", {"id": 9}, headers={"Accept": OBJECT})
    placed = rest.post("stations", {"code": "a b&c"}, "return=headers-only")
    # Then
    assert (one.status, one.json) == (201, [NEW])
    assert (two.status, two.body, two.headers["content-range"]) == (201, "", "*/2")
    assert embedded.json == [{"id": 8, "stations": {"name": "Barrow"}}]
    assert (single.status, single.json["id"]) == (201, 9)
    assert (placed.status, placed.body) == (201, "")
    assert placed.headers["location"] == "/v1/lake/rest/stations?code=eq.a+b%26c"
    assert [row["id"] for row in rest("readings", id="gt.5", order="id").json] == [6, 7, 8, 9]
    assert _events(database) == [("lake.records.inserted", n) for n in (1, 2, 1, 1, 1)]


def test_every_type_is_written_and_read_back(rest: Rest) -> None:
    # Given
    row = {**READINGS[0], "id": 10}
    # When
    answer = rest.post("readings", [row])
    # Then
    assert answer.json == [row]


def test_columns_choose_what_is_taken(rest: Rest) -> None:
    # Given
    rows = [{"id": 6, "ppm": 1.5, "junk": 1}, {"id": 7}]
    # When
    answer = rest.post("readings", rows, columns="id,ppm", select="id,ppm")
    # Then
    assert answer.json == [{"id": 6, "ppm": 1.5}, {"id": 7, "ppm": None}]


def test_missing_values_become_null_or_the_default(
    database: str, no_broker: None, invoke: Invoker
) -> None:
    # Given
    columns = [
        {"name": "id", "type": "integer"},
        {"name": "unit", "type": "text", "default": "ppm"},
        {"name": "at", "type": "date", "default": "2026-01-01"},
    ]
    assert invoke("lake.create_dataset", body={"name": "t", "columns": columns}).status == 201
    rest = Rest()
    rows = [{"id": 1}, {"id": 2, "unit": "kg"}]
    # When
    null = rest.post("t", rows, columns="id,unit")
    default = rest.post("t", rows, "missing=default,return=representation", columns="id,unit")
    # Then a column that no row has gets its default either way
    day = "2026-01-01"
    assert null.json == [
        {"id": 1, "unit": None, "at": day},
        {"id": 2, "unit": "kg", "at": day},
    ]
    assert [row["unit"] for row in default.json] == ["ppm", "kg"]
    assert default.headers["preference-applied"] == "return=representation, missing=default"


def test_csv(rest: Rest) -> None:
    # Given
    body = 'id,label,doc\n6,"a ""b"", c","{""k"": 1}"\n7,,\n'
    # When
    csv = {"Content-Type": "text/csv"}
    answer = rest.write("POST", "readings", body, headers=csv, select="id,label,doc")
    # Then
    assert answer.json == [
        {"id": 6, "label": 'a "b", c', "doc": {"k": 1}},
        {"id": 7, "label": None, "doc": None},
    ]


def test_upsert(rest: Rest, database: str) -> None:
    # Given
    rows = [{"code": "MLO", "height": 1}, {"code": "BRW", "height": 2}]
    # When
    merged = rest.post("stations", rows, "resolution=merge-duplicates,return=representation")
    ignored = rest.post(
        "stations",
        [{"code": "MLO", "height": 9}, {"code": "NEW", "height": 3}],
        "resolution=ignore-duplicates,return=representation",
        on_conflict="code",
        select="code",
    )
    # Then
    assert merged.json == [
        {"code": "MLO", "name": "Mauna Loa", "height": 1, "head": "MLO"},
        {"code": "BRW", "name": None, "height": 2, "head": None},
    ]
    assert ignored.json == [{"code": "NEW"}]
    assert _events(database) == [("lake.records.upserted", 2), ("lake.records.inserted", 1)]


def test_put(rest: Rest, database: str) -> None:
    # Given / When
    replaced = rest.put("stations", {"code": "MLO", "name": "M"}, code="eq.MLO")
    inserted = rest.put("stations", {"code": "X"}, "return=minimal", code="eq.X")
    other = rest.put("stations", {"code": "Y"}, code="eq.X")
    loose = rest.put("stations", {"code": "Y"}, name="eq.X")
    # Then what the body leaves out is gone
    assert replaced.json == [{"code": "MLO", "name": "M", "height": None, "head": None}]
    assert (inserted.status, inserted.body) == (204, "")
    assert (other.status, other.json["code"]) == (400, "PGRST115")
    assert (loose.status, loose.json["code"]) == (405, "PGRST105")
    assert _events(database) == [("lake.records.upserted", 1)] * 2


def test_update(rest: Rest, database: str) -> None:
    # Given / When
    some = rest.patch(
        "readings", {"ppm": 1.0, "doc": [1]}, id="lt.3", select="id,doc", order="id.desc"
    )
    quiet = rest.patch("readings", {"label": "x"}, "count=exact", station="eq.SPO")
    none = rest.patch("readings", {"label": "y"}, id="eq.99")
    empty = rest.patch("readings", {}, id="eq.1")
    # Then
    assert some.json == [{"id": 2, "doc": [1]}, {"id": 1, "doc": [1]}]
    assert (quiet.status, quiet.body, quiet.headers["content-range"]) == (204, "", "0-1/2")
    assert (none.status, none.json) == (200, [])
    assert (empty.status, empty.json) == (200, [])
    labels = {row["id"]: row["label"] for row in rest("readings").json}
    assert labels == {1: "calm day", 2: "windy days", 3: "x", 4: "x", 5: "a,b(c)"}
    assert _events(database) == [("lake.records.updated", 2)] * 2


def test_delete(rest: Rest, database: str) -> None:
    # Given / When
    some = rest.delete("readings", id="gt.3", select="id", order="id")
    quiet = rest.delete("readings", "return=minimal", id="eq.3")
    single = rest.write("DELETE", "readings", headers={"Accept": OBJECT}, id="in.(1,2)")
    # Then
    assert some.json == [{"id": 4}, {"id": 5}]
    assert (quiet.status, quiet.body) == (204, "")
    assert (single.status, single.json["code"]) == (406, "PGRST116")
    assert len(rest("readings").json) == 2
    assert _events(database) == [("lake.records.deleted", 2), ("lake.records.deleted", 1)]


def test_more_than_the_client_allows_is_undone(rest: Rest, database: str) -> None:
    # Given
    strict = "handling=strict,max-affected=1"
    # When
    refused = [
        rest.patch("readings", {"label": "x"}, strict, id="lt.3"),
        rest.delete("readings", strict, id="lt.3"),
        rest.post("readings", [{"id": 6}, {"id": 7}], strict),
    ]
    allowed = rest.delete("readings", strict, id="eq.1")
    lenient = rest.delete("readings", "max-affected=1", id="in.(2,3)")
    # Then
    assert [(answer.status, answer.json["code"]) for answer in refused] == [(400, "PGRST124")] * 3
    assert (allowed.status, lenient.status) == (204, 204)
    assert allowed.headers["preference-applied"] == "handling=strict, max-affected=1"
    assert [row["id"] for row in rest("readings", order="id").json] == [4, 5]
    assert _events(database) == [("lake.records.deleted", 1), ("lake.records.deleted", 2)]


@pytest.mark.parametrize(
    ("method", "body", "query", "status", "code"),
    [
        ("POST", {"code": "MLO"}, {}, 409, "23505"),
        ("POST", {"code": "X", "head": "nobody"}, {}, 409, "23503"),
        ("POST", {"name": "no code"}, {}, 400, "23502"),
        ("POST", {"code": "X", "height": "high"}, {}, 400, "22P02"),
        ("POST", {"code": "X", "colour": "red"}, {}, 400, "PGRST204"),
        ("POST", {"code": "X"}, {"columns": "code,colour"}, 400, "PGRST204"),
        ("POST", {"code": "X"}, {"select": "nothing"}, 400, "42703"),
        ("POST", {"code": "X"}, {"limit": "1"}, 400, "PGRST100"),
        ("POST", [{"code": "X"}, {"code": "Y", "name": "Z"}], {}, 400, "PGRST102"),
        ("POST", "5", {}, 400, "PGRST102"),
        ("POST", "[5]", {}, 400, "22P02"),
        ("POST", "{", {}, 400, "PGRST102"),
        ("POST", None, {}, 400, "PGRST102"),
        ("POST", "[{},{}]", {}, 400, "23502"),
        ("PATCH", {"height": 1}, {}, 400, "21000"),
        ("PATCH", {"height": 1}, {"code": "eq.MLO", "limit": "1"}, 400, "PGRST100"),
        ("PATCH", {"height": "x"}, {"code": "eq.MLO"}, 400, "22P02"),
        ("PATCH", {"code": None}, {"code": "eq.MLO"}, 400, "22P02"),
        ("PATCH", [{"height": 1}, {"height": 2}], {"code": "eq.MLO"}, 400, "PGRST102"),
        ("DELETE", None, {}, 400, "21000"),
        ("DELETE", None, {"code": "eq.MLO"}, 409, "23503"),
        ("DELETE", None, {"colour": "eq.red"}, 400, "42703"),
    ],
)
def test_what_is_refused_changes_nothing(
    unchanged: Rest,
    filled: str,
    method: str,
    body: Any,
    query: dict[str, Any],
    status: int,
    code: str,
) -> None:
    # Given
    before = _events(filled)
    # When
    answer = unchanged.write(method, "stations", body, **query)
    # Then
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    rows = unchanged("stations", order="name.desc").json
    assert rows == sorted(STATIONS, key=lambda row: str(row["name"]), reverse=True)
    assert _events(filled) == before


@pytest.mark.parametrize(
    ("prefer", "query", "code"),
    [
        ("resolution=merge-duplicates", {"on_conflict": "name"}, "42P10"),
        ("resolution=merge-duplicates", {"on_conflict": "colour"}, "42P10"),
        ("resolution=merge-duplicates", {"on_conflict": '"'}, "PGRST100"),
        ("handling=strict,resolution=coin-toss", {}, "PGRST122"),
    ],
)
def test_a_merge_that_cannot_be(
    unchanged: Rest, prefer: str, query: dict[str, Any], code: str
) -> None:
    # Given / When
    answer = unchanged.post("stations", NEW, prefer, **query)
    # Then
    assert (answer.status, answer.json["code"]) == (400, code)


def test_other_types_of_body(unchanged: Rest) -> None:
    # Given
    text = {"Content-Type": "text/plain"}
    csv = {"Content-Type": "text/csv"}
    # When
    inserted = unchanged.write("POST", "stations", "code\nX\n", headers=text)
    changed = unchanged.write("PATCH", "stations", "height\n1\n", headers=csv, code="eq.MLO")
    # Then
    assert [(answer.status, answer.json["code"]) for answer in (inserted, changed)] == [
        (415, "PGRST102")
    ] * 2


def test_sql_anywhere_stays_text(rest: Rest) -> None:
    for number, text in enumerate(METACHARACTERS):
        # Given
        label = text.replace("\x00", "")
        # When
        answer = rest.post("readings", {"id": 100 + number, "label": label}, select="label")
        # Then
        assert answer.json == [{"label": label}]
        for attempt in (
            rest.post("readings", {"id": 200, text: 1}),
            rest.post("readings", {"id": 200}, columns=f"id,{text}"),
            rest.post(
                "readings", {"id": 200}, on_conflict=text, prefer="resolution=merge-duplicates"
            ),
            rest.patch("readings", {"id": text}, id="eq.1"),
            rest.delete("readings", id=f"eq.{text}"),
        ):
            assert attempt.status in (400, 409), attempt.body
    assert len(rest("readings").json) == 5 + len(METACHARACTERS)
