"""Rings that wrap data keys: in a file and in KMS."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.keyring.wrapping import (
    ROTATION_SECONDS,
    FileWrappingRing,
    WrappingRing,
    open_wrapping_ring,
)
from moto import mock_aws

CONTEXT = {"tenant": "acme", "purpose": "test"}
KEY = bytes(range(32))


@pytest.fixture(params=["file", "kms"])
def ring(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WrappingRing]:
    """Return a ring of each kind, as it is opened by its place."""
    if request.param == "file":
        yield open_wrapping_ring(f"file:{tmp_path / 'ring'}")
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    open_wrapping_ring.cache_clear()
    with mock_aws():
        client = boto3.client("kms")
        key = client.create_key()["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName="alias/test-data", TargetKeyId=key)
        yield open_wrapping_ring("kms:alias/test")
    open_wrapping_ring.cache_clear()


def test_a_key_comes_back_for_its_use_alone(ring: WrappingRing) -> None:
    # When
    wrapped = ring.wrap(KEY, CONTEXT)
    # Then
    assert KEY not in wrapped
    assert ring.unwrap(wrapped, CONTEXT) == KEY
    with pytest.raises(UnavailableError):
        ring.unwrap(wrapped, {**CONTEXT, "tenant": "umbrella"})
    with pytest.raises(UnavailableError):
        ring.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), CONTEXT)


def test_the_file_takes_a_new_key_after_90_days_and_keeps_the_old(tmp_path: Path) -> None:
    # Given
    now = 1_000_000.0
    path = tmp_path / "ring"
    early = FileWrappingRing(path, lambda: now)
    first, second = early.wrap(KEY, CONTEXT), early.wrap(KEY, CONTEXT)
    # When
    late = FileWrappingRing(path, lambda: now + ROTATION_SECONDS)
    third = late.wrap(KEY, CONTEXT)
    # Then
    assert first[:8] == second[:8] != third[:8]
    assert [early.unwrap(item, CONTEXT) for item in (first, second, third)] == [KEY] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unreadable_file_is_never_made_anew(tmp_path: Path) -> None:
    # Given
    path = tmp_path / "ring"
    path.write_text("{}")
    # When / Then
    with pytest.raises(ConfigurationError, match="restore"):
        FileWrappingRing(path).wrap(KEY, CONTEXT)
    assert path.read_text() == "{}"


def test_a_place_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        open_wrapping_ring("")
