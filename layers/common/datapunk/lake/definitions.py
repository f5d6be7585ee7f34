"""Definitions of datasets through the cache: the lake's own reads need them more often than they change.

A definition from here may be some seconds old. That is good for describing a dataset and for reading rows,
which row-level security guards by itself; whoever writes rows acts as their owner, and reads it in his
transaction (`datasets.find_dataset`).
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from datapunk.cache.freshness import CACHE_HEADER, HEADER, demanded, position
from datapunk.cache.namespaces import LAKE_DATASET
from datapunk.cache.reading import load, read
from datapunk.cache.values import Cached, Found
from datapunk.cache.writing import stage
from datapunk.database import Transaction, transaction
from datapunk.lake.datasets import (
    Dataset,
    DatasetDefinition,
    create_dataset,
    existing,
    find_dataset,
    look_up_dataset,
)
from datapunk.lake.versions import as_of, find_version


def _encode(dataset: Dataset) -> str:
    # What callers are not shown is needed all the same.
    document = {
        **dataset.model_dump(mode="json"),
        "table_name": dataset.table_name,
        "id": str(dataset.id),
    }
    return orjson.dumps(document).decode()


DEFINITIONS = Cached(
    LAKE_DATASET, encode=_encode, decode=Dataset.model_validate_json, load=look_up_dataset
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A dataset with what the answer says about where it came from."""

    dataset: Dataset
    headers: dict[str, str]
    cached: bool


def read_definition(tenant: str, name: str, freshness: str | None = None) -> Definition:
    """Return the dataset called `name` of a tenant's, as new as the position `freshness` demands.

    Not to be called within a transaction. Raises NotFoundError when there is none, InvalidInputError for a
    position that is none, UnavailableError when the database is needed and does not answer.
    """
    return _definition(read(DEFINITIONS, tenant, name, at_least=demanded(freshness)), name)


def reload_definition(tenant: str, name: str) -> Definition:
    """Return the dataset called `name` as the database has it now. Raises as `read_definition` does."""
    return _definition(load(DEFINITIONS, tenant, name), name)


def read_earlier(name: str, version: int, freshness: str | None = None) -> Definition:
    """Return the dataset called `name` as it was in a version of it, from the database.

    That is as new as any position `freshness` demands. Raises NotFoundError when there is no such dataset or
    version, InvalidInputError for a position that is none.
    """
    demanded(freshness)
    with transaction() as tx:
        dataset = find_dataset(tx, name)
        if version != dataset.version:
            dataset = as_of(dataset, find_version(tx, dataset, version))
    return Definition(dataset, {}, cached=False)


def create_definition(tx: Transaction, definition: DatasetDefinition) -> Definition:
    """Create a dataset, also for who reads it from the cache. Raises ConflictError when the name is taken."""
    dataset = create_dataset(tx, definition)
    headers = stage_definition(tx, dataset.name, dataset, cause="lake.create_dataset")
    return Definition(dataset, headers, cached=False)


def stage_definition(
    tx: Transaction, name: str, dataset: Dataset | None, *, cause: str
) -> dict[str, str]:
    """Add to a change of a dataset that who reads it from the cache reads it as it is now (None: deleted).

    Returns the header that says where the change stands.
    """
    return {HEADER: position(stage(tx, DEFINITIONS, name, dataset, cause=cause))}


def _definition(found: Found[Dataset], name: str) -> Definition:
    headers: dict[str, str] = {CACHE_HEADER: found.answered}
    if found.version:
        headers[HEADER] = position(found.version)
    dataset = existing(found.value, name)
    return Definition(dataset, headers, cached=found.answered.startswith("hit"))
