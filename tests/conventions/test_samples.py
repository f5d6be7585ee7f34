"""Every event sample is accepted by its handler, run against real services."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.answers import Answers
from tests.support.invoking import Invoker, run
from tests.support.samples import http_event, http_operations, load_sample, operations
from tests.support.scenes import USER_ID, set_up
from tests.support.services import Broker

AUTHORIZER = "nexus.authorize"
HTTP = http_operations()
CUSTOM_RESOURCES = [o for o in operations() if "ResponseURL" in load_sample(o)]
ANSWERS = {
    "lake.discard_quarantined": 204,
    "nexus.begin_authorization": 302,
    "nexus.begin_federated_sign_in": 303,
    "nexus.complete_federated_sign_in": 303,
    "nexus.create_tenant": 201,
    "nexus.delete_route": 204,
    "nexus.end_session": 302,
    "nexus.end_session_by_id": 204,
    "nexus.revoke_role": 204,
}
"""Where the good answer is not just any 2xx."""
OTHER: dict[str, dict[str, Any]] = {
    "lake.archive_partitions": {"months": 0, "rows": 0, "removed": 0, "left": {}},
    "lake.escalate_quarantine": {"told": 0, "waiting": 0, "oldest_seconds": 0.0},
    "lake.extend_partitions": {"made": 0, "left": 0, "validated": 0},
    "lake.measure_changed": {"done": 1, "retry": 0, "dead": 0, "duplicate": 0},
    "lake.measure_quality": {"measured": 0, "left": 0, "forgotten": 0},
    "lake.measure_storage": {"left": []},
    "lake.load_upload": {"outcome": "not_mine"},
    "lake.rotate_data_keys": {"tenants": 0, "own": 0, "persons": 0, "left": False},
    "lake.sweep_uploads": {"started": 0, "forgotten": 0},
    "lake.warm_cache": {"hot": 0, "loaded": 0},
    "nexus.ensure_client": {"id": "datapunk-cli", "tenant": "public", "public": True},
    "nexus.ensure_user": {"email": "admin@example.com", "name": "Administrator"},
    "nexus.expire_audit": {"removed": 0},
    "nexus.rotate_authority": {"removed": []},
    "nexus.mirror_service": {"done": 1, "retry": 0, "dead": 0, "duplicate": 0},
    "nexus.probe_targets": {"rounds": 1, "probes": 0, "failed": 0, "published": 0},
    "nexus.register_services": {"services": ["lake", "nexus", "stream"]},
    "nexus.repair_cache": {"repaired": 0, "waiting": 0, "forgotten": 0},
    "nexus.run_request": {"outcome": "not_mine"},
    "nexus.sweep_requests": {"started": 0, "expired": 0},
    "nexus.rotate_keys": {"removed": [], "forgotten": 0},
    "stream.relay_outbox": {"published": 0, "waiting": 0, "forgotten": 0},
    "stream.store_event": {"done": 1, "retry": 0, "dead": 0, "duplicate": 0},
}
"""What the outcome of other functions contains."""
NEEDS_BUCKET = {"lake.create_upload", "lake.export_records"}
"""Requests that are answered with something of the storage's."""
OBJECTS = [
    operation for operation in HTTP if (load_sample(operation)["body"] or "").startswith("{")
]
"""Requests with an object of JSON."""
SECRETS = ("password", "secret", "AKIA", "localhost", "/home/")


def test_every_sample_is_tried() -> None:
    # Given / When / Then
    assert sorted([*HTTP, AUTHORIZER, *CUSTOM_RESOURCES, *OTHER]) == operations()


@pytest.mark.parametrize("operation", OBJECTS)
def test_an_array_of_an_object_is_not_the_object(
    operation: str,
    database: str,
    no_broker: None,
    authority: None,
    google: None,
    invoke: Invoker,
) -> None:
    # Given
    body = json.loads(load_sample(operation)["body"])
    changes = set_up(operation)
    # When
    answer = invoke(operation, **{**changes, "body": [changes.get("body", body)]})
    # Then
    assert answer.status in (400, 422), answer.body


@pytest.mark.parametrize("operation", HTTP)
def test_a_request_is_answered_well(
    operation: str,
    database: str,
    broker: Broker,
    authority: None,
    google: None,
    invoke: Invoker,
    request: pytest.FixtureRequest,
) -> None:
    # Given
    if operation in NEEDS_BUCKET:
        request.getfixturevalue("bucket")
    changes = set_up(operation)
    # When
    answer = invoke(operation, **changes)
    # Then
    wanted = [ANSWERS[operation]] if operation in ANSWERS else range(200, 300)
    assert answer.status in wanted, answer.body
    # A redirection may carry an error as well.
    assert "error=" not in answer.headers.get("location", "")


def test_the_authorizer_lets_its_request_through(database: str) -> None:
    # Given
    changes = set_up(AUTHORIZER)
    # When
    outcome = run(AUTHORIZER, http_event(AUTHORIZER, **changes))
    # Then
    assert outcome["principalId"] == f"user:{USER_ID}"
    assert outcome["policyDocument"]["Statement"][0]["Effect"] == "Allow"


def test_the_authorizer_refuses_the_token_of_its_sample(database: str) -> None:
    # Given / When / Then
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        run(AUTHORIZER, load_sample(AUTHORIZER))


@pytest.mark.parametrize("operation", CUSTOM_RESOURCES)
def test_a_custom_resource_succeeds(
    operation: str, database: str, broker: Broker, cloudformation: Answers
) -> None:
    # Given
    event = {**load_sample(operation), "ResponseURL": cloudformation.url}
    # When
    run(operation, event)
    # Then
    assert [document["Status"] for document in cloudformation.documents] == ["SUCCESS"]


@pytest.mark.parametrize("operation", OTHER)
def test_a_batch_or_schedule_succeeds(
    operation: str, database: str, broker: Broker, bucket: str
) -> None:
    # Given / When
    outcome = run(operation, load_sample(operation))
    # Then
    assert {name: outcome[name] for name in OTHER[operation]} == OTHER[operation]


@pytest.mark.parametrize("operation", operations())
def test_a_sample_gives_nothing_away(operation: str) -> None:
    # Given / When
    text = json.dumps(load_sample(operation))
    # Then
    assert [word for word in SECRETS if word in text] == []
