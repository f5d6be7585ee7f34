"""Columns of places where the database has PostGIS: declared, written, answered and found on every path."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import forget_connections
from tests.support.invoking import Invoker
from tests.support.places import (
    AMSTERDAM,
    DEFINITION,
    FIJI,
    NEAR_AMSTERDAM,
    PARIS,
    PATH,
    ROWS,
    both,
    fill_towns,
    ids,
    insert,
    point,
    query,
    square,
)
from tests.support.rest import Rest
from tests.support.services import eventually

pytestmark = pytest.mark.usefixtures("no_broker")
GEOJSON = {"Accept": "application/geo+json"}


@pytest.fixture
def towns(geo_database: str, invoke: Invoker) -> str:
    """Make the dataset with its rows; return the database's URL."""
    fill_towns(invoke)
    return geo_database


def test_places_are_written_and_answered_on_every_path(geo_database: str, invoke: Invoker) -> None:
    # Given
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    # When
    assert insert(invoke, ROWS[:1]).status == 201
    assert insert(invoke, json.dumps(ROWS[1]) + "\n", "application/x-ndjson").status == 201
    text = json.dumps(ROWS[2]["place"]).replace('"', '""')
    assert insert(invoke, f'id,name,place,extent\n3,Paris,"{text}",\n', "text/csv").status == 201
    assert insert(invoke, "id,place\n7,POINT(4.9041 52.3676)\n8,\n", "text/csv").status == 201
    wkt = 'id;extent\n9;"SRID=4326;polygon((0 0,1 0,1 1,0 1,0 0))"\n10;MULTIPOINT(1 2, (3 4))\n'
    assert insert(invoke, wkt, "text/csv").status == 201
    rest = Rest()
    answer = rest.post("towns", [{**ROWS[3], "place": "POINT(178.4419 -18.1416)"}])
    assert (answer.status, answer.json[0]["place"]) == (201, ROWS[3]["place"])
    csv = {"Content-Type": "text/csv"}
    assert rest.write("POST", "towns", "id,place\n11,POINT(1 2)\n", headers=csv).status == 201
    answer = rest.patch("towns", {"place": point([7.5, -7])}, id="eq.11")
    assert (answer.status, answer.json[0]["place"]) == (200, point([7.5, -7]))
    # Then
    expected = {
        **{row["id"]: (row["place"], row["extent"]) for row in ROWS[:4]},
        7: (point(AMSTERDAM), None),
        8: (None, None),
        9: (None, square(0, 0)),
        10: (None, {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}),
        11: (point([7.5, -7]), None),
    }
    for items in (query(invoke, order="id").json["items"], rest("towns", order="id").json):
        assert {row["id"]: (row["place"], row["extent"]) for row in items} == expected
    assert rest("towns", select="lon:place->coordinates->0", id="eq.7").json == [{"lon": 4.9041}]
    groups = rest("towns", select="place,count()", id="in.(1,7)").json
    assert groups == [{"place": point(AMSTERDAM), "count": 2}]
    # And what was answered as CSV can be written again
    texts = invoke(
        "lake.query_records", path=PATH, query={"order": "id"}, headers={"Accept": "text/csv"}
    )
    assert invoke("lake.delete_dataset", path=PATH).status == 204
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    assert insert(invoke, texts.body, "text/csv").status == 201
    again = query(invoke, order="id").json["items"]
    assert {row["id"]: (row["place"], row["extent"]) for row in again} == expected


def test_filters_find_places_in_both_dialects(towns: str, invoke: Invoker) -> None:
    holland = json.dumps(square(4, 52, 2))
    assert both(invoke, place=f"within.{holland}") == [1, 2]
    assert both(invoke, place="within.POLYGON((4 52,6 52,6 54,4 54,4 52))") == [1, 2]
    assert both(invoke, extent=f"within.{holland}") == [1, 2]
    assert both(invoke, extent="intersects.POINT(4.5 52.5)") == [1]
    assert both(invoke, extent="intersects.LINESTRING(4.5 52.5,5.5 52.5)") == [1, 2]
    assert both(invoke, place=NEAR_AMSTERDAM) == [1]
    assert both(invoke, place="dwithin.(4.9,52.37,40000)") == [1, 2]
    assert both(invoke, place="dwithin.(4.9,52.37,20100000)") == [1, 2, 3, 4, 5]
    assert both(invoke, place="bbox.(2,48,5,53)") == [1, 3]
    # What lies on the boundary is inside
    assert both(invoke, place="bbox.(4.9041,52.3676,5,53)") == [1]
    # West of the antimeridian and east of it, in one box and within one distance
    assert both(invoke, place="bbox.(170,-30,-170,0)") == [4, 5]
    assert both(invoke, place="dwithin.(-179.9,-17,300000)") == [4]
    assert both(invoke, place="is.null") == [6]
    # A polygon that crosses itself encloses two triangles
    assert both(invoke, place="within.POLYGON((2 48,3 50,3 48,2 50,2 48))") == [3]
    rest = Rest()
    some: dict[str, Any] = {
        "or": f'(place.{NEAR_AMSTERDAM},place.within."POLYGON((2 48,3 48,3 49,2 49,2 48))")'
    }
    assert ids(rest("towns", **some)) == [1, 3]
    assert ids(rest("towns", place=f"not.{NEAR_AMSTERDAM}")) == [2, 3, 4, 5]
    assert rest.delete("towns", place=NEAR_AMSTERDAM).json[0]["name"] == "Amsterdam"


UNFIT: list[dict[str, Any]] = [
    {"place": "eq.POINT(1 2)"},
    {"place": "in.(POINT(1 2))"},
    {"place": "within.POINT(1 2)"},
    {"place": "within.POLYGON((0 0,1 0,1 1,0 0.1))"},
    {"place": "within.{}"},
    {"place": 'within.{"type":"Polygon"}'},
    {"place": "intersects.POINT(1 2 3)"},
    {"place": "intersects.POINT(181 2)"},
    {"place": "intersects. POINT(1 2)"},
    {"place": "intersects.SRID=3857;POINT(1 2)"},
    {"place": "dwithin.(1,2)"},
    {"place": "dwithin.(1,2,-1)"},
    {"place": "dwithin.(1,2,1e9)"},
    {"place": "dwithin.(1,2,3"},
    {"place": "bbox.(1,2,1,3)"},
    {"place": "bbox.(1,3,2,2)"},
    {"place": "bbox.(1,2,3,nan)"},
    {"place": "gt.1"},
    {"name": "within.POLYGON((0 0,1 0,1 1,0 0))"},
    {"order": "place"},
    {"select": "place.max()"},
    {"select": "place.sum()"},
]


def test_what_places_cannot_do_is_refused(towns: str, invoke: Invoker) -> None:
    for filters in UNFIT:
        ours, theirs = query(invoke, **filters), Rest()("towns", **filters)
        assert (ours.status, theirs.status) == (422, 400), (ours.body, theirs.body)
        assert set(ours.fields) == set(filters)
        assert theirs.json["code"] in ("22P02", "42883")
        assert theirs.json["message"]


NO_POINTS: list[tuple[Any, str]] = [
    ({"type": "Point", "coordinates": [1]}, "two numbers"),
    ({"type": "Point", "coordinates": [1, 2, 3]}, "altitudes are not kept"),
    ({"type": "Point", "coordinates": [True, 2]}, "two numbers"),
    ({"type": "Point", "coordinates": [52.1, 181.5]}, "latitude, which comes second"),
    ({"type": "Point", "coordinates": [181, 2]}, "longitude, which comes first"),
    ({"type": "Point", "coordinates": [1, 2], "crs": {}}, "no other member"),
    ({"type": "point", "coordinates": [1, 2]}, "type must be one of"),
    ({"type": ["Point"], "coordinates": [1, 2]}, "type must be one of"),
    ({"type": "GeometryCollection", "geometries": []}, "rows of their own"),
    (square(0, 0), "must be a Point, not a Polygon"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "closed"),
    ("POINT(1)", "two numbers"),
    ("nowhere", "must be GeoJSON"),
    (7, "should be an object"),
]


def test_what_is_no_such_place_is_refused_by_row(towns: str, invoke: Invoker) -> None:
    for value, said in NO_POINTS:
        answer = insert(invoke, [{"id": 20, "place": point(PARIS)}, {"id": 21, "place": value}])
        assert answer.status == 422
        assert answer.json["errors"][0]["field"] == "records.1.place"
        assert said in answer.json["errors"][0]["message"]
        body = json.dumps(value).replace('"', '""')
        answer = insert(invoke, f'id,place\n20,POINT(1 2)\n21,"{body}"\n', "text/csv")
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "records.1.place")
        answer = Rest().post("towns", [{"id": 21, "place": value}])
        assert (answer.status, answer.json["code"]) == (400, "22P02")
    assert both(invoke, id="gte.20") == []


def test_a_polygon_that_crosses_itself_is_refused_or_kept_aside(
    towns: str, invoke: Invoker
) -> None:
    # Given
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    rows = [{"id": 20, "extent": square(0, 0)}, {"id": 21, "extent": bow}]
    # When
    refused = insert(invoke, rows)
    sifted = invoke(
        "lake.insert_records",
        path=PATH,
        body=rows,
        content_type="application/json",
        query={"on_error": "quarantine"},
    )
    # Then
    assert refused.status == 422
    assert refused.json["errors"][0]["field"].endswith("extent")
    assert (sifted.status, sifted.json["inserted"], sifted.json["quarantined"]) == (201, 1, 1)
    assert Rest().patch("towns", {"extent": bow}, id="eq.1").status == 400


def test_features_are_answered_and_written(towns: str) -> None:
    # Given
    rest = Rest()
    # When
    answer = rest("towns", GEOJSON, select="id,name,place,extent", order="id", limit="2")
    # Then
    assert answer.headers["content-type"].startswith("application/geo+json")
    assert answer.json == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": row["place"],
                "properties": {key: row[key] for key in ("id", "name", "extent")},
            }
            for row in ROWS[:2]
        ],
    }
    assert rest("towns", GEOJSON, select="extent", id="eq.6").json["features"] == [
        {"type": "Feature", "geometry": None, "properties": {}}
    ]
    assert rest("towns", GEOJSON, id="eq.99").json["features"] == []
    nowhere = rest("towns", GEOJSON, select="id,place->type")
    assert (nowhere.status, nowhere.json["code"]) == (400, "22023")
    # And what was answered can be written again
    features = rest("towns", GEOJSON, select="id,name,place", order="id").json
    everything = rest.delete("towns", id="not.is.null").json
    sent = {"Content-Type": "application/geo+json", **GEOJSON}
    written = rest.write("POST", "towns", features, headers=sent, select="id,name,place")
    assert (written.status, written.json) == (201, features)
    assert len(rest("towns").json) == len(everything)
    one = {"type": "Feature", "geometry": point(FIJI), "properties": {"id": 30}}
    assert rest.write("POST", "towns", one, headers=sent).status == 201
    refused: list[Any] = [
        point(FIJI),
        {**one, "id": 31},
        {**one, "properties": []},
        {**one, "properties": {"id": 31, "place": None}},
        {**one, "properties": {"id": 31, "colour": 1}},
        {"type": "FeatureCollection", "features": {}},
        {"type": "FeatureCollection", "features": [1]},
        {**one, "geometry": square(0, 0)},
        [],
        "{",
    ]
    for wrong in refused:
        answer = rest.write("POST", "towns", wrong, headers=sent)
        assert (answer.status, bool(answer.json["message"])) == (400, True), wrong


def test_a_search_shows_places_and_is_filtered_by_them(towns: str, invoke: Invoker) -> None:
    # Given
    body = {"queries": [{"text": "amsterdam or paris"}], "select": "id,place"}
    # When
    everywhere = invoke("lake.search_records", path=PATH, body=body)
    near = {"place": NEAR_AMSTERDAM}
    here = invoke("lake.search_records", path=PATH, body={**body, "filters": near})
    # Then
    assert everywhere.status == here.status == 200, here.body
    hits = [answer.json["results"][0]["items"] for answer in (everywhere, here)]
    assert sorted(hit["record"]["id"] for hit in hits[0]) == [1, 3]
    assert [hit["record"] for hit in hits[1]] == [{"id": 1, "place": point(AMSTERDAM)}]


def test_the_indexes_serve(towns: str, invoke: Invoker) -> None:
    # Given: so many rows that looking at each would be slower
    with psycopg.connect(towns) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', 'public', true)")
        found = connection.execute("SELECT table_name FROM lake.datasets").fetchone()
        assert found is not None
        table = sql.Identifier("lake_data", found[0])
        connection.execute("SET LOCAL ROLE lake_owner")
        fill = (
            "INSERT INTO {} (id, place) SELECT n + 100, ST_SetSRID(ST_MakePoint("
            "n %% 360 - 180, n / 360 %% 180 - 90), 4326) FROM generate_series(1, 20000) AS n"
        )
        connection.execute(sql.SQL(fill).format(table), ())
        connection.execute(sql.SQL("ANALYZE {}").format(table))
    for filters in ({"place": NEAR_AMSTERDAM}, {"place": "bbox.(4.8,52.3,4.95,52.4)"}):
        # When
        before = _scans(towns)
        assert both(invoke, **filters) == [1]
        # Then: a connection tells of its scans when it ends
        forget_connections()
        assert eventually(partial(_scans, towns, above=before))


def _scans(database: str, *, above: int = -1) -> int:
    """Return how often indexes over places were asked, 0 unless that is more than `above`."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(pg_stat_get_numscans(indexrelid)), 0) FROM pg_stat_all_indexes "
            "JOIN pg_indexes ON indexname = indexrelname "
            "WHERE pg_indexes.schemaname = 'lake_data' AND indexdef LIKE '%gist%'"
        ).fetchone()
    assert row is not None
    return int(row[0]) if row[0] > above else 0
