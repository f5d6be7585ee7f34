"""Rows as GeoJSON features (RFC 7946), out of a selection and out of a body.

As with PostgREST the first place among the selected columns is a feature's geometry, and the others are its
properties; a body is read the same way round.
"""

from __future__ import annotations

from typing import Any

from psycopg import sql
from pydantic_core import from_json, to_json

from datapunk.database import Transaction
from datapunk.errors import NotAvailableError
from datapunk.lake.columns import ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.geo import HOW, has_postgis
from datapunk.lake.plan import Select
from datapunk.lake.rest.errors import RestError
from datapunk.lake.rest.requests import GEOJSON, Form
from datapunk.lake.sql_parts import identifier


def _place(select: Select) -> str | None:
    """Return the name of the first place that is selected, None where none is."""
    places = {
        output.name
        for output in select.outputs
        if output.field is not None
        and output.aggregate is None
        and output.field.kind is ColumnType.GEO
    }
    return next((name for name in select.names if name in places), None)


def require_place(tx: Transaction, select: Select, form: Form) -> None:
    """Refuse features of rows that are nowhere.

    Raises NotAvailableError where there is no PostGIS, and so no place in any dataset.
    """
    if form.media_type != GEOJSON or _place(select) is not None:
        return
    if not has_postgis(tx):
        raise NotAvailableError(f"GeoJSON needs PostGIS, which this database does not have. {HOW}")
    raise RestError(
        400,
        "22023",
        "geometry column is missing",
        f"No column of the type geo is selected of '{select.dataset.name}'.",
        "Select one, or ask for application/json.",
    )


def feature(select: Select) -> sql.Composed:
    """Return the expression of a row of `rows` as a feature."""
    place = _place(select)
    properties = sql.SQL(", ").join(
        sql.SQL("rows.{}").format(identifier(name)) for name in select.names if name != place
    )
    return sql.SQL(
        "json_build_object('type', 'Feature', 'geometry', {}, "
        "'properties', (SELECT row_to_json(properties) FROM (SELECT {}) AS properties))"
    ).format(identifier("rows", place or ""), properties)


def rows_of_features(dataset: Dataset, content: bytes) -> bytes:
    """Return a body of a feature, or a collection of them, as a JSON array of rows.

    The dataset's first place takes the geometries. Raises RestError for a body that is neither, and for
    features with an id, which has no place in a row unless it is a property.
    """
    place = next((item.name for item in dataset.columns if item.type is ColumnType.GEO), None)
    if place is None:
        raise _unreadable(f"'{dataset.name}' has no column of the type geo.")
    try:
        body = from_json(content, allow_inf_nan=False)
    except ValueError:
        raise _unreadable("The body is not valid JSON.") from None
    features: Any = [body]
    if isinstance(body, dict) and body.get("type") == "FeatureCollection":
        features = body.get("features")
    if not isinstance(features, list):
        raise _unreadable("A FeatureCollection has an array of features.")
    return to_json([_row(item, place) for item in features])


def _row(item: Any, place: str) -> dict[str, Any]:
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise _unreadable("The body must be a Feature or a FeatureCollection.")
    properties = item.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise _unreadable("The properties of a feature are an object or null.")
    if "id" in item:
        raise _unreadable("A feature's id is not kept: give it among the properties.")
    if place in properties:
        raise _unreadable(f"The geometry is {place}, which is not to be among the properties too.")
    return {**properties, place: item.get("geometry")}


def _unreadable(message: str) -> RestError:
    return RestError(400, "PGRST102", message)
