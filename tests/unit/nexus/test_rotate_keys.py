"""nexus.rotate_keys: once a day, and at deployment."""

from __future__ import annotations

from pathlib import Path

import pytest
from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.keyring.file import FileKeyRing
from datapunk.settings import settings

from tests.support.answers import Answers
from tests.support.invoking import Invoker
from tests.support.oauth import add_client, add_user, code_for

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileKeyRing:
    """Return an empty ring that the function uses."""
    monkeypatch.setenv("KEY_RING", f"file:{tmp_path / 'keyring'}")
    settings.cache_clear()
    return FileKeyRing(tmp_path / "keyring")


def test_the_first_run_makes_a_key_and_the_next_one_none(
    ring: FileKeyRing, invoke: Invoker
) -> None:
    # Given / When
    first = invoke.sample("nexus.rotate_keys")
    second = invoke.sample("nexus.rotate_keys")
    # Then
    assert first["added"] == [key.kid for key in ring.list_keys()]
    nothing: dict[str, list[str]] = {"added": [], "removed": []}
    assert second == {**nothing, "forgotten": 0}


def test_expired_grants_are_forgotten_with_all_they_had(ring: FileKeyRing, invoke: Invoker) -> None:
    # Given two grants, one of them expired
    client, user = add_client(), add_user()
    code_for(client, user)
    with transaction(SYSTEM) as tx:
        tx.execute("UPDATE nexus.oauth_grants SET expires_at = now() - interval '1 second'")
    code_for(client, user)
    # When
    outcome = invoke.sample("nexus.rotate_keys")
    # Then
    with transaction(SYSTEM) as tx:
        left = tx.value("SELECT count(*) FROM nexus.oauth_codes")
    assert (outcome["forgotten"], left) == (1, 1)


def test_a_deployment_waits_for_the_first_key(
    ring: FileKeyRing, invoke: Invoker, cloudformation: Answers
) -> None:
    # Given
    event = {
        "RequestType": "Create",
        "ResponseURL": cloudformation.url,
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/datapunk/1",
        "RequestId": "f2a1",
        "LogicalResourceId": "NexusSigningKeys",
        "ResourceProperties": {},
    }
    # When
    invoke.event("nexus.rotate_keys", event)
    # Then
    assert cloudformation.documents[0]["Status"] == "SUCCESS"
    assert len(ring.list_keys()) == 1
