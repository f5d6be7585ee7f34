"""Places as they are written down: GeoJSON's geometries (RFC 7946), and the WKT that says the same.

Both are checked here, before PostGIS reads them: longitude and latitude in degrees of WGS 84 (EPSG:4326), two
numbers to a position. What passes is well-formed to PostGIS, so that no value is an error of a statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, LiteralString

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import from_json

MOST_POSITIONS = 10_000
"""Positions of one value."""
_MOST_TEXT = 1_000_000
_EAST, _NORTH = 180.0, 90.0
_RING, _LINE = 4, 2


class GeoKind(StrEnum):
    """What a column of places holds, by GeoJSON's names; `Geometry` is any of the others."""

    POINT = "Point"
    MULTI_POINT = "MultiPoint"
    LINE_STRING = "LineString"
    MULTI_LINE_STRING = "MultiLineString"
    POLYGON = "Polygon"
    MULTI_POLYGON = "MultiPolygon"
    ANY = "Geometry"


SQL_KINDS: dict[GeoKind, LiteralString] = {
    GeoKind.POINT: "geometry(Point, 4326)",
    GeoKind.MULTI_POINT: "geometry(MultiPoint, 4326)",
    GeoKind.LINE_STRING: "geometry(LineString, 4326)",
    GeoKind.MULTI_LINE_STRING: "geometry(MultiLineString, 4326)",
    GeoKind.POLYGON: "geometry(Polygon, 4326)",
    GeoKind.MULTI_POLYGON: "geometry(MultiPolygon, 4326)",
    GeoKind.ANY: "geometry(Geometry, 4326)",
}
"""PostGIS' type of a column."""
AREAS = frozenset({"Polygon", "MultiPolygon"})
_KNOWN = ", ".join(kind for kind in GeoKind if kind is not GeoKind.ANY)


class GeoRules(BaseModel):
    """Which geometries a column holds."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"kind": "Point"}]}
    )

    kind: GeoKind = Field(
        default=GeoKind.ANY, description="A type of GeoJSON's, or `Geometry` for any of them."
    )

    def check(self, geometry: dict[str, Any]) -> dict[str, Any]:
        """Return the geometry. Raises ValueError when a column with these rules does not hold it."""
        if self.kind not in (GeoKind.ANY, geometry["type"]):
            raise ValueError(f"must be a {self.kind}, not a {geometry['type']}")
        return geometry

    @property
    def crossing(self) -> bool:
        """Whether values have lines, which may cross themselves."""
        return self.kind not in (GeoKind.POINT, GeoKind.MULTI_POINT)


# -- GeoJSON ---------------------------------------------------------------------------------------


def geometry_of(value: dict[str, Any]) -> dict[str, Any]:
    """Return a GeoJSON geometry that is well-formed. Raises ValueError that says what is wrong with it."""
    kind = value.get("type")
    if kind == "GeometryCollection":
        raise ValueError("GeometryCollection is not kept: give its geometries rows of their own")
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise ValueError(f"type must be one of {_KNOWN}")
    if set(value) != {"type", "coordinates"}:
        raise ValueError("a geometry has type and coordinates, and no other member")
    if check(value["coordinates"]) > MOST_POSITIONS:
        raise ValueError(f"may have {MOST_POSITIONS:,} positions")
    return value


def _object(value: Any) -> Any:
    """Return what a text stands for: clients of PostGIS send places as WKT in JSON, too."""
    return read_geometry(value) if isinstance(value, str) else value


Geometry = Annotated[dict[str, Any], BeforeValidator(_object), AfterValidator(geometry_of)]
"""A geometry of any kind: an object of GeoJSON, or a text of GeoJSON or (E)WKT."""


def _items(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"coordinates must be {what}, and not be empty")
    if len(value) > MOST_POSITIONS:
        raise ValueError(f"may have {MOST_POSITIONS:,} positions")
    return value


def _position(value: Any) -> int:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 -- longitude and latitude
        raise ValueError("a position is two numbers, [longitude, latitude]; altitudes are not kept")
    if not all(type(number) in (int, float) for number in value):
        raise ValueError("a position is two numbers, [longitude, latitude]")
    if not -_EAST <= value[0] <= _EAST:
        raise ValueError("a longitude, which comes first, is from -180 to 180")
    if not -_NORTH <= value[1] <= _NORTH:
        raise ValueError("a latitude, which comes second, is from -90 to 90")
    return 1


def _points(value: Any) -> int:
    return sum(map(_position, _items(value, "an array of positions")))


def _line(value: Any) -> int:
    count = _points(value)
    if count < _LINE or all(position == value[0] for position in value):
        raise ValueError("a line has two positions at least, which differ")
    return count


def _ring(value: Any) -> int:
    count = _points(value)
    if value[0] != value[-1]:
        raise ValueError("a ring is closed: its last position is its first")
    if count < _RING:
        raise ValueError("a ring has four positions at least, the last of which is the first")
    return count


def _lines(value: Any) -> int:
    return sum(map(_line, _items(value, "an array of lines")))


def _polygon(value: Any) -> int:
    return sum(map(_ring, _items(value, "an array of rings")))


def _polygons(value: Any) -> int:
    return sum(map(_polygon, _items(value, "an array of polygons")))


_CHECKS: dict[str, Callable[[Any], int]] = {
    GeoKind.POINT: _position,
    GeoKind.MULTI_POINT: _points,
    GeoKind.LINE_STRING: _line,
    GeoKind.MULTI_LINE_STRING: _lines,
    GeoKind.POLYGON: _polygon,
    GeoKind.MULTI_POLYGON: _polygons,
}
"""Checks of coordinates, which return how many positions they are."""

# -- texts -----------------------------------------------------------------------------------------

_KINDS = {kind.upper(): kind for kind in GeoKind if kind is not GeoKind.ANY}
_WKT = re.compile(
    rf"(?:SRID=4326;)?(?P<kind>{'|'.join(_KINDS)})[ \t\r\n]*(?P<inside>\([-+0-9.eE,() \t\r\n]*\))\Z",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
_PAIR = re.compile(rf"(?<![-+0-9.eE]){_NUMBER}[ \t\r\n]+{_NUMBER}(?![-+0-9.eE])")
_FORMS = "GeoJSON, {...}, or WKT, as POINT(4.9 52.4), optionally behind SRID=4326;"


def read_geometry(text: str) -> dict[str, Any]:
    """Return the geometry that a text of GeoJSON or (E)WKT is. Raises ValueError for anything else.

    Neither begins with blanks, nor ends with them: PostGIS tells the two apart by the first character.
    """
    if len(text) > _MOST_TEXT:
        raise ValueError(f"a geometry may have {_MOST_TEXT:,} characters")
    if not text.startswith("{"):
        return geometry_of(_of_wkt(text))
    try:
        found = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise ValueError("is not valid JSON") from None
    return geometry_of(found)


def _of_wkt(text: str) -> dict[str, Any]:
    """Return a text of WKT as GeoJSON, whose coordinates are yet to be checked."""
    match = _WKT.match(text)
    if match is None:
        raise ValueError(f"must be {_FORMS}; of longitude and latitude, with neither Z nor EMPTY")
    kind = _KINDS[match["kind"].upper()]
    written = _PAIR.sub(r"[\1,\2]", match["inside"]).replace("(", "[").replace(")", "]")
    try:
        found = from_json(written, allow_inf_nan=False)
    except ValueError:
        raise ValueError(f"is not well-formed: it must be {_FORMS}") from None
    if kind is GeoKind.POINT:
        found = found[0] if len(found) == 1 else None
    elif kind is GeoKind.MULTI_POINT:
        found = [_unwrapped(item) for item in found]
    return {"type": str(kind), "coordinates": found}


def _unwrapped(item: Any) -> Any:
    """Return a point of several, which WKT writes with parentheses of its own or without."""
    wrapped = isinstance(item, list) and len(item) == 1 and isinstance(item[0], list)
    return item[0] if wrapped else item
