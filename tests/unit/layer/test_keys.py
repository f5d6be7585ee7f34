"""Signing keys: one signs, the next is known before, the last one verifies for as long as it must."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from datapunk.errors import ConfigurationError, UnavailableError
from datapunk.keyring import KeyRing, key_ring, open_key_ring
from datapunk.keyring.file import FileKeyRing
from datapunk.keyring.handle import SigningHandle
from datapunk.keyring.kms import KmsKeyRing
from datapunk.nexus import keys
from datapunk.settings import settings
from moto import mock_aws

DAY = 86_400


@pytest.fixture(params=["file", "kms"])
def ring(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KeyRing]:
    """Return an empty key ring of each kind, which the platform uses."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    place = {"file": f"file:{tmp_path / 'keyring'}", "kms": "kms:alias/datapunk-test-signing"}
    monkeypatch.setenv("KEY_RING", place[request.param])
    settings.cache_clear()
    open_key_ring.cache_clear()
    with mock_aws():
        yield key_ring()
    settings.cache_clear()
    open_key_ring.cache_clear()


def published() -> list[str]:
    return [key["kid"] for key in keys.public_jwks()["keys"]]


def test_without_a_key_nothing_is_signed(ring: KeyRing) -> None:
    # Given an empty ring / When / Then
    assert published() == []
    with pytest.raises(UnavailableError, match="rotate_keys"):
        keys.sign({"sub": "user:ann"}, typ="at+jwt")


def test_a_signature_verifies_with_the_published_key(ring: KeyRing) -> None:
    # Given
    keys.rotate()
    # When
    token = keys.sign({"sub": "user:ann"}, typ="at+jwt")
    # Then
    published_keys = jwt.PyJWKSet.from_dict(keys.public_jwks())
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "RS256", "kid": published_keys.keys[0].key_id, "typ": "at+jwt"}
    assert jwt.decode(token, published_keys.keys[0], algorithms=["RS256"]) == {"sub": "user:ann"}


def test_nothing_private_is_published(ring: KeyRing) -> None:
    # Given
    keys.rotate()
    # When
    (key,) = keys.public_jwks()["keys"]
    # Then
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


def test_a_key_signs_for_thirty_days_and_its_successor_is_known_before(ring: KeyRing) -> None:
    # Given a first key, almost thirty days old
    now = int(time.time())
    start = now - 30 * DAY + keys.LEAD
    (first,) = keys.rotate(now=start)["added"]
    # When the daily run comes a little early, in time, and again
    early = keys.rotate(now=now - 1)
    due = keys.rotate(now=now)
    again = keys.rotate(now=now + 1)
    # Then one key is made, published at once, and does not sign yet
    (second,) = due["added"]
    assert (early["added"], again["added"]) == ([], [])
    assert published() == [first, second]
    assert jwt.get_unverified_header(keys.sign({}, typ="JWT"))["kid"] == first


def test_an_old_key_verifies_during_the_overlap_only(ring: KeyRing) -> None:
    # Given two keys, the second of which signs since the overlap's length, almost
    now = int(time.time())
    begun = now - keys.OVERLAP + 60
    (first,) = keys.rotate(now=begun - 30 * DAY)["added"]
    (second,) = keys.rotate(now=begun - keys.LEAD, force=True)["added"]
    # When / Then the new one signs, both verify
    assert jwt.get_unverified_header(keys.sign({}, typ="JWT"))["kid"] == second
    assert keys.find_key(first) is not None
    # When the overlap is over
    after = begun + keys.OVERLAP
    # Then the old one verifies nothing, and the next run removes it
    assert keys.find_key(first, now=after) is None
    assert keys.find_key(second, now=after) is not None
    assert keys.rotate(now=after)["removed"] == [first]
    assert [key.kid for key in ring.list_keys()] == [second]


def test_a_key_that_waits_is_not_followed_by_another(ring: KeyRing) -> None:
    # Given
    now = int(time.time())
    keys.rotate(now=now - DAY)
    assert keys.rotate(now=now, force=True)["added"]
    # When it is asked for once more before that one signs
    outcome = keys.rotate(now=now + 1, force=True)
    # Then
    assert outcome["added"] == []


def test_two_rotations_at_once_make_one_key(ring: KeyRing) -> None:
    # Given
    now = int(time.time())
    # When
    made = [ring.add(now), ring.add(now)]
    # Then
    assert made[0] is not None
    assert made[1] is None
    assert len(ring.list_keys()) == 1


def test_a_key_that_is_not_in_the_ring_does_not_sign(ring: KeyRing) -> None:
    # Given / When / Then
    with pytest.raises(UnavailableError):
        ring.sign("unknown", b"message")


def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    # Given
    path = tmp_path / "state" / "keyring"
    # When
    FileKeyRing(path).add(1)
    # Then
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_process_sees_the_new_key(tmp_path: Path) -> None:
    # Given two rings on one file, as two environments have them
    mine, theirs = FileKeyRing(tmp_path / "keyring"), FileKeyRing(tmp_path / "keyring")
    assert mine.list_keys() == ()
    # When
    kid = theirs.add(1)
    # Then
    assert [key.kid for key in mine.list_keys()] == [kid]
    assert mine.sign(str(kid), b"message") == theirs.sign(str(kid), b"message")


def test_keys_added_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    # Given
    path = tmp_path / "keyring"
    threads = [
        threading.Thread(target=FileKeyRing(path).add, args=(second,)) for second in range(4)
    ]
    # When
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then
    assert [key.signs_from for key in FileKeyRing(path).list_keys()] == [0, 1, 2, 3]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"keys": 3'])
def test_a_damaged_file_is_reported_and_not_replaced(tmp_path: Path, content: str) -> None:
    # Given
    path = tmp_path / "keyring"
    path.write_text(content)
    # When / Then
    with pytest.raises(ConfigurationError, match="cannot be read"):
        FileKeyRing(path).add(1)
    assert path.read_text() == content


def test_a_foreign_alias_is_none_of_our_keys(ring: KeyRing) -> None:
    # Given
    keys.rotate()
    if isinstance(ring, KmsKeyRing):
        client = ring._client
        foreign = client.create_key()["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName="alias/datapunk-test-signing-other/1", TargetKeyId=foreign)
        client.create_alias(AliasName="alias/datapunk-test-signing/x", TargetKeyId=foreign)
        ring._listed = None
    # When / Then
    assert len(ring.list_keys()) == 1


@pytest.mark.parametrize("place", ["", "file:", "kms:", "vault:x", "/etc/keys"])
def test_a_place_that_is_none_is_a_configuration_error(place: str) -> None:
    # Given / When / Then
    with pytest.raises(ConfigurationError, match="KEY_RING"):
        open_key_ring(place)


def test_the_ring_file_is_json_with_the_private_halves(tmp_path: Path) -> None:
    # Given
    ring = FileKeyRing(tmp_path / "keyring")
    kid = ring.add(7)
    # When
    (entry,) = json.loads((tmp_path / "keyring").read_text())["keys"]
    # Then
    assert (entry["kid"], entry["signs_from"]) == (kid, 7)
    assert entry["private"].startswith("-----BEGIN PRIVATE KEY-----")


def test_a_handle_signs_and_never_gives_the_key_away(ring: KeyRing) -> None:
    # Given
    ring.add(0)
    (key,) = ring.list_keys()
    handle = SigningHandle(ring, key)
    # When
    signature = handle.sign(b"message", None, None)
    # Then
    key.public.verify(signature, b"message", PKCS1v15(), SHA256())
    for take in (
        handle.private_numbers,
        lambda: handle.private_bytes(None, None, None),
        lambda: handle.decrypt(b"", None),
    ):
        with pytest.raises(UnsupportedAlgorithm, match="stays in its ring"):
            take()
