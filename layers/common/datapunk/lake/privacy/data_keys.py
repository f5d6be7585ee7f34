"""Data keys: one per tenant and period, and one per person and period, each wrapped.

The key ring wraps the keys of a tenant; a tenant's newest key wraps those of its persons, so that a thousand
new persons cost no call of the ring. A key encrypts new values for 30 days; what it encrypted stays readable.
Keys of persons are read from the database for every request: one that is erased is gone at once.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datapunk.database import Transaction, load_queries
from datapunk.errors import DamagedCellError
from datapunk.lake.privacy.cells import DataKey

if TYPE_CHECKING:
    from datapunk.keyring.wrapping import WrappingRing

ROTATION_SECONDS = 30 * 86_400
"""How long a data key encrypts new values (requirement 003-071)."""
REMEMBERED_SECONDS = 300.0
"""How long an environment remembers an unwrapped key of a tenant, instead of asking the ring again."""
_MOST_REMEMBERED = 1_000
_BYTES, _NONCE = 32, 12
_SQL = Path(__file__).with_suffix(".sql")
_unwrapped: dict[bytes, tuple[float, bytes]] = {}


class DataKeys:
    """The data keys of a tenant, as one transaction sees them."""

    def __init__(self, tx: Transaction, tenant: str | None = None) -> None:
        self._tx = tx
        self.tenant = tenant or tx.caller.tenant
        self._own: list[dict[str, Any]] | None = None
        self._derived: dict[tuple[int, str], bytes] = {}
        self._persons: dict[str, DataKey] = {}

    # -- writing -----------------------------------------------------------------------------------

    def of_tenant(self) -> DataKey:
        """Return the key for new values that are about nobody; it is made when none is fresh."""
        newest = self.newest()
        return DataKey(newest, self._derive(newest, "values"))

    def of_persons(self, subjects: Iterable[str]) -> dict[str, DataKey]:
        """Return the key for new values about each person; those that are missing are made.

        They are held until the end of the transaction: nobody erases a person meanwhile.
        """
        unknown = [subject for subject in subjects if subject not in self._persons]
        if unknown:
            digests = {self.digest(subject): subject for subject in unknown}
            parameters = {"subjects": list(digests), "age": ROTATION_SECONDS}
            for row in self._all("of_persons", parameters):
                secret = self._unwrap_person(row)
                self._persons[digests[row["subject"]]] = DataKey(row["id"], secret)
            missing = {item: name for item, name in digests.items() if name not in self._persons}
            if missing:
                self._persons |= self._make_persons(missing)
        return self._persons

    def _make_persons(self, missing: dict[bytes, str]) -> dict[str, DataKey]:
        newest = self.newest()
        secrets = {digest: os.urandom(_BYTES) for digest in missing}
        wrapped = [self._wrap_person(newest, item, secret) for item, secret in secrets.items()]
        rows = self._all(
            "insert_persons",
            {"subjects": list(secrets), "wrapped": wrapped, "wrapped_by": newest},
        )
        return {
            missing[row["subject"]]: DataKey(row["id"], secrets[row["subject"]]) for row in rows
        }

    # -- reading -----------------------------------------------------------------------------------

    def by_id(self, ids: Collection[int]) -> dict[int, DataKey | None]:
        """Return keys by their ids, None for erased ones. Raises DamagedCellError for unknown ones."""
        rows = self._all("by_id", {"ids": list(ids)})
        found: dict[int, DataKey | None] = {}
        for row in rows:
            if row["wrapped"] is None:
                found[row["id"]] = None
            elif row["kind"] == "person":
                found[row["id"]] = DataKey(row["id"], self._unwrap_person(row))
            else:
                found[row["id"]] = DataKey(row["id"], self._derive(row["id"], "values"))
        if len(found) != len(set(ids)):
            raise DamagedCellError
        return found

    # -- digests -----------------------------------------------------------------------------------

    def index_key(self, purpose: str) -> bytes:
        """Return the tenant's key for digests of one purpose. It stays the same: digests are compared."""
        found = self._of_kind("index")
        if not found:
            self._make("index")
            found = self._of_kind("index")
        return self._derive(found[-1]["id"], purpose)

    def digest(self, subject: str) -> bytes:
        """Return what stands for a person among the keys."""
        return hmac.digest(self.index_key("subjects"), subject.encode(), "sha256")

    # -- keys of the tenant ------------------------------------------------------------------------

    def newest(self) -> int:
        """Return the id of the tenant's newest key, which is younger than 30 days."""
        fresh = [row for row in self._of_kind("tenant") if row["fresh"]]
        if not fresh:
            self._make("tenant")
            fresh = [row for row in self._of_kind("tenant") if row["fresh"]]
        return int(fresh[-1]["id"])

    def erase(self, subject: str) -> list[int]:
        """Destroy all keys of a person and return their ids."""
        return [row["id"] for row in self._all("erase", {"subject": self.digest(subject)})]

    def rewrap_persons(self, most: int) -> int:
        """Wrap keys of persons by the tenant's newest key, `most` of them, and return how many."""
        newest = self.newest()
        rows = self._all("stale_persons", {"newest": newest, "limit": most})
        wrapped = [
            self._wrap_person(newest, row["subject"], self._unwrap_person(row)) for row in rows
        ]
        self._rewrap(rows, wrapped, newest)
        return len(rows)

    def rewrap_own(self) -> int:
        """Wrap the tenant's own keys anew that were wrapped 30 days ago, and return how many."""
        rows = self._all("stale_wrapped", {"age": ROTATION_SECONDS})
        ring = _ring()
        wrapped = []
        for row in rows:
            context = self._context(row["kind"])
            wrapped.append(ring.wrap(ring.unwrap(row["wrapped"], context), context))
        self._rewrap(rows, wrapped, None)
        self._own = None
        return len(rows)

    def _rewrap(
        self, rows: list[dict[str, Any]], wrapped: list[bytes], wrapped_by: int | None
    ) -> None:
        if rows:
            ids = [row["id"] for row in rows]
            self._tx.execute(
                load_queries(_SQL)["rewrap"],
                {"ids": ids, "wrapped": wrapped, "wrapped_by": wrapped_by},
            )

    def _make(self, kind: str) -> None:
        wrapped = _ring().wrap(os.urandom(_BYTES), self._context(kind))
        self._all("insert", {"kind": kind, "wrapped": wrapped})
        self._own = None

    def _of_kind(self, kind: str) -> list[dict[str, Any]]:
        if self._own is None:
            self._own = self._all("of_tenant", {"age": ROTATION_SECONDS})
        return [row for row in self._own if row["kind"] == kind]

    def _derive(self, key: int, purpose: str) -> bytes:
        """Return the key for one purpose that follows from a key of the tenant (RFC 5869)."""
        if (key, purpose) not in self._derived:
            rows = [*self._of_kind("tenant"), *self._of_kind("index")]
            row = next((row for row in rows if row["id"] == key), None)
            if row is None:
                raise DamagedCellError
            root = _unwrap(bytes(row["wrapped"]), self._context(row["kind"]))
            self._derived[key, purpose] = _derived(root, purpose)
        return self._derived[key, purpose]

    def _context(self, kind: str) -> dict[str, str]:
        return {"tenant": self.tenant, "purpose": f"lake.{kind}"}

    # -- keys of persons ---------------------------------------------------------------------------

    def _wrap_person(self, by: int, digest: bytes, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        wrapping = DataKey(by, self._derive(by, "persons")).cipher
        return nonce + wrapping.encrypt(nonce, secret, self._person(digest))

    def _unwrap_person(self, row: dict[str, Any]) -> bytes:
        by = row["wrapped_by"]
        wrapping = DataKey(by, self._derive(by, "persons")).cipher
        wrapped = bytes(row["wrapped"])
        return wrapping.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], self._person(row["subject"]))

    def _person(self, digest: bytes) -> bytes:
        return orjson.dumps([self.tenant, bytes(digest).hex()])

    def _all(self, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return self._tx.all(load_queries(_SQL)[query], {**parameters, "tenant": self.tenant})


def _ring() -> WrappingRing:
    from datapunk.keyring.wrapping import data_key_ring

    return data_key_ring()


def _derived(root: bytes, purpose: str) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = f"datapunk lake {purpose}".encode()
    return HKDF(hashes.SHA256(), _BYTES, salt=None, info=info).derive(root)


def _unwrap(wrapped: bytes, context: dict[str, str]) -> bytes:
    now = time.monotonic()
    known = _unwrapped.get(wrapped)
    if known is not None and known[0] > now:
        return known[1]
    secret = _ring().unwrap(wrapped, context)
    if len(_unwrapped) >= _MOST_REMEMBERED:
        _unwrapped.clear()
    _unwrapped[wrapped] = (now + REMEMBERED_SECONDS, secret)
    return secret
