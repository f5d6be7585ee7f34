"""A dataset of places, and places on a map that anybody can check."""

from __future__ import annotations

from typing import Any

from tests.support.invoking import Answer, Invoker
from tests.support.rest import Rest

AMSTERDAM, UTRECHT, PARIS = [4.9041, 52.3676], [5.1214, 52.0907], [2.3522, 48.8566]
FIJI, SAMOA = [178.4419, -18.1416], [-172.1046, -13.759]
DEFINITION: dict[str, Any] = {
    "name": "towns",
    "columns": [
        {"name": "id", "type": "integer"},
        {"name": "name", "type": "text", "full_text": "simple"},
        {"name": "place", "type": "geo", "geo": {"kind": "Point"}},
        {"name": "extent", "type": "geo", "geo": {}},
    ],
    "key": ["id"],
}
PATH = {"dataset": "towns"}
NEAR_AMSTERDAM = "dwithin.(4.9,52.37,1000)"


def point(position: list[float]) -> dict[str, Any]:
    return {"type": "Point", "coordinates": position}


def square(west: float, south: float, size: float = 1) -> dict[str, Any]:
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": "Amsterdam", "place": point(AMSTERDAM), "extent": square(4, 52)},
    {"id": 2, "name": "Utrecht", "place": point(UTRECHT), "extent": square(5, 52)},
    {"id": 3, "name": "Paris", "place": point(PARIS), "extent": None},
    {"id": 4, "name": "Suva", "place": point(FIJI), "extent": point(FIJI)},
    {"id": 5, "name": "Apia", "place": point(SAMOA), "extent": None},
    {"id": 6, "name": "nowhere", "place": None, "extent": None},
]


def insert(invoke: Invoker, body: Any, media_type: str = "application/json") -> Answer:
    return invoke("lake.insert_records", path=PATH, body=body, content_type=media_type)


def fill_towns(invoke: Invoker) -> None:
    """Create the dataset with its rows."""
    answer = invoke("lake.create_dataset", body=DEFINITION)
    assert answer.status == 201, answer.body
    answer = insert(invoke, ROWS)
    assert answer.status == 201, answer.body


def query(invoke: Invoker, **wanted: str) -> Answer:
    return invoke("lake.query_records", path=PATH, query={"limit": "1000", **wanted})


def ids(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body
    found = answer.json["items"] if isinstance(answer.json, dict) else answer.json
    return sorted(row["id"] for row in found)


def both(invoke: Invoker, **filters: Any) -> list[int]:
    """Return the ids that a filter finds, after both dialects found the same."""
    ours, theirs = ids(query(invoke, **filters)), ids(Rest()("towns", **filters))
    assert ours == theirs
    return ours
