"""lake.create_upload: a job, and a link by which its file is put."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import MakeDataset

OPERATION = "lake.create_upload"
pytestmark = pytest.mark.usefixtures("bucket")


def test_the_link_is_for_one_file_and_one_hour(make_dataset: MakeDataset, invoke: Invoker) -> None:
    # Given
    make_dataset("t", id="integer")
    # When
    answer = invoke(OPERATION, path={"dataset": "t"})
    # Then
    assert answer.status == 201, answer.body
    made = answer.json
    assert answer.headers["location"] == made["url"] == f"/v1/lake/jobs/{made['job']}"
    assert answer.headers["cache-control"] == "no-store"
    assert made["upload"]["method"] == "PUT"
    link = urlsplit(made["upload"]["url"])
    assert link.path.endswith(f"/uploads/{made['job']}")
    query = parse_qs(link.query)
    # Signed by version 4, for an hour, and for nothing that a plain PUT does not send
    assert (query["X-Amz-Expires"], query["X-Amz-SignedHeaders"]) == (["3600"], ["host"])
    job = invoke("lake.get_job", path={"job": made["job"]}).json
    assert (job["state"], job["dataset"], job["rows_read"]) == ("waiting", "t", 0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"on_error": "skip"}, "on_error"),
        ({"media_type": "application/json"}, "media_type"),
        ({"on_conflict": "update"}, "on_conflict"),
        ({"sha256": "abc"}, "sha256"),
        ({"encoding": "br"}, "encoding"),
    ],
)
def test_what_an_upload_cannot_be_is_refused(
    make_dataset: MakeDataset, invoke: Invoker, changes: dict[str, Any], field: str
) -> None:
    # Given
    make_dataset("t", id="integer")
    # When
    body = {"media_type": "text/csv", **changes}
    answer = invoke(OPERATION, path={"dataset": "t"}, body=body)
    # Then
    assert answer.status == 422, answer.body
    assert [name.rpartition(".")[2] for name in answer.fields] == [field]


def test_no_dataset_is_no_upload(database: str, invoke: Invoker) -> None:
    # Given / When / Then
    assert invoke(OPERATION, path={"dataset": "nothing"}).status == 404
