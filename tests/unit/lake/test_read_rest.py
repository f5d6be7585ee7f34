"""lake.read_rest: PostgREST's words for reading, its answers, and its errors."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.invoking import Answer, Invoker
from tests.support.rest import READINGS, STATIONS, Rest, filled_database
from tests.support.services import Instance

OBJECT = "application/vnd.pgrst.object+json"


@pytest.fixture(scope="module")
def filled(instance: Instance) -> Iterator[str]:
    with filled_database(instance) as url:
        yield url


@pytest.fixture
def rest(filled: str, environment: None, monkeypatch: pytest.MonkeyPatch) -> Rest:
    monkeypatch.setenv("DATABASE_URL", filled)
    return Rest()


def _ids(answer: Answer) -> list[int]:
    assert answer.status in (200, 206), answer.body
    return [item["id"] for item in answer.json]


def test_the_sample_is_answered(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    invoke("lake.insert_records")
    # When
    answer = invoke("lake.read_rest")
    # Then
    assert answer.json == [
        {"week": "1958-04-05", "ppm": 317.3},
        {"week": "1958-03-29", "ppm": 316.1},
    ]
    assert answer.headers["content-range"] == "0-1/2"
    assert answer.headers["preference-applied"] == "count=exact"


def test_everything_is_answered_with_everything(rest: Rest) -> None:
    # Given / When
    answer = rest("readings", order="id")
    # Then
    assert answer.json == READINGS
    assert list(answer.json[0]) == list(READINGS[0])
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["content-range"] == "0-4/*"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"id": "eq.2"}, [2]),
        ({"id": "neq.2"}, [1, 3, 4, 5]),
        ({"id": ["gt.1", "lte.3"]}, [2, 3]),
        ({"id": "not.gte.3"}, [1, 2]),
        ({"id": "in.(1,4,9)"}, [1, 4]),
        ({"id": "in.()"}, []),
        ({"id": "eq(any).{1,3}"}, [1, 3]),
        ({"id": "gt(all).{1,3}"}, [4, 5]),
        ({"id": "eq(any).{}"}, []),
        ({"id": "gt(all).{}"}, [1, 2, 3, 4, 5]),
        ({"label": "like.*day*"}, [1, 2]),
        ({"label": "like.calm%"}, [1]),
        ({"label": "ilike.calm*"}, [1, 4]),
        ({"label": "ilike(any).{calm*,*b*}"}, [1, 4, 5]),
        ({"label": "ilike(all).{calm*,*day}"}, [1]),
        ({"label": "not.ilike.calm*"}, [2, 5]),
        ({"label": "match.^c"}, [1]),
        ({"label": "imatch.^c"}, [1, 4]),
        ({"label": 'in.("a,b(c)",Calm)'}, [4, 5]),
        ({"label": "eq.a,b(c)"}, [5]),
        ({"label": "isdistinct.Calm"}, [1, 2, 3, 5]),
        ({"label": "not.isdistinct.Calm"}, [4]),
        ({"label": "fts(english).day & calm"}, [1]),
        ({"label": "plfts(english).days"}, [1, 2]),
        ({"label": "phfts(english).windy days"}, [2]),
        ({"label": "wfts(simple).calm -day"}, [4]),
        ({"label": "not.fts.calm"}, [2, 5]),
        ({"good": "is.true"}, [1, 4]),
        ({"good": "is.unknown"}, [3]),
        ({"good": "not.is.null"}, [1, 2, 4, 5]),
        ({"ppm": "is.null"}, [4]),
        ({"day": "lt.2026-02-01"}, [1, 2]),
        ({"doc->>city": "eq.Hilo"}, [1]),
        ({"doc->n->k": "gt.1"}, [2]),
        ({"doc->tags->>0": "eq.a"}, [1]),
        ({"doc->tags->>-1": "eq.b"}, [1, 5]),
        ({"doc": 'cs.{"tags":["b"]}'}, [1, 5]),
        ({"doc->tags": 'cd.["a","b","c"]'}, [1, 2, 5]),
        ({"valid": "cs.[2,3)"}, [1]),
        ({"valid": "cd.[1,9]"}, [1, 2, 5]),
        ({"valid": "ov.[4,6)"}, [1, 2]),
        ({"valid": "sl.[9,10)"}, [1, 2]),
        ({"valid": "sr.[1,9)"}, [4]),
        ({"valid": "nxr.[1,9)"}, [1, 2]),
        ({"valid": "nxl.[5,9)"}, [2, 4]),
        ({"valid": "adj.[9,20)"}, [2, 4]),
        ({"valid": "eq.[5,9)"}, [2]),
        ({"or": "(id.eq.1,id.eq.5)"}, [1, 5]),
        ({"or": "(id.lt.2,and(id.gt.3,good.is.false))"}, [1, 5]),
        ({"and": "(id.gt.1,or(id.lt.3,id.gt.4))"}, [2, 5]),
        ({"not.or": "(id.lt.2,id.gt.3)"}, [2, 3]),
        ({"not.and": "(id.gt.1,id.lt.5)"}, [1, 5]),
        ({"or": "(not.and(id.gt.1,id.lt.5),id.not.neq.3)"}, [1, 3, 5]),
        ({"or": '(label.eq."a,b(c)",id.in.(1,2))'}, [1, 2, 5]),
        ({"or": '(doc.cs.{"tags":["a"]},valid.cd.[20,40))'}, [1, 4, 5]),
        ({"or": "(id.eq(any).{2,3},doc->>city.eq.Hobart)"}, [2, 3, 5]),
        ({"id": "gte.2", "limit": "2", "offset": "1"}, [3, 4]),
        ({"limit": "0"}, []),
        ({"order": "ppm.desc"}, [4, 5, 2, 1, 3]),
        ({"order": "ppm.desc.nullslast"}, [5, 2, 1, 3, 4]),
        ({"order": "ppm.asc.nullsfirst"}, [4, 3, 1, 2, 5]),
        ({"order": "station.nullslast,id.desc"}, [2, 1, 4, 3, 5]),
        ({"order": "doc->>city.nullslast,id"}, [1, 5, 2, 3, 4]),
        (
            {"select": "id,stations(name)", "order": "stations(height).nullslast,id"},
            [3, 4, 1, 2, 5],
        ),
        ({"select": "id,stations!inner()", "stations.code": "eq.SPO"}, [3, 4]),
        ({"select": "id,stations()", "stations": "is.null"}, [5]),
        ({"select": "id,stations()", "stations": "not.is.null"}, [1, 2, 3, 4]),
        ({"select": "id,stations()", "or": "(stations.is.null,id.eq.2)"}, [2, 5]),
    ],
)
def test_what_is_asked_is_answered(rest: Rest, query: dict[str, Any], ids: list[int]) -> None:
    # Given / When
    answer = rest("readings", **{"select": "id", "order": "id", **query})
    # Then
    assert _ids(answer) == ids


@pytest.mark.parametrize(
    ("query", "item"),
    [
        ({"select": "number:id,text:label"}, {"number": 1, "text": "calm day"}),
        ({"select": "id::text,ppm::int"}, {"id": "1", "ppm": 316}),
        ({"select": "day::timestamp"}, {"day": "2026-01-01T00:00:00"}),
        ({"select": "id::numeric,good::text"}, {"id": 1, "good": "true"}),
        ({"select": "doc->city,doc->tags->0"}, {"city": "Hilo", "tags": "a"}),
        ({"select": "doc->>n,k:doc->n->>k"}, {"n": '{"k": 1}', "k": "1"}),
        ({"select": "k:doc->n->k::int"}, {"k": 1}),
        ({"select": "*,id"}, READINGS[0]),
        ({"select": '"id",Big Name:id,"a.b":id'}, {"id": 1, "Big Name": 1, "a.b": 1}),
        ({"select": '"100%":id'}, {"100%": 1}),
        (
            {"select": "id,stations(code,height)"},
            {"id": 1, "stations": {"code": "MLO", "height": 3397}},
        ),
        (
            {"select": "where:station(name),of:readings_station_fkey(code)"},
            {"where": {"name": "Mauna Loa"}, "of": {"code": "MLO"}},
        ),
        (
            {"select": "id,...stations(place:name,height)"},
            {"id": 1, "place": "Mauna Loa", "height": 3397},
        ),
        (
            {
                "select": "stations(name,head(code,readings(id)))",
                "stations.head.readings.id": "gt.1",
            },
            {"stations": {"name": "Mauna Loa", "head": {"code": "MLO", "readings": [{"id": 2}]}}},
        ),
    ],
)
def test_what_is_selected_is_answered(
    rest: Rest, query: dict[str, Any], item: dict[str, Any]
) -> None:
    # Given / When
    answer = rest("readings", id="eq.1", **query)
    # Then
    assert answer.status == 200, answer.body
    assert answer.json == [item]
    assert list(answer.json[0]) == list(item)


@pytest.mark.parametrize(
    ("query", "items"),
    [
        (
            {"select": "code,readings(id)"},
            [
                {"code": "CGO", "readings": []},
                {"code": "MLO", "readings": [{"id": 1}, {"id": 2}]},
                {"code": "SPO", "readings": [{"id": 3}, {"id": 4}]},
            ],
        ),
        (
            {"select": "code,r:readings!inner(id)", "r.ppm": "gt.314", "r.order": "id.desc"},
            [{"code": "MLO", "r": [{"id": 2}, {"id": 1}]}],
        ),
        (
            {
                "select": "code,readings(id)",
                "readings.order": "id.desc",
                "readings.limit": "1",
                "readings.offset": "1",
            },
            [
                {"code": "CGO", "readings": []},
                {"code": "MLO", "readings": [{"id": 1}]},
                {"code": "SPO", "readings": [{"id": 3}]},
            ],
        ),
        (
            {"select": "code,readings(n:count(),top:ppm.max())", "code": "neq.CGO"},
            [
                {"code": "MLO", "readings": [{"n": 2, "top": 317.5}]},
                {"code": "SPO", "readings": [{"n": 2, "top": 314}]},
            ],
        ),
        (
            {"select": "code,...readings(ids:id)", "readings.order": "id"},
            [
                {"code": "CGO", "ids": []},
                {"code": "MLO", "ids": [1, 2]},
                {"code": "SPO", "ids": [3, 4]},
            ],
        ),
        (
            {"select": "code,readings()", "readings": "is.null"},
            [{"code": "CGO"}],
        ),
        (
            {"select": "code,readings(id)", "readings.or": "(id.eq.1,ppm.is.null)"},
            [
                {"code": "CGO", "readings": []},
                {"code": "MLO", "readings": [{"id": 1}]},
                {"code": "SPO", "readings": [{"id": 4}]},
            ],
        ),
        (
            {"select": "code,under:stations!stations_head_fkey(code)", "code": "eq.MLO"},
            [{"code": "MLO", "under": [{"code": "MLO"}, {"code": "SPO"}]}],
        ),
        (
            {"select": "code,above:head(code)", "code": "eq.SPO"},
            [{"code": "SPO", "above": {"code": "MLO"}}],
        ),
    ],
)
def test_related_rows_are_embedded(rest: Rest, query: dict[str, Any], items: list[Any]) -> None:
    # Given / When
    answer = rest("stations", **{"order": "code", **query})
    # Then
    assert answer.status == 200, answer.body
    assert answer.json == items


@pytest.mark.parametrize(
    ("query", "items"),
    [
        ({"select": "count()"}, [{"count": 5}]),
        ({"select": "ppm.sum(),n:ppm.count()"}, [{"sum": 1268, "n": 4}]),
        ({"select": "m:ppm.avg()::int"}, [{"m": 317}]),
        ({"select": "m:id::text.max()"}, [{"m": "5"}]),
        (
            {"select": "station,n:count()", "order": "station"},
            [
                {"station": "MLO", "n": 2},
                {"station": "SPO", "n": 2},
                {"station": None, "n": 1},
            ],
        ),
        (
            {"select": "station,n:id.max()", "order": "n.desc", "limit": "1"},
            [{"station": None, "n": 5}],
        ),
        (
            {"select": "city:doc->>city,count()", "order": "city.nullslast", "limit": "1"},
            [{"city": "Hilo", "count": 1}],
        ),
        (
            {"select": "n:count(),stations(code)", "order": "n.desc", "station": "eq.MLO"},
            [{"n": 2, "stations": {"code": "MLO"}}],
        ),
        ({"select": "count()", "id": "gt.9"}, [{"count": 0}]),
    ],
)
def test_aggregates(rest: Rest, query: dict[str, Any], items: list[Any]) -> None:
    # Given / When
    answer = rest("readings", **query)
    # Then
    assert answer.status == 200, answer.body
    assert answer.json == items


@pytest.mark.parametrize(
    ("headers", "query", "status", "shown", "count"),
    [
        ({}, {}, 200, "0-4/*", 5),
        ({}, {"limit": "2"}, 200, "0-1/*", 2),
        ({"Prefer": "count=exact"}, {"limit": "2"}, 206, "0-1/5", 2),
        ({"Prefer": "count=exact"}, {}, 200, "0-4/5", 5),
        ({"Prefer": "count=exact"}, {"offset": "5"}, 206, "*/5", 0),
        ({"Prefer": "count=estimated"}, {"id": "gt.3"}, 200, "0-1/2", 2),
        ({"Range": "1-2", "Range-Unit": "items"}, {}, 200, "1-2/*", 2),
        ({"Range": "3-"}, {}, 200, "3-4/*", 2),
        ({"Range": "1-2", "Prefer": "count=exact"}, {}, 206, "1-2/5", 2),
        ({"Range": "1-2"}, {"limit": "1"}, 200, "0-0/*", 1),
        ({"Prefer": "count=exact"}, {"select": "station,count()"}, 200, "0-2/3", 3),
    ],
)
def test_ranges_and_counts(
    rest: Rest, headers: dict[str, str], query: dict[str, Any], status: int, shown: str, count: int
) -> None:
    # Given / When
    got = rest("readings", headers, **query)
    head = rest.read("HEAD", "readings", headers, **query)
    # Then
    assert (got.status, got.headers["content-range"], len(got.json)) == (status, shown, count)
    assert (head.status, head.headers["content-range"], head.body) == (status, shown, "")


def test_a_planned_count_is_a_number(rest: Rest) -> None:
    # Given / When
    answer = rest("readings", {"Prefer": "count=planned"})
    # Then
    assert int(answer.headers["content-range"].partition("/")[2]) >= 0
    assert answer.headers["preference-applied"] == "count=planned"


def test_one_object(rest: Rest) -> None:
    # Given / When
    one = rest("stations", {"Accept": OBJECT}, code="eq.MLO")
    bare = rest("readings", {"Accept": f"{OBJECT};nulls=stripped"}, id="eq.3", select="id,label")
    none = rest("stations", {"Accept": OBJECT}, code="eq.X")
    three = rest("stations", {"Accept": OBJECT})
    # Then
    assert one.json == STATIONS[0]
    assert one.headers["content-type"] == f"{OBJECT}; charset=utf-8"
    assert bare.json == {"id": 3}
    assert (none.status, none.json["code"]) == (406, "PGRST116")
    assert none.json["details"] == "The result contains 0 rows"
    assert three.json["details"] == "The result contains 3 rows"


def test_csv(rest: Rest) -> None:
    # Given / When
    answer = rest("readings", {"Accept": "text/csv"}, order="id", select="id,label,stations(code)")
    # Then
    rows = list(csv.reader(io.StringIO(answer.body)))
    assert rows[:2] == [["id", "label", "stations"], ["1", "calm day", '{"code":"MLO"}']]
    assert rows[5] == ["5", "a,b(c)", ""]
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
