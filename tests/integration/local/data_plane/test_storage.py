"""Storage notifications with the real control plane."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from infrastructure.local.catalog import StorageNotification
from infrastructure.local.control_plane.ministack import MiniStack
from infrastructure.local.paths import Paths, default_paths
from infrastructure.local.state import State
from tests.integration.local.data_plane.plane import Plane, eventually


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[str]:
    paths = Paths(state=tmp_path / "aws", programs=default_paths().programs)
    paths.create()
    stack = MiniStack(paths, State(paths))
    stack.start()
    try:
        stack.wait_ready(60)
        yield stack.endpoints()["aws"]
    finally:
        stack.stop()


def client(endpoint: str) -> Any:
    return boto3.session.Session(
        region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    ).client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}))


def test_an_object_reaches_the_function_of_a_rule(
    aws: str, new_plane: Callable[..., Plane], tmp_path: Path
) -> None:
    # Given a rule of EventBridge for what comes into a bucket
    collected = tmp_path / "collected"
    collected.mkdir()
    plane = new_plane(aws_endpoint=aws)
    function = plane.function("source.collect", environment={"COLLECT": str(collected)})
    rule = StorageNotification(
        bucket="files",
        function=function.name,
        events=("s3:ObjectCreated:*",),
        prefix="uploads/",
        rule=True,
    )
    plane.start(plane.catalog(functions=[function], storage=(rule,)))
    store = client(aws)
    store.create_bucket(Bucket="files")
    eventually(lambda: plane.status()["event_sources"]["storage"]["state"] == "watching", 30)
    # When
    store.put_object(Bucket="files", Key="uploads/a b", Body=b"12")
    events = collected / "events.jsonl"
    eventually(lambda: events.exists() and events.read_text().endswith("\n"))
    # Then it has EventBridge's shape
    (event,) = map(json.loads, events.read_text().splitlines())
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert event["detail"]["bucket"] == {"name": "files"}
    assert (event["detail"]["object"]["key"], event["detail"]["object"]["size"]) == (
        "uploads/a b",
        2,
    )
    assert event["detail"]["reason"] == "PutObject"
    store.close()


def test_objects_reach_the_function(
    aws: str, new_plane: Callable[..., Plane], tmp_path: Path
) -> None:
    # Given a bucket with a notification of its own, and a data plane that started before it
    collected = tmp_path / "collected"
    collected.mkdir()
    plane = new_plane(aws_endpoint=aws)
    function = plane.function("source.collect", environment={"COLLECT": str(collected)})
    notification = StorageNotification(
        bucket="photos",
        function=function.name,
        events=("s3:ObjectCreated:*", "s3:ObjectRemoved:*"),
        prefix="in/",
        suffix=".txt",
    )
    plane.start(plane.catalog(functions=[function], storage=(notification,)))
    store = client(aws)
    store.create_bucket(Bucket="photos")

    def is_watching() -> bool:
        return bool(plane.status()["event_sources"]["storage"]["state"] == "watching")

    def events() -> list[dict[str, Any]]:
        path = collected / "events.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    eventually(is_watching, 30)
    # When
    store.put_object(Bucket="photos", Key="out/a.txt", Body=b"1")
    store.put_object(Bucket="photos", Key="in/a.png", Body=b"1")
    store.put_object(Bucket="photos", Key="in/a b.txt", Body=b"12")
    eventually(events)
    store.delete_object(Bucket="photos", Key="in/a b.txt")
    eventually(lambda: len(events()) == 2)
    # Then
    created, removed = (event["Records"][0] for event in events())
    assert created["eventSource"] == "aws:s3"
    assert created["eventName"] == "ObjectCreated:Put"
    assert created["s3"]["bucket"]["name"] == "photos"
    assert created["s3"]["object"]["key"] == "in/a+b.txt"
    assert created["s3"]["object"]["size"] == 2
    assert removed["eventName"] == "ObjectRemoved:Delete"
    # And what happens while the data plane is away is not lost
    plane.stop()
    store.put_object(Bucket="photos", Key="in/later.txt", Body=b"1")
    plane.restart(wait=True)
    eventually(lambda: len(events()) == 3, 30)
    assert events()[2]["Records"][0]["s3"]["object"]["key"] == "in/later.txt"
    # And the notification still names its function
    settings = store.get_bucket_notification_configuration(Bucket="photos")
    (led,) = settings["QueueConfigurations"]
    assert led["Id"].split(":")[1] == function.name
    # And a deployment that gives the bucket its own notification back changes nothing
    store.put_bucket_notification_configuration(
        Bucket="photos",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": function.arn, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    plane.reload(plane.catalog(functions=[function], storage=(notification,)))

    def is_led() -> bool:
        settings = store.get_bucket_notification_configuration(Bucket="photos")
        return "LambdaFunctionConfigurations" not in settings and "QueueConfigurations" in settings

    eventually(is_led)
    store.close()
