"""Finding places: the operators of filters, as PostGIS computes them, and whether it is there.

Lines between positions are straight in longitude and latitude, as RFC 7946 (3.1.1) has them, for `within`,
`intersects` and `bbox`; `dwithin` measures along the surface of the spheroid. All include their boundary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from psycopg import sql
from pydantic_core import to_json

from datapunk.errors import FieldError, NotAvailableError
from datapunk.lake.columns import Column, ColumnType
from datapunk.lake.geometry import AREAS, geometry_of, read_geometry

if TYPE_CHECKING:
    from datapunk.database import Transaction

MOST_METRES = 20_100_000
"""A little more than from a pole to the other."""
HOW = (
    "Locally start with DATAPUNK_POSTGIS=1; on AWS deploy with Postgis=true; in a database of one's own "
    "run CREATE EXTENSION postgis as whoever may."
)
_NUMBER = r"(-?[0-9]{1,17}(?:\.[0-9]{1,17})?(?:[eE][-+]?[0-9]{1,2})?)"
_NUMBERS = re.compile(rf"\(\s*{_NUMBER}(?:\s*,\s*{_NUMBER})*\s*\)\Z", re.ASCII)
_ONE = re.compile(_NUMBER, re.ASCII)


# -- whether PostGIS is there ----------------------------------------------------------------------


def has_postgis(tx: Transaction) -> bool:
    """Tell whether the database has PostGIS."""
    return bool(tx.value("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis')"))


def require_postgis(tx: Transaction, columns: Iterable[Column]) -> None:
    """Raise NotAvailableError where columns hold places and the database has no PostGIS."""
    names = [column.name for column in columns if column.type is ColumnType.GEO]
    if not names or has_postgis(tx):
        return
    raise NotAvailableError(
        f"{', '.join(names)}: places need PostGIS, which this database does not have. {HOW}",
        errors=[FieldError("columns", f"{name} needs PostGIS", "postgis") for name in names],
    )


# -- what is compared with -------------------------------------------------------------------------


def read_finding(operator: str, text: str) -> Any:
    """Return what an operator of `operators.FINDING` compares with. Raises ValueError for what is none.

    A GeoJSON text for `within`, `intersects` and `bbox`; longitude, latitude and metres for `dwithin`.
    """
    if operator == "dwithin":
        return _circle(text)
    if operator == "bbox":
        return to_json(_box(text)).decode()
    found = read_geometry(text)
    if operator == "within" and found["type"] not in AREAS:
        raise ValueError("within takes a Polygon or a MultiPolygon; intersects takes any geometry")
    return to_json(found).decode()


def _numbers(text: str, form: str) -> list[float]:
    if len(text) > 200 or not _NUMBERS.match(text) or text.count(",") != form.count(","):  # noqa: PLR2004
        raise ValueError(f"must be {form}, numbers in parentheses")
    return [float(number) for number in _ONE.findall(text)]


def _circle(text: str) -> tuple[float, float, float]:
    longitude, latitude, metres = _numbers(text, "(longitude,latitude,metres)")
    geometry_of({"type": "Point", "coordinates": [longitude, latitude]})
    if not 0 <= metres <= MOST_METRES:
        raise ValueError(f"the distance is from 0 to {MOST_METRES:,} metres")
    return longitude, latitude, metres


def _box(text: str) -> dict[str, Any]:
    """Return the area of a box; it crosses the antimeridian when west is more than east (RFC 7946, 5.2)."""
    west, south, east, north = _numbers(text, "(west,south,east,north)")
    for longitude, latitude in ((west, south), (east, north)):
        geometry_of({"type": "Point", "coordinates": [longitude, latitude]})
    if south >= north or math.isclose(west, east, rel_tol=0, abs_tol=1e-12):
        raise ValueError("a box is (west,south,east,north), with south below north")
    spans = [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]
    rings = [
        [[low, south], [high, south], [high, north], [low, north], [low, south]]
        for low, high in spans
        if low < high
    ]
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


# -- conditions ------------------------------------------------------------------------------------


def finding(
    operator: str, value: Any, stored: sql.Composable, bind: Callable[[Any], sql.Composable]
) -> sql.Composed:
    """Return the condition that a stored place is found by an operator."""
    if operator == "dwithin":
        longitude, latitude, metres = map(bind, value)
        return sql.SQL(
            "ST_DWithin({}::geography, "
            "ST_SetSRID(ST_MakePoint({}::float8, {}::float8), 4326)::geography, {}::float8)"
        ).format(stored, longitude, latitude, metres)
    area = sql.SQL("ST_GeomFromGeoJSON({}::text)").format(bind(value))
    if 'Polygon"' in value:
        # Rings that cross themselves enclose what ST_MakeValid says; GEOS would refuse some of them.
        area = sql.SQL("ST_CollectionExtract(ST_MakeValid({}), 3)").format(area)
    test = sql.SQL("ST_CoveredBy" if operator == "within" else "ST_Intersects")
    return sql.SQL("{}({}, {})").format(test, stored, area)
