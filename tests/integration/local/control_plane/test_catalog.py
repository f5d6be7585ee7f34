"""The catalog says what the template says, function by function and route by route."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infrastructure.gateways.routes import METHODS
from infrastructure.local.catalog import Authorizer, Catalog, QueueMapping, StorageNotification
from infrastructure.local.control_plane.aws import Clients
from infrastructure.local.paths import PROJECT
from tests.support import templates

from .conftest import STACK, Plane

EVERY_KIND = Path(__file__).parent / "project"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return templates.template()


@pytest.fixture(scope="module")
def catalog(deployed: Plane) -> Catalog:
    return deployed.catalog()


def _functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each function's own and inherited properties, by operation."""
    found = {}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = {**template["Globals"]["Function"], **resource["Properties"]}
            handler = properties["Handler"].removesuffix(".handler")
            # The face of a protocol is called as its folder.
            found[handler.removesuffix(".app")] = properties
    return found


def test_every_function_is_there_with_its_settings(
    catalog: Catalog, template: dict[str, Any]
) -> None:
    # Given what the template says
    functions = _functions(template)
    expected = {
        operation: (item["Timeout"], item["MemorySize"])
        for operation, item in _functions(template).items()
    }
    # When / Then
    actual = {item.operation: (item.timeout, item.memory) for item in catalog.functions.values()}
    assert actual == expected
    for name, item in catalog.functions.items():
        module, _, operation = item.operation.partition(".")
        assert name == item.name == f"{STACK}-{module}-{operation}"
        assert item.arn.endswith(f":function:{name}")
        assert item.log_group == f"/aws/lambda/{name}"
        assert item.code == str(PROJECT / "functions")
        # What a function has of its own comes behind what all have.
        named = ["CommonLayer", *(layer["Ref"] for layer in functions[item.operation]["Layers"])]
        layers = [layer.removesuffix("Layer").lower() for layer in dict.fromkeys(named)]
        assert item.layers == tuple(str(PROJECT / "layers" / layer) for layer in layers)
        assert item.reserved_concurrency is None


def test_environments_are_resolved(catalog: Catalog, template: dict[str, Any]) -> None:
    # Given
    names = set(template["Globals"]["Function"]["Environment"]["Variables"])
    # When / Then every reference has become a string
    for item in catalog.functions.values():
        assert set(item.environment) == names | {"AWS_LAMBDA_LOG_LEVEL"}
        assert all(isinstance(value, str) for value in item.environment.values())
        assert item.environment["DATAPUNK_STAGE"] == "local"
        assert item.environment["DATABASE_URL"] == "postgresql://someone@127.0.0.1/datapunk"
        assert item.environment["DATABASE_CREDENTIALS"] == ""
        assert item.environment["STORAGE_BUCKET"]


def _methods(method: str) -> tuple[str, ...]:
    """Return what `ANY` is on one machine."""
    return METHODS if method == "ANY" else (method,)


def test_every_route_is_there(catalog: Catalog, template: dict[str, Any]) -> None:
    # Given
    expected = {
        (method, event["Properties"]["Path"], operation)
        for operation, item in _functions(template).items()
        for event in item.get("Events", {}).values()
        if event["Type"] == "Api"
        for method in _methods(event["Properties"]["Method"].upper())
    }
    # When
    assert catalog.rest_api is not None
    actual = {
        (route.method, route.path, catalog.functions[route.function].operation)
        for route in catalog.rest_api.routes
    }
    # Then
    assert actual == expected
    assert {route.timeout for route in catalog.rest_api.routes} == {29.0}


def test_the_stage_has_its_limits_types_and_answers(
    catalog: Catalog, template: dict[str, Any]
) -> None:
    # Given
    api, properties = catalog.rest_api, template["Resources"]["Api"]["Properties"]
    # When / Then
    assert api is not None
    assert api.stage == "local"
    assert set(api.binary_types) == set(properties["BinaryMediaTypes"])
    assert api.burst_limit == template["Parameters"]["ApiBurstLimit"]["Default"]
    assert api.rate_limit == template["Parameters"]["ApiRateLimit"]["Default"]
    assert set(api.gateway_responses) == set(properties["GatewayResponses"])
    throttled = api.gateway_responses["THROTTLED"]
    assert throttled.status == 429
    assert throttled.headers == {"Content-Type": "application/problem+json", "Retry-After": "1"}
    assert "too_many_requests" in throttled.templates["application/json"]


def test_queues_and_schedules_are_there(catalog: Catalog) -> None:
    # Given the template's mappings and schedules
    # When
    *others, queue = sorted(catalog.queues, key=lambda mapping: mapping.queue)
    schedules = {schedule.function: schedule for schedule in catalog.schedules}
    # Then
    assert queue == QueueMapping(
        id=queue.id,
        function=f"{STACK}-stream-store_event",
        broker_arn=queue.broker_arn,
        queue="stream.store_event",
        virtual_host="/",
        batch_size=100,
        window=1.0,
    )
    assert {item.queue: item.function for item in others} == {
        name: f"{STACK}-{name.replace('.', '-')}"
        for name in ("nexus.mirror_service", "lake.measure_changed")
    }
    assert {
        name.removeprefix(f"{STACK}-"): item.expression for name, item in schedules.items()
    } == {
        "lake-archive_partitions": "rate(1 day)",
        "lake-escalate_quarantine": "rate(15 minutes)",
        "lake-extend_partitions": "rate(1 day)",
        "lake-measure_quality": "rate(1 hour)",
        "lake-measure_storage": "rate(5 minutes)",
        "lake-rotate_data_keys": "rate(1 day)",
        "lake-sweep_uploads": "rate(5 minutes)",
        "lake-warm_cache": "rate(1 minute)",
        "nexus-expire_audit": "rate(1 day)",
        "nexus-repair_cache": "rate(1 minute)",
        "nexus-sweep_requests": "rate(1 minute)",
        "nexus-rotate_authority": "rate(1 day)",
        "nexus-probe_targets": "rate(1 minute)",
        "nexus-register_services": "rate(1 minute)",
        "nexus-rotate_keys": "rate(1 day)",
        "stream-relay_outbox": "rate(1 minute)",
    }
    assert all(schedule.enabled for schedule in schedules.values())
    assert {schedule.source for schedule in schedules.values()} == {"aws.events"}


def test_what_is_uploaded_reaches_its_function(catalog: Catalog, deployed: Plane) -> None:
    # Given
    bucket = catalog.functions[f"{STACK}-lake-load_upload"].environment["STORAGE_BUCKET"]
    # When / Then the rule is the data plane's to follow
    assert catalog.storage == (
        StorageNotification(
            bucket=bucket,
            function=f"{STACK}-lake-load_upload",
            events=("s3:ObjectCreated:*",),
            prefix="uploads/",
            rule=True,
        ),
    )
    events = Clients(deployed.endpoint)("events")
    states = {
        rule["Name"]: rule["State"]
        for rule in events.list_rules()["Rules"]
        if rule.get("EventPattern")
    }
    assert set(states.values()) == {"DISABLED"}


def test_every_kind_of_trigger_is_read(plane: Plane) -> None:
    # Given a template with one of each
    plane.deploy(EVERY_KIND)
    # When
    catalog = plane.catalog(EVERY_KIND)
    # Then
    echo = f"{STACK}-echo"
    guard = next(
        name for name, item in catalog.functions.items() if item.handler == "guard.handler"
    )
    assert catalog.functions[echo].reserved_concurrency == 3
    assert catalog.functions[echo].code == str(EVERY_KIND / "functions")
    assert catalog.functions[echo].layers == ()

    api = catalog.rest_api
    assert api is not None
    assert (api.stage, dict(api.stage_variables)) == ("test", {"colour": "blue"})
    routes = {route.path: route for route in api.routes}
    assert routes["/open"].authorizer is None
    assert routes["/things/{thing}"].authorizer == Authorizer(
        name="Guard",
        function=guard,
        kind="REQUEST",
        identity_sources=(
            "method.request.header.Authorization",
            "method.request.header.X-Tenant",
        ),
        ttl=60,
    )
    assert routes["/things/{thing}"].required_parameters == ("method.request.querystring.colour",)

    socket = catalog.websocket_api
    assert socket is not None
    assert (socket.name, socket.stage, socket.selection) == ("socket", "test", "$request.body.kind")
    assert dict(socket.routes) == {"$connect": echo, "say": echo}
    assert socket.answering_routes == {"say"}
    assert socket.authorizer is not None
    assert socket.authorizer.function == guard
    assert socket.authorizer.identity_sources == ("route.request.querystring.token",)

    schedules = {schedule.source: schedule for schedule in catalog.schedules}
    nightly, paused = schedules["aws.scheduler"], schedules["aws.events"]
    assert (nightly.function, nightly.expression) == (echo, "cron(15 2 * * ? *)")
    assert (nightly.timezone, nightly.payload) == ("Europe/Berlin", '{"depth": 2}')
    assert nightly.enabled
    assert (paused.function, paused.expression, paused.enabled) == (echo, "rate(5 minutes)", False)

    assert catalog.storage == (
        StorageNotification(
            bucket=f"{STACK}-uploads",
            function=echo,
            events=("s3:ObjectCreated:*",),
            suffix=".csv",
        ),
    )
