"""Places as texts: what WKT says as GeoJSON, and what is wrong with what is none."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.lake.geo import read_finding
from datapunk.lake.geometry import MOST_POSITIONS, GeoKind, GeoRules, geometry_of, read_geometry


@pytest.mark.parametrize(
    ("text", "kind", "coordinates"),
    [
        ("POINT(4.9 52.4)", "Point", [4.9, 52.4]),
        ("srid=4326;Point ( -1e1\t+2 )".replace("+", ""), "Point", [-10, 2]),
        ("MULTIPOINT(1 2,3 4)", "MultiPoint", [[1, 2], [3, 4]]),
        ("MULTIPOINT((1 2),(3 4))", "MultiPoint", [[1, 2], [3, 4]]),
        ("LINESTRING(1 2, 3 4)", "LineString", [[1, 2], [3, 4]]),
        ("MULTILINESTRING((1 2,3 4))", "MultiLineString", [[[1, 2], [3, 4]]]),
        ("POLYGON((0 0,1 0,1 1,0 0))", "Polygon", [[[0, 0], [1, 0], [1, 1], [0, 0]]]),
        ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)))", "MultiPolygon", [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]),
        ('{"type":"Point","coordinates":[1,2]}', "Point", [1, 2]),
    ],
)
def test_a_text_is_a_geometry(text: str, kind: str, coordinates: Any) -> None:
    assert read_geometry(text) == {"type": kind, "coordinates": coordinates}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be GeoJSON"),
        ("POINT", "must be GeoJSON"),
        ("POINT EMPTY", "neither Z nor EMPTY"),
        ("POINT Z(1 2 3)", "neither Z nor EMPTY"),
        ("POINT(1 2 3)", "not well-formed"),
        ("POINT(1,2)", "two numbers"),
        ("POINT((1 2))", "two numbers"),
        ("POINT(1 2,3 4)", "two numbers"),
        ("POINT(1 2", "must be GeoJSON"),
        ("POINT(1 2))", "not well-formed"),
        ("POINT(1 1e400)", "latitude"),
        ("SRID=3857;POINT(1 2)", "must be GeoJSON"),
        ("LINESTRING(1 2)", "two positions"),
        ("LINESTRING(1 2,1 2)", "which differ"),
        ("POLYGON((0 0,1 0,0 0))", "four positions"),
        ("POLYGON((0 0,1 0,1 1,0 1))", "is closed"),
        ("{", "not valid JSON"),
        ("{}", "type must be one of"),
        ('{"type":"Point","coordinates":[NaN,2]}', "not valid JSON"),
        (f"POINT({'1' * 1_000_000} 2)", "characters"),
    ],
)
def test_what_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_geometry(text)


def test_a_geometry_has_so_many_positions_at_most() -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], *[[1, 1]] * (MOST_POSITIONS - 1)]}
    assert geometry_of(line) == line
    rings = [[[0, 0], [1, 0], [1, 1], [0, 0]]] * (MOST_POSITIONS // 4 + 1)
    for many in (
        {"type": "LineString", "coordinates": [*line["coordinates"], [2, 2]]},
        {"type": "Polygon", "coordinates": rings},
    ):
        with pytest.raises(ValueError, match="10,000 positions"):
            geometry_of(many)


def test_a_column_holds_its_kind() -> None:
    point = {"type": "Point", "coordinates": [1, 2]}
    assert GeoRules().check(point) == GeoRules(kind=GeoKind.POINT).check(point) == point
    with pytest.raises(ValueError, match="must be a Polygon, not a Point"):
        GeoRules(kind=GeoKind.POLYGON).check(point)


def test_a_box_over_the_antimeridian_is_two() -> None:
    assert read_finding("bbox", "(170,-30,-170,0)").count("[[[") == 2
    assert read_finding("bbox", "( 170 , -30, 180,0)").count("180") == 2
    assert read_finding("bbox", "(180,-30,-170,0)").count("-180") == 3
    assert read_finding("dwithin", "(1e0,2.5,0)") == (1, 2.5, 0)
