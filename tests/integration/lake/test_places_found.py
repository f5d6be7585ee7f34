"""What filters find among random places, against the same said in Python; and places of any text or JSON."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from datapunk.lake.geometry import geometry_of, read_geometry
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.invoking import Answer, Invoker
from tests.support.places import DEFINITION, insert, point
from tests.support.rest import Rest

pytestmark = pytest.mark.usefixtures("no_broker")
RADIUS = 6_371_008.8
"""Mean radius of the earth in metres; distances on the sphere differ from the spheroid's by 0.6 % at most."""
TOLERANCE = 0.01
Position = tuple[float, float]


def _degrees(most: int) -> st.SearchStrategy[float]:
    """Return hundredths: so few that places coincide, and lie on boundaries."""
    return st.integers(-most * 100, most * 100).map(lambda n: n / 100)


POSITIONS = st.tuples(_degrees(180), _degrees(90))
NEIGHBOURS = st.tuples(_degrees(2), _degrees(2))
"""In a small part of the map, so that many are found."""
BOXES = st.tuples(NEIGHBOURS, NEIGHBOURS).filter(lambda pair: pair[0] < pair[1])


@pytest.fixture
def towns(geo_database: str, invoke: Invoker) -> Rest:
    """Make the dataset, without rows."""
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    return Rest()


def _fill(rest: Rest, rows: list[dict[str, Any]]) -> None:
    rest.delete("towns", "return=minimal", id="gte.0")
    numbered = [{"id": place, **row} for place, row in enumerate(rows)]
    assert rest.post("towns", numbered, "return=minimal").status == 201


def _found(rest: Rest, **filters: str) -> set[int]:
    answer = rest("towns", select="id", **dict[str, Any](filters))
    assert answer.status == 200, answer.body
    return {row["id"] for row in answer.json}


def _metres(one: Position, other: Position) -> float:
    """Return the distance on a sphere (haversine)."""
    (lon1, lat1), (lon2, lat2) = (tuple(map(math.radians, place)) for place in (one, other))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * RADIUS * math.asin(min(1.0, math.sqrt(half)))


@settings(max_examples=40)
@given(
    places=st.lists(POSITIONS | NEIGHBOURS, min_size=1, max_size=30),
    centre=POSITIONS | NEIGHBOURS,
    metres=st.floats(0, 400_000) | st.floats(0, 20_000_000),
)
def test_dwithin_finds_what_is_near(
    towns: Rest, places: list[Position], centre: Position, metres: float
) -> None:
    # Given
    _fill(towns, [{"place": point(list(place))} for place in places])
    metres = round(metres, 3)
    # When
    found = _found(towns, place=f"dwithin.({centre[0]},{centre[1]},{metres})")
    # Then
    for place, position in enumerate(places):
        distance = _metres(centre, position)
        if distance <= metres * (1 - TOLERANCE):
            assert place in found
        elif distance > metres * (1 + TOLERANCE):
            assert place not in found


@settings(max_examples=40)
@given(
    places=st.lists(POSITIONS | NEIGHBOURS, min_size=1, max_size=30),
    corners=st.tuples(POSITIONS | NEIGHBOURS, POSITIONS | NEIGHBOURS),
)
def test_bbox_finds_what_is_in_the_box(
    towns: Rest, places: list[Position], corners: tuple[Position, Position]
) -> None:
    # Given
    (west, one), (east, other) = corners
    south, north = sorted((one, other))
    _fill(towns, [{"place": point(list(place))} for place in places])
    # When
    answer = towns("towns", select="id", place=f"bbox.({west},{south},{east},{north})")
    # Then
    if south == north or west == east:
        assert answer.status == 400
        return

    def holds(longitude: float, latitude: float) -> bool:
        across = west <= longitude <= east
        if west > east:
            across = longitude >= west or longitude <= east
        return across and south <= latitude <= north

    expected = {place for place, position in enumerate(places) if holds(*position)}
    assert {row["id"] for row in answer.json} == expected


@settings(max_examples=40)
@given(
    places=st.lists(NEIGHBOURS, min_size=1, max_size=30),
    corners=st.lists(NEIGHBOURS, min_size=3, max_size=3, unique=True),
)
def test_within_finds_what_is_in_a_triangle(
    towns: Rest, places: list[Position], corners: list[Position]
) -> None:
    # Given
    _fill(towns, [{"place": point(list(place))} for place in places])
    ring = [list(corner) for corner in [*corners, corners[0]]]
    area = json.dumps({"type": "Polygon", "coordinates": [ring]})

    def side(one: Position, other: Position, place: Position) -> int:
        (ax, ay), (bx, by), (px, py) = (
            tuple(map(Fraction, map(str, item))) for item in (one, other, place)
        )
        turn = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
        return (turn > 0) - (turn < 0)

    # When
    found = _found(towns, place=f"within.{area}")
    # Then
    if side(*corners) == 0:
        assert not found  # no area
        return
    pairs = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    for number, position in enumerate(places):
        sides = [side(one, other, position) for one, other in pairs]
        if 0 in sides and not (1 in sides and -1 in sides):
            continue  # on an edge, where doubles decide
        assert (number in found) == (len(set(sides)) == 1)


# -- any text, any JSON ----------------------------------------------------------------------------

NUMBERS = st.sampled_from(
    ["0", "1", "-0", "4.9", "-180", "180", "181", "1e1", "1E-3", "1e999", ".5", "5.", "+1", "nan"]
)
WORDS = st.sampled_from(
    [
        *("POINT", "point", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTIPOLYGON", "EMPTY", "Z"),
        *("MULTILINESTRING", "GEOMETRYCOLLECTION", "CURVEPOLYGON", "SRID=4326;", "SRID=0;", ","),
        *("(", ")", "((", "))", "(0 0,1 0,1 1,0 0)", "(1 2)", " ", "\n", "1 2", "\x00", "{", "NaN"),
    ]
)
PAIRS = st.tuples(NUMBERS, NUMBERS).map(" ".join)
WKT = st.lists(WORDS | NUMBERS | PAIRS, max_size=8).map("".join) | st.builds(
    "{}{}({})".format,
    st.sampled_from(["", "SRID=4326;"]),
    st.sampled_from(
        ["POINT", "MULTIPOINT ", "LineString", "POLYGON(", "MULTIPOINT(", "MULTIPOLYGON(("]
    ),
    st.lists(PAIRS | PAIRS.map("({})".format), min_size=1, max_size=4).map(",".join),
)
LEAVES = st.none() | st.booleans() | st.integers(-200, 200) | st.floats() | st.text(max_size=3)
COORDINATES = st.recursive(
    LEAVES | st.tuples(_degrees(181), _degrees(91)).map(list),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
TYPES = st.sampled_from(
    ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "Feature"]
)
GEOMETRIES = (
    st.fixed_dictionaries(
        {"type": TYPES | LEAVES, "coordinates": COORDINATES},
        optional={"crs": LEAVES, "bbox": COORDINATES},
    )
    | COORDINATES
)
RINGS = st.lists(POSITIONS.map(list), min_size=2, max_size=5).map(lambda ring: [*ring, ring[0]])
SOUND = (
    st.builds(lambda ring: {"type": "Polygon", "coordinates": [ring]}, RINGS)
    | st.builds(lambda ring: {"type": "LineString", "coordinates": ring}, RINGS)
    | st.builds(lambda ring: {"type": "MultiPolygon", "coordinates": [[ring]]}, RINGS)
    | POSITIONS.map(list).map(point)
)


@settings(max_examples=200)
@given(text=WKT | GEOMETRIES.map(json.dumps) | SOUND.map(json.dumps))
@example(text="POINT(1 2 )")
@example(text="POINT\n( 1\t2)")
@example(text="MULTIPOINT(1 2,(3 4))")
@example(text="POLYGON((0 0,1 0,1 1,0 0))")
@example(text='{"type":"Point","type":"Point","coordinates":[1,2]}')
@example(text='{"\\u0074ype":"Point","coordinates":[1e0,2]}  ')
@example(text="SRID=4326;  POINT(1 2)")
def test_what_is_read_is_the_same_to_postgis(geo_database: str, text: str) -> None:
    try:
        found = read_geometry(text)
    except ValueError as error:
        assert 0 < len(str(error)) < 300
        return
    with psycopg.connect(geo_database) as connection:
        query = "SELECT ST_AsGeoJSON(%s::text::geometry(Geometry, 4326), 15)::jsonb"
        row = connection.execute(query, (text,)).fetchone()
    assert row is not None
    assert row[0] == found
    assert geometry_of(row[0]) == found


def _calm(answer: Answer) -> None:
    # 429 would say nothing of the place.
    assert answer.status < 429, answer.body
    if answer.status >= 400:
        for word in ("SELECT", "st_", "ST_", "postgis", "GEOS", "parse error", "geometry_in"):
            assert word not in answer.body


@settings(max_examples=60)
@given(value=GEOMETRIES | SOUND, text=WKT | st.text(max_size=10))
def test_whatever_is_sent_as_a_place_is_answered_calmly(
    towns: Rest, invoke: Invoker, value: Any, text: str
) -> None:
    # Given
    written = json.dumps(value)
    quoted = written.replace('"', '""')
    plain = text.replace('"', '""')
    features = {"Content-Type": "application/geo+json"}
    feature = {"type": "Feature", "properties": {"id": 3}, "geometry": value}
    # When / Then
    for body in (f'[{{"id": 1, "extent": {written}}}]', f'[{{"id": 1, "place": {written}}}]'):
        _calm(insert(invoke, body))
    _calm(insert(invoke, f'id,extent\n1,"{quoted}"\n2,"{plain}"\n', "text/csv"))
    _calm(towns.write("POST", "towns", json.dumps(feature), headers=features))
    _calm(towns.patch("towns", f'{{"extent": {written}}}', id="gte.0"))
    for operator in ("within", "intersects", "bbox", "dwithin", "not.within"):
        for asked in (written, text):
            _calm(towns("towns", **dict[str, Any](extent=f"{operator}.{asked}")))
