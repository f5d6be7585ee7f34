"""Encrypted values: what one looks like, what it is bound to, and how it is read again.

A cell is `0x01 | id of the data key (8 bytes) | nonce (12) | AES-256-GCM ciphertext and tag`. It is bound to
tenant, table, column and the row's key: elsewhere it does not decrypt. The plaintext is the value as text.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError
from pydantic_core import to_json

from datapunk.errors import DamagedCellError, InvalidInputError
from datapunk.lake.checks import as_utc
from datapunk.lake.columns import RANGES, Column, ColumnType, text_value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from datapunk.lake.datasets import Dataset

VERSION = 1
_HEADER = struct.Struct(">Bq")
_NONCE = 12
_START = _HEADER.size + _NONCE
_BLIND_BYTES = 16
_LONGEST = 63
_TEXTS = frozenset(
    {ColumnType.TEXT, ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.UUID, *RANGES}
)
"""Types whose values JSON writes as texts."""


class JsonText(str):
    """A JSON value that is written as text already."""

    __slots__ = ()


@dataclass(frozen=True)
class DataKey:
    """A key that encrypts values."""

    id: int
    secret: bytes

    @cached_property
    def header(self) -> bytes:
        """How cells begin that it encrypts."""
        return _HEADER.pack(VERSION, self.id)

    @cached_property
    def cipher(self) -> AESGCM:
        """The cipher with this key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.secret)


def seal(key: DataKey, plain: bytes, bound: bytes, nonce: bytes) -> bytes:
    """Return a cell. Nonces are random (`nonces`), so that one key may encrypt 2^32 values."""
    return key.header + nonce + key.cipher.encrypt(nonce, plain, key.header + bound)


def nonces(count: int) -> Iterator[bytes]:
    """Return random nonces, all of one call to the system."""
    content = os.urandom(_NONCE * count)
    return (content[place : place + _NONCE] for place in range(0, len(content), _NONCE))


def key_of(cell: bytes) -> int:
    """Return the id of the data key that a cell is encrypted by. Raises DamagedCellError for no cell."""
    if len(cell) < _START or cell[0] != VERSION:
        raise DamagedCellError
    return int(_HEADER.unpack_from(cell)[1])


def unseal(key: DataKey, cell: bytes, bound: bytes) -> bytes:
    """Return what a cell holds. Raises DamagedCellError where it was changed, or stands elsewhere."""
    from cryptography.exceptions import InvalidTag

    try:
        return key.cipher.decrypt(
            cell[_HEADER.size : _START], cell[_START:], cell[: _HEADER.size] + bound
        )
    except InvalidTag as error:
        raise DamagedCellError from error


def bound_name(column: Column) -> str:
    """Return the name that values are bound to: the column's first, which renaming does not change."""
    return column.names[-1]


def bound_to(dataset: Dataset, column: Column, key: Sequence[str]) -> bytes:
    """Return what a cell is bound to: whose it is, and where it stands."""
    return orjson.dumps([dataset.tenant, dataset.table_name, bound_name(column), *key])


# -- values ----------------------------------------------------------------------------------------


def canonical(column: Column, value: Any, *, scale: bool = False) -> str:
    """Return a validated value, or its text, as the one text that stands for it.

    With `scale` a decimal keeps its trailing zeros, by which two equal ones may differ. Raises
    InvalidInputError for a text that is no value of the column.
    """
    kind = column.type
    if kind is ColumnType.TEXT:
        return str(value)
    if isinstance(value, JsonText):
        return str(value)
    if kind is ColumnType.JSON:
        return to_json(value, inf_nan_mode="null").decode()
    if isinstance(value, str) and kind not in RANGES:
        try:
            value = text_value(kind).validate_python(value)
        except ValidationError as error:
            raise InvalidInputError(f"{column.name} has a value that is no {kind}.") from error
    if kind is ColumnType.DECIMAL and scale:
        return format(Decimal(value), "f")
    return _WRITERS.get(kind, str)(value)


def _plain_decimal(value: Decimal) -> str:
    text = format(value, "f") if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


_WRITERS: dict[ColumnType, Callable[[Any], str]] = {
    ColumnType.BOOLEAN: lambda value: "true" if value else "false",
    ColumnType.TIMESTAMP: lambda value: as_utc(value).astimezone(dt.UTC).isoformat(),
    ColumnType.DATE: dt.date.isoformat,
    ColumnType.NUMBER: lambda value: repr(float(value)),
    ColumnType.DECIMAL: lambda value: _plain_decimal(Decimal(value)),
}


def as_json(kind: ColumnType, text: str) -> str:
    """Return the text of a value as JSON."""
    return orjson.dumps(text).decode() if kind in _TEXTS else text


# -- finding a value -------------------------------------------------------------------------------


def blind_column(column: Column) -> Column:
    """Return the column that holds the blind index of another; no declared column has its name."""
    name = f"_bi_{bound_name(column)}"
    if len(name) > _LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: _LONGEST - 9]}_{digest}"
    return Column.model_construct(
        name=name, type=ColumnType.TEXT, nullable=True, protection=column.protection
    )


def blind(index_key: bytes, dataset: Dataset, column: Column, text: str) -> bytes:
    """Return the digest that rows are found by: of a value in this column, under the tenant's index key."""
    place = orjson.dumps([dataset.tenant, dataset.table_name, bound_name(column), text])
    return hmac.digest(index_key, place, "sha256")[:_BLIND_BYTES]


def searchable(dataset: Dataset) -> list[Column]:
    """Return the encrypted columns that rows can be found by."""
    return [column for column in dataset.columns if column.encrypted and column.searchable]
