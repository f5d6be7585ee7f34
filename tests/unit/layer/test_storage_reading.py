"""Objects of the store as files: any place, any length, also of a server that answers with all of them."""

from __future__ import annotations

import io
from typing import Any

import boto3
import pytest
from datapunk.storage import reading
from datapunk.storage.reading import ObjectFile, look_up

CONTENT = bytes(range(256)) * 40


class _Deaf:
    """A client of a server that does not know ranges, which a server need not (RFC 9110, 14.2)."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked = 0

    def get_object(self, *, Range: str, **named: str) -> Any:  # noqa: N803 -- boto3's name
        assert Range.startswith("bytes=")
        self.asked += 1
        return self.client.get_object(**named)


@pytest.mark.parametrize("deaf", [False, True], ids=["ranges", "no ranges"])
def test_an_object_is_read_from_anywhere(
    environment: None, bucket: str, monkeypatch: pytest.MonkeyPatch, *, deaf: bool
) -> None:
    # Given an object of many parts
    monkeypatch.setattr(reading, "PART_BYTES", 1000)
    store = boto3.client("s3")
    store.put_object(Bucket=bucket, Key="uploads/x", Body=CONTENT)
    found = look_up("uploads/x")
    assert found is not None
    client = _Deaf(store)
    if deaf:
        monkeypatch.setattr(reading, "client_of", lambda _: client)
    # When
    file = io.BufferedReader(ObjectFile(found), 1000)
    # Then
    assert file.read() == CONTENT
    assert (file.seek(5000), file.read(7)) == (5000, CONTENT[5000:5007])
    assert (file.seek(-3, io.SEEK_END), file.read()) == (len(CONTENT) - 3, CONTENT[-3:])
    # And whoever answers with all of it is asked again only where reading goes back
    assert client.asked == (2 if deaf else 0)
