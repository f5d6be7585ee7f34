"""Rows kept beside their dataset's table, whole and as they were sent: sealed where the dataset is protected.

What a row says of a person is encrypted by that person's key, if the row says whom it is about, and by the
tenant's otherwise. A cell is bound to the dataset and the id under which the row is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from pydantic_core import from_json

from datapunk.database import Transaction
from datapunk.errors import InvalidInputError
from datapunk.lake.datasets import Dataset
from datapunk.lake.privacy.cells import DataKey, canonical, key_of, nonces, seal, unseal
from datapunk.lake.privacy.data_keys import DataKeys
from datapunk.lake.privacy.declared import Mask
from datapunk.lake.values import read_value


@dataclass(frozen=True, slots=True)
class Kept:
    """The content of a row that is kept: in clear, or a cell and the id of the key that encrypts it."""

    clear: str | None
    sealed: bytes | None = None
    data_key: int | None = None


def must_seal(dataset: Dataset) -> bool:
    """Tell whether rows of the dataset are kept encrypted: some of it is, or it is about persons."""
    return dataset.subject is not None or any(column.encrypted for column in dataset.columns)


def shown_whole(tx: Transaction, dataset: Dataset) -> bool:
    """Tell whether nothing of the dataset is masked for the caller, who may then see rows as sent."""
    roles = tx.caller.roles
    masks = (column.masking.of(roles) for column in dataset.columns if column.masking is not None)
    return all(mask is Mask.CLEAR for mask in masks)


def seal_rows(tx: Transaction, dataset: Dataset, rows: Sequence[tuple[UUID, str]]) -> list[Kept]:
    """Return what is stored of rows, each an id and a text of JSON."""
    if not must_seal(dataset):
        return [Kept(content) for _, content in rows]
    keys = DataKeys(tx)
    subjects = [_subject(dataset, content) for _, content in rows]
    persons = keys.of_persons(dict.fromkeys(name for name in subjects if name))
    kept = []
    for (row_id, content), subject, nonce in zip(rows, subjects, nonces(len(rows)), strict=True):
        key = persons[subject] if subject else keys.of_tenant()
        cell = seal(key, content.encode(), _bound(dataset, row_id), nonce)
        kept.append(Kept(None, cell, key.id))
    return kept


def open_rows(
    tx: Transaction, dataset: Dataset, rows: Sequence[tuple[UUID, Kept]]
) -> list[str | None]:
    """Return the texts of rows, None for one about a person who is erased.

    Raises DamagedCellError for a cell that was changed, or that stands elsewhere.
    """
    ids = {key_of(kept.sealed) for _, kept in rows if kept.sealed is not None}
    keys = DataKeys(tx).by_id(ids) if ids else {}
    return [_opened(keys, dataset, row_id, kept) for row_id, kept in rows]


def _opened(
    keys: dict[int, DataKey | None], dataset: Dataset, row_id: UUID, kept: Kept
) -> str | None:
    if kept.sealed is None:
        return kept.clear
    key = keys[key_of(kept.sealed)]
    return None if key is None else unseal(key, kept.sealed, _bound(dataset, row_id)).decode()


def _bound(dataset: Dataset, row_id: UUID) -> bytes:
    return orjson.dumps([dataset.tenant, dataset.table_name, "kept", str(row_id)])


def _subject(dataset: Dataset, content: str) -> str | None:
    """Return whom a row is about as the dataset writes it, None where it cannot be told."""
    column = dataset.column(dataset.subject or "")
    row = from_json(content, allow_inf_nan=True)
    if column is None or not isinstance(row, dict):
        return None
    given = next((row[name] for name in column.names if row.get(name) not in (None, "")), None)
    if given is None or isinstance(given, dict | list | bool):
        return None
    try:
        return canonical(column, read_value(column.type, str(given)))
    except (ValueError, InvalidInputError):
        return None
