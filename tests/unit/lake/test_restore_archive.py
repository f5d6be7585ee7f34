"""lake.restore_archive: what is answered; what it does to rows is in tests/integration/lake."""

from __future__ import annotations

import pytest

from tests.support.archiving import Archives, months, rows_of
from tests.support.invoking import Invoker

OPERATION = "lake.restore_archive"
pytestmark = pytest.mark.usefixtures("no_broker")


def test_an_archive_comes_back(database: str, bucket: str, invoke: Invoker) -> None:
    # Given
    archives = Archives(invoke, bucket, database)
    archives.create()
    archives.insert(rows_of(months()[0], 2))
    archives.run()
    (archive,) = archives.listed()
    # When
    restored = archives.restore(archive["id"])
    # Then
    assert (restored["restored"], restored["already"]) == (2, False)
    (listed,) = archives.listed()
    assert (listed["state"], listed["restored_rows"], listed["left_alone"]) == ("restored", 2, 0)
    assert listed["restored_at"] is not None


def test_what_is_not_there(database: str, bucket: str, invoke: Invoker) -> None:
    # Given
    archives = Archives(invoke, bucket, database)
    archives.create()
    known = "5f0c8a1e-2b7d-4c39-8e64-9a1b2c3d4e5f"
    # When / Then
    archives.restore(known, 404)
    assert archives.restore("latest", 422)["code"] == "invalid_input"
    assert invoke(OPERATION, path={"dataset": "none", "archive": known}).status == 404
