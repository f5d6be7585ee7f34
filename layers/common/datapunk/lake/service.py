"""The calls that the lake answers (`events/protos/lake.proto`): the operations of its HTTP doors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datapunk.database import Transaction
from datapunk.errors import UnsupportedMediaTypeError
from datapunk.lake import datasets, ingest
from datapunk.lake.definition import DatasetDefinition
from datapunk.lake.definitions import create_definition
from datapunk.lake.filters import read_query
from datapunk.lake.parsing import CSV, JSON, NDJSON, parse_body
from datapunk.lake.query import query_records as run_query
from datapunk.mesh.contract import members_of, message_of
from datapunk.mesh.generated import lake_pb2
from datapunk.mesh.service import Service
from datapunk.outbox import relay_now
from datapunk.paging import page_size
from datapunk.settings import settings
from datapunk.validation import validated

if TYPE_CHECKING:
    from google.protobuf.message import Message

_TYPES = (JSON, NDJSON, CSV)


def create_dataset(tx: Transaction, request: lake_pb2.CreateDatasetRequest) -> lake_pb2.Dataset:
    """Create a typed dataset."""
    definition = validated(DatasetDefinition, members_of(request))
    return _message(create_definition(tx, definition).dataset)


def get_dataset(tx: Transaction, request: lake_pb2.GetDatasetRequest) -> lake_pb2.Dataset:
    """Return a dataset with its version, columns and key."""
    return _message(datasets.find_dataset(tx, request.dataset))


def list_datasets(
    tx: Transaction, request: lake_pb2.ListDatasetsRequest
) -> lake_pb2.ListDatasetsResponse:
    """Return a page of datasets by name."""
    page = datasets.list_datasets(tx, limit=page_size(request.limit), cursor=request.cursor or None)
    return lake_pb2.ListDatasetsResponse(
        items=[_message(item) for item in page.items], next_cursor=page.next_cursor or ""
    )


def insert_records(
    tx: Transaction, request: lake_pb2.InsertRecordsRequest
) -> lake_pb2.InsertRecordsResponse:
    """Insert all rows or none; emits `lake.records.inserted`."""
    most = ingest.allowed_rows(request.dataset)
    target = datasets.find_dataset(tx, request.dataset, hold=True)
    parsed = parse_body(_media_type(request.media_type), "utf-8", request.records, target.columns)
    receipt = ingest.insert_records(tx, target, parsed, most=most)
    return lake_pb2.InsertRecordsResponse(
        dataset=receipt.dataset, inserted=receipt.inserted, event_id=receipt.event_id or ""
    )


def query_records(
    tx: Transaction, request: lake_pb2.QueryRecordsRequest
) -> lake_pb2.QueryRecordsResponse:
    """Return a page of records: filtered, ordered, paged."""
    target = datasets.find_dataset(tx, request.dataset)
    parameters: dict[str, list[str]] = {}
    for item in request.parameters:
        parameters.setdefault(item.name, []).append(item.value)
    query = read_query(parameters, target, settings().page_limit)
    page = run_query(tx, target, query, _media_type(request.media_type))
    return lake_pb2.QueryRecordsResponse(
        media_type=page.media_type,
        records=page.body.encode(),
        next_cursor=page.next_cursor or "",
    )


SERVICE = Service(
    name="lake",
    operations={
        "create_dataset": create_dataset,
        "get_dataset": get_dataset,
        "insert_records": insert_records,
        "list_datasets": list_datasets,
        "query_records": query_records,
    },
    afterwards=relay_now,
)


def _media_type(given: str) -> str:
    if given and given not in _TYPES:
        raise UnsupportedMediaTypeError(f"{given!r} is not one of: {', '.join(_TYPES)}.")
    return given or JSON


def _message(dataset: datasets.Dataset) -> lake_pb2.Dataset:
    """Return what the contract has of a dataset; the rest of the declaration has its HTTP door alone."""
    members = _known(lake_pb2.Dataset, dataset.model_dump(mode="json", exclude_none=True))
    columns = [_known(lake_pb2.Column, column) for column in members["columns"]]
    return message_of(lake_pb2.Dataset, {**members, "columns": columns})


def _known(kind: type[Message], members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: members[name] for name in kind.DESCRIPTOR.fields_by_name if name in members}
