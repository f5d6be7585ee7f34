"""What calls functions besides the APIs: queues, schedules, buckets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from infrastructure.local.catalog import (
    NOTIFICATION_ID,
    RULE_ID,
    QueueMapping,
    Schedule,
    StorageNotification,
)
from infrastructure.local.control_plane.aws import Clients
from infrastructure.local.control_plane.reading_api import function_name
from infrastructure.local.control_plane.translation import DECLARED_STATE, is_of_storage

if TYPE_CHECKING:
    from infrastructure.local.control_plane.reading import Deployed

_MAPPING = "AWS::Lambda::EventSourceMapping"
_RULE = "AWS::Events::Rule"
_SCHEDULE = "AWS::Scheduler::Schedule"
_DEFAULT_WINDOW = 0.5
"""Seconds that Lambda waits for an Amazon MQ batch when the mapping names no window."""


def read_queues(clients: Clients, deployed: Deployed) -> tuple[QueueMapping, ...]:
    """Return the stack's mappings of RabbitMQ queues."""
    ours = set(deployed.of_type(_MAPPING))
    found = (
        clients.pages("lambda", "list_event_source_mappings", "EventSourceMappings") if ours else []
    )
    queues = []
    for mapping in found:
        properties = deployed.definition(mapping["UUID"], _MAPPING).get("Properties", {})
        names = properties.get("Queues") or mapping.get("Queues")
        if mapping["UUID"] not in ours or not names:
            continue
        filters = mapping.get("FilterCriteria", {}).get("Filters", [])
        queues.append(
            QueueMapping(
                id=mapping["UUID"],
                function=function_name(mapping["FunctionArn"]),
                broker_arn=mapping["EventSourceArn"],
                queue=names[0],
                virtual_host=_virtual_host(properties),
                batch_size=mapping["BatchSize"],
                window=float(mapping.get("MaximumBatchingWindowInSeconds") or _DEFAULT_WINDOW),
                enabled=mapping["State"] not in {"Disabled", "Disabling"},
                filters=tuple(item["Pattern"] for item in filters),
            )
        )
    return tuple(queues)


def _virtual_host(properties: Mapping[str, Any]) -> str:
    for access in properties.get("SourceAccessConfigurations", []):
        if access["Type"] == "VIRTUAL_HOST":
            return str(access["URI"])
    return "/"


def read_schedules(clients: Clients, deployed: Deployed) -> tuple[Schedule, ...]:
    """Return the stack's schedules: rules of EventBridge and schedules of its scheduler."""
    return (*_rules(clients, deployed), *_scheduler(clients, deployed))


def _rules(clients: Clients, deployed: Deployed) -> Iterator[Schedule]:
    for name in deployed.of_type(_RULE):
        # The physical id of a rule on a named bus is `bus|rule`; schedules live on the default one.
        events = clients("events")
        rule = events.describe_rule(Name=name.rpartition("|")[2])
        if not rule.get("ScheduleExpression"):
            continue
        declared = _declared_state(deployed, name, _RULE, rule["State"])
        for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
            yield Schedule(
                name=rule["Name"],
                function=function_name(target["Arn"]),
                expression=rule["ScheduleExpression"],
                payload=target.get("Input"),
                enabled=declared == "ENABLED",
                source="aws.events",
            )


def _scheduler(clients: Clients, deployed: Deployed) -> Iterator[Schedule]:
    for name in deployed.of_type(_SCHEDULE):
        schedule = clients("scheduler").get_schedule(Name=name.rpartition("/")[2])
        declared = _declared_state(deployed, name, _SCHEDULE, schedule["State"])
        yield Schedule(
            name=schedule["Name"],
            function=function_name(schedule["Target"]["Arn"]),
            expression=schedule["ScheduleExpression"],
            payload=schedule["Target"].get("Input"),
            timezone=_timezone(deployed, name, schedule),
            enabled=declared == "ENABLED",
            source="aws.scheduler",
        )


def _timezone(deployed: Deployed, physical: str, schedule: Mapping[str, Any]) -> str:
    """Return the template's time zone, which the emulator drops, else the schedule's."""
    properties = deployed.definition(physical, _SCHEDULE).get("Properties", {})
    declared = properties.get("ScheduleExpressionTimezone")
    if isinstance(declared, str):
        return declared
    return str(schedule.get("ScheduleExpressionTimezone", "UTC"))


def _declared_state(deployed: Deployed, physical: str, kind: str, created: str) -> str:
    """Return the state that the template gives a schedule: ours are created disabled."""
    metadata = deployed.definition(physical, kind).get("Metadata", {})
    return str(metadata.get(DECLARED_STATE, created))


def read_storage_notifications(
    clients: Clients, deployed: Deployed
) -> tuple[StorageNotification, ...]:
    """Return the function notifications of the stack's buckets, and its rules for objects in buckets."""
    notifications = list(_storage_rules(clients, deployed))
    for bucket in deployed.of_type("AWS::S3::Bucket"):
        settings = clients("s3").get_bucket_notification_configuration(Bucket=bucket)
        # The data plane leads notifications of functions to a queue of its own and keeps their names.
        led = [
            item
            for item in settings.get("QueueConfigurations", [])
            if item["Id"].startswith(NOTIFICATION_ID) and not item["Id"].endswith(RULE_ID)
        ]
        for item in [*settings.get("LambdaFunctionConfigurations", []), *led]:
            arn = item.get("LambdaFunctionArn")
            rules = {
                rule["Name"].lower(): rule["Value"]
                for rule in item.get("Filter", {}).get("Key", {}).get("FilterRules", [])
            }
            notifications.append(
                StorageNotification(
                    bucket=bucket,
                    function=function_name(arn) if arn else item["Id"].split(":")[1],
                    events=tuple(item["Events"]),
                    prefix=rules.get("prefix", ""),
                    suffix=rules.get("suffix", ""),
                )
            )
    return tuple(notifications)


def _storage_rules(clients: Clients, deployed: Deployed) -> Iterator[StorageNotification]:
    for name in deployed.of_type(_RULE):
        events = clients("events")
        rule = events.describe_rule(Name=name.rpartition("|")[2])
        pattern = json.loads(rule.get("EventPattern") or "{}")
        declared = _declared_state(deployed, name, _RULE, rule["State"])
        if not is_of_storage(pattern) or declared != "ENABLED":
            continue
        detail = pattern["detail"]
        prefixes = [
            item["prefix"] for item in detail.get("object", {}).get("key", [{"prefix": ""}])
        ]
        for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
            for bucket in detail["bucket"]["name"]:
                for prefix in prefixes:
                    yield StorageNotification(
                        bucket=bucket,
                        function=function_name(target["Arn"]),
                        events=("s3:ObjectCreated:*",),
                        prefix=prefix,
                        rule=True,
                    )
