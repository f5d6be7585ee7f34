"""Places in files and functions: exports have them as GeoJSON, uploads take them, functions find them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from tests.support.invoking import Invoker
from tests.support.places import DEFINITION, PATH, ROWS, fill_towns, query
from tests.support.rest import Rest
from tests.support.uploading import Uploads

pytestmark = pytest.mark.usefixtures("no_broker")


def _read(form: str, content: bytes) -> list[dict[str, Any]]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    if form == "ndjson":
        return [json.loads(line) for line in content.splitlines()]
    if form == "parquet":
        return list(pq.read_table(pa.BufferReader(content)).to_pylist())
    return list(pa.ipc.open_file(pa.BufferReader(content)).read_all().to_pylist())


def _place(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value else value or None


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "arrow"])
def test_a_file_has_places_as_geojson(
    geo_database: str, bucket: str, invoke: Invoker, form: str
) -> None:
    # Given
    fill_towns(invoke)
    # When
    answer = invoke("lake.export_records", path=PATH, body={"format": form, "order": "id"})
    # Then
    assert answer.status == 201, answer.body
    rows = _read(form, requests.get(answer.json["url"], timeout=10).content)
    assert [(_place(row["place"]), _place(row["extent"])) for row in rows] == [
        (row["place"], row["extent"]) for row in ROWS
    ]


def test_a_file_with_places_is_uploaded(geo_database: str, bucket: str, invoke: Invoker) -> None:
    # Given
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    written = io.BytesIO()
    places = [json.dumps(row["place"]) if row["place"] else None for row in ROWS]
    table = pa.table({"id": [row["id"] for row in ROWS] + [7], "place": [*places, "POINT(999 0)"]})
    pq.write_table(table, written)
    files = Uploads(invoke, bucket)
    # When
    job = files.put("towns", written.getvalue(), media_type="application/vnd.apache.parquet")
    # Then the one that is on no map is kept aside
    assert files.load(job) == "done"
    told = files.job(job)
    assert (told["inserted"], told["quarantined"]) == (6, 1)
    found = query(invoke, order="id").json["items"]
    assert [row["place"] for row in found] == [row["place"] for row in ROWS]


def test_a_function_finds_places(geo_database: str, invoke: Invoker) -> None:
    # Given
    fill_towns(invoke)
    body: dict[str, Any] = {
        "dataset": "towns",
        "query": {"place": "bbox.(4,52,6,53)", "order": "id"},
    }
    # When
    made = invoke("lake.put_function", path={"function": "near"}, body=body)
    # Then
    assert made.status == 200, made.body
    rest = Rest()
    assert [row["id"] for row in rest.rpc("near").json] == [1, 2]
    assert rest.rpc("near", select="place", id="eq.2").json == [{"place": ROWS[1]["place"]}]
    # When a place is to be an argument
    body |= {"parameters": [{"name": "area", "type": "text"}], "query": {"place": "within.{area}"}}
    refused = invoke("lake.put_function", path={"function": "inside"}, body=body)
    # Then
    assert refused.status == 422
    assert "area is text, and it is compared with geo" in refused.json["detail"]
