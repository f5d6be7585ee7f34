"""Columns of places declared, changed, masked; and what is said where the database has no PostGIS."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.support.invoking import Answer, Invoker
from tests.support.places import (
    DEFINITION,
    NEAR_AMSTERDAM,
    PATH,
    ROWS,
    UTRECHT,
    both,
    fill_towns,
    insert,
    point,
    query,
    square,
)
from tests.support.rest import Rest

pytestmark = pytest.mark.usefixtures("no_broker")
GEOJSON = {"Accept": "application/geo+json"}


@pytest.fixture
def towns(geo_database: str, invoke: Invoker) -> str:
    """Make the dataset with its rows; return the database's URL."""
    fill_towns(invoke)
    return geo_database


def test_a_place_is_masked_whole(geo_database: str, invoke: Invoker) -> None:
    # Given
    masked = json.loads(json.dumps(DEFINITION))
    masked["columns"][2] |= {"sensitivity": "personal", "masking": {"roles": {"admin": "full"}}}
    assert invoke("lake.create_dataset", body=masked).status == 201
    assert insert(invoke, ROWS).status == 201
    # Then
    rest = Rest()
    assert [row["place"] for row in rest("towns").json] == [None] * len(ROWS)
    assert [row["place"] for row in query(invoke).json["items"]] == [None] * len(ROWS)
    features = rest("towns", GEOJSON, select="id,place").json["features"]
    assert [feature["geometry"] for feature in features] == [None] * len(ROWS)
    assert query(invoke, place=NEAR_AMSTERDAM).status == 422
    assert rest("towns", place=NEAR_AMSTERDAM).status == 400
    assert rest("towns", select="place->coordinates").status == 400
    masked["columns"][2]["masking"] = {"others": "partial"}
    assert invoke("lake.create_dataset", body={**masked, "name": "partly"}).status == 422
    masked["columns"][2] |= {"masking": None, "protection": "encrypted"}
    answer = invoke("lake.create_dataset", body={**masked, "name": "sealed"})
    assert (answer.status, "mask it" in answer.body) == (422, True)


def test_columns_of_places_come_and_go(towns: str, invoke: Invoker) -> None:
    def change(*changes: dict[str, Any]) -> Answer:
        return invoke("lake.change_dataset", path=PATH, body={"changes": list(changes)})

    area = {"name": "area", "type": "geo", "geo": {"kind": "Polygon"}}
    assert change({"op": "add_column", "column": area}).status == 200
    rest = Rest()
    assert rest.patch("towns", {"area": square(4, 52)}, id="eq.1").status == 200
    assert change({"op": "rename_column", "column": "area", "name": "region"}).status == 200
    assert both(invoke, area="intersects.POINT(4.5 52.5)") == [1]
    assert both(invoke, region="bbox.(4,52,4.1,52.1)") == [1]
    assert len(_indexes(towns, "region")) == 2
    assert change({"op": "widen_column", "column": "region", "type": "json"}).status == 422
    old = {"op": "deprecate_column", "column": "region", "reason": "extent says it"}
    assert change(old).status == 200
    dropped = change({"op": "drop_column", "column": "region"})
    assert dropped.status == 200, dropped.body
    assert _indexes(towns, "region") == []
    assert rest("towns", region="is.null").status == 400


def _indexes(database: str, column: str) -> list[str]:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'lake_data' AND indexdef LIKE %s",
            (f"%gist%{column}%",),
        )
        return [row[0] for row in rows]


def test_a_declaration_by_schema_has_places(geo_database: str, invoke: Invoker) -> None:
    # Given
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "place": {"type": "object", "x-geo": {"kind": "Point"}},
        },
    }
    # When
    answer = invoke("lake.create_dataset", body={"name": "sites", "json_schema": schema})
    # Then
    assert answer.status == 201
    assert answer.json["columns"][1]["geo"] == {"kind": "Point"}


SENSELESS: list[dict[str, Any]] = [
    {"key": ["place"]},
    {"indexes": [["place"]]},
    {"unique": [["place"]]},
    {"columns": [{"name": "id", "type": "integer", "geo": {}}]},
    {"columns": [{"name": "id", "type": "geo"}]},
    {"columns": [{"name": "id", "type": "geo", "geo": {"kind": "Cube"}}]},
    {"columns": [{"name": "id", "type": "geo", "geo": {}, "default": point(UTRECHT)}]},
    {"columns": [{"name": "id", "type": "geo", "geo": {}, "checks": {"minimum": 1}}]},
]


def test_declarations_without_sense_are_refused(geo_database: str, invoke: Invoker) -> None:
    for change in SENSELESS:
        body = {**DEFINITION, **({"key": []} if "columns" in change else {}), **change}
        assert invoke("lake.create_dataset", body=body).status == 422, change


def test_without_postgis_there_is_an_answer_that_says_what_to_do(
    database: str, invoke: Invoker
) -> None:
    # When
    refused = invoke("lake.create_dataset", body=DEFINITION)
    # Then
    assert (refused.status, refused.json["code"]) == (501, "not_available")
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert "DATAPUNK_POSTGIS=1" in refused.json["detail"]
    assert "Postgis=true" in refused.json["detail"]
    # Given
    plain = {**DEFINITION, "columns": DEFINITION["columns"][:2]}
    assert invoke("lake.create_dataset", body=plain).status == 201
    # When
    column = {"name": "place", "type": "geo", "geo": {}}
    body = {"changes": [{"op": "add_column", "column": column}]}
    added = invoke("lake.change_dataset", path=PATH, body=body)
    features = Rest()("towns", GEOJSON)
    # Then
    assert added.status == 501
    assert (features.status, features.json["code"]) == (501, "0A000")
    assert "DATAPUNK_POSTGIS=1" in features.json["message"]
