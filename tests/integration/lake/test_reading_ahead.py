"""A file's next rows are read while the last are stored: what a dataset becomes meanwhile counts."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.lake.reading_ahead import Reader

from tests.support.invoking import Invoker
from tests.support.uploading import Uploads, small_chunks

pytestmark = pytest.mark.usefixtures("no_broker", "database")

RENAMED = [{"op": "rename_column", "column": "label", "name": "title"}]
DROPPED = [{"op": op, "column": "label"} for op in ("deprecate_column", "drop_column")]
DROPPED[0]["reason"] = "nobody reads it"
DEFINITION = {
    "name": "t",
    "columns": [
        {"name": "id", "type": "integer", "nullable": False},
        {"name": "label", "type": "text"},
    ],
}
CONTENT = b"id,label\n" + b"".join(b"%d,x\n" % number for number in range(500))


@pytest.mark.parametrize(
    ("changes", "stored", "codes"),
    [(RENAMED, 500, []), (DROPPED, 200, ["extra_forbidden"])],
    ids=["renamed", "dropped"],
)
def test_rows_that_were_read_before_a_change_are_stored_as_it_says(
    bucket: str,
    invoke: Invoker,
    monkeypatch: pytest.MonkeyPatch,
    changes: list[dict[str, str]],
    stored: int,
    codes: list[str],
) -> None:
    # Given a dataset that is changed when the third chunk has been read, and not been stored
    assert invoke("lake.create_dataset", body=DEFINITION).status == 201
    files = Uploads(invoke, bucket)
    small_chunks(monkeypatch, 100)
    job = files.put("t", CONTENT)
    real, calls = Reader.read, 0

    def changed(reader: Reader) -> Any:
        nonlocal calls
        calls += 1
        read = real(reader)
        if calls == 3:
            body = {"changes": changes, "compatibility": "none"}
            answer = invoke("lake.change_dataset", path={"dataset": "t"}, body=body)
            assert answer.status == 200, answer.body
        return read

    monkeypatch.setattr(Reader, "read", changed)
    # When
    outcome = files.load(job)
    # Then what fits is stored, and a file that no longer does says why
    told = files.job(job)
    assert (outcome, told["inserted"]) == ("failed" if codes else "done", stored)
    errors = (told["problem"] or {}).get("errors", [])
    assert [error["code"] for error in errors] == codes
    query = {"select": "count()", "id": f"lt.{stored}"}
    found = invoke("lake.query_records", path={"dataset": "t"}, query=query).json["items"]
    assert found == [{"count": stored}]
    if not codes:
        query = {"select": "count()", "title": "eq.x"}
        found = invoke("lake.query_records", path={"dataset": "t"}, query=query).json["items"]
        assert found == [{"count": stored}]
