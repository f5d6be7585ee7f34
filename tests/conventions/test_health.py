"""Every module answers the three probes, in one format, to anybody."""

from __future__ import annotations

import importlib
import json
from typing import Any

import jsonschema
import pytest
from datapunk.health import STARTUP, Check

from infrastructure.documents.health import SCHEMA_FILE
from tests.support.invoking import Invoker
from tests.support.samples import operations
from tests.support.services import Broker
from tests.support.templates import template

MODULES = sorted({operation.partition(".")[0] for operation in operations()})
PROBES = ("live", "ready", "startup")


def _checks(module: str) -> dict[str, Check]:
    found = importlib.import_module(f"{module}.check_health").CHECKS
    return {check.name: check for check in found}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_probes_open_to_anybody(module: str) -> None:
    # Given / When
    function = template()["Resources"][f"{module.capitalize()}CheckHealthFunction"]["Properties"]
    (event,) = function["Events"].values()
    # Then
    assert event["Properties"]["Path"] == f"/v1/{module}/health/{{probe}}"
    assert event["Properties"]["Method"] == "get"
    assert event["Properties"]["Auth"] == {"Authorizer": "NONE"}
    assert any(check.required for check in _checks(module).values())


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("probe", PROBES)
def test_every_body_keeps_to_the_published_schema(
    module: str, probe: str, database: str, broker: Broker, invoke: Invoker
) -> None:
    # Given
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    expected = {"live": [], "ready": list(_checks(module)), "startup": list(STARTUP)}[probe]
    # When
    answer = invoke(f"{module}.check_health", path={"probe": probe})
    # Then
    jsonschema.Draft202012Validator(schema).validate(answer.json)
    assert (answer.status, answer.json["status"], answer.json["service"]) == (200, "up", module)
    assert [check["name"] for check in answer.json["checks"]] == expected


@pytest.mark.parametrize("module", MODULES)
def test_a_module_lives_though_everything_is_gone(
    module: str, environment: None, monkeypatch: pytest.MonkeyPatch, invoke: Invoker
) -> None:
    # Given
    for name in ("DATABASE_URL", "REDIS_URL", "AMQP_URL", "KEY_RING"):
        monkeypatch.setenv(name, "")
    # When
    alive = invoke(f"{module}.check_health", path={"probe": "live"})
    ready = invoke(f"{module}.check_health", path={"probe": "ready"})
    # Then
    assert (alive.status, alive.json["checks"]) == (200, [])
    assert (ready.status, ready.json["status"]) == (503, "down")
