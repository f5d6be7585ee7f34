"""Storage notifications: what happens in a bucket of the control plane reaches a function.

The control plane can call functions itself, but in processes of its own and without trying again
after a restart of ours. So the bucket's notifications go to a queue of the control plane and are
taken from there: a message leaves the queue only when its function is through with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

import orjson
from botocore.config import Config

from infrastructure.local.catalog import NOTIFICATION_ID, StorageNotification
from infrastructure.local.control_plane.aws import ACCESS_KEY, SECRET_KEY, session
from infrastructure.local.data_plane.asynchronous import AsynchronousInvoker
from infrastructure.local.data_plane.invocation import UnknownFunctionError
from infrastructure.local.event_sources.thread_source import ThreadSource

LOGGER = logging.getLogger(__name__)
QUEUE = "datapunk-storage-notifications"
POLL_SECONDS = 1
RETRY_SECONDS = 2.0
VISIBILITY_SECONDS = 900
BATCH = 10
ACCOUNT = "000000000000"


class StorageSource(ThreadSource):
    """Delivers the notifications of all buckets, from `start` to `stop`."""

    def __init__(
        self,
        notifications: Sequence[StorageNotification],
        *,
        aws_endpoint: str,
        region: str,
        environment: Mapping[str, str],
        asynchronous: AsynchronousInvoker,
    ) -> None:
        super().__init__("storage")
        self.delivered = 0
        self._by_id = {item.id: item for item in notifications}
        self._endpoint = aws_endpoint
        self._region = region
        self._environment = environment
        self._asynchronous = asynchronous
        self._loop = asyncio.get_running_loop()
        self._stale = threading.Event()

    def renew(self) -> None:
        """Set the buckets up again: a deployment may have given them their notifications back."""
        self._stale.set()

    def status(self) -> dict[str, Any]:
        """Return what is watched and how much has been delivered."""
        return {
            "buckets": sorted({item.bucket for item in self._by_id.values()}),
            "state": self.state,
            "delivered": self.delivered,
        }

    def _run(self) -> None:
        queues = self._client("sqs")
        buckets = self._client("s3")
        url: str | None = None
        while not self._stop.is_set():
            try:
                if url is None or self._stale.is_set():
                    self._stale.clear()
                    url = self._set_up(queues, buckets)
                    self.state = "watching"
                answer = queues.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=BATCH,
                    WaitTimeSeconds=POLL_SECONDS,
                    VisibilityTimeout=VISIBILITY_SECONDS,
                )
                for message in answer.get("Messages", ()):
                    self._deliver(message["Body"])
                    queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            except Exception as error:  # noqa: BLE001 - it goes on once the control plane is back
                # The control plane is away, or has come back empty: set everything up again.
                url = None
                self.state = f"waiting: {type(error).__name__}"
                LOGGER.debug("Storage notifications: %s", error)
                self._stop.wait(RETRY_SECONDS)
        self.state = "stopped"

    def _client(self, service: str) -> Any:
        access_key = self._environment.get("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        secret_key = self._environment.get("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        return session(self._region, access_key, secret_key).client(
            service,
            endpoint_url=self._endpoint,
            config=Config(
                connect_timeout=3,
                read_timeout=10,
                retries={"max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )

    def _set_up(self, queues: Any, buckets: Any) -> str:
        """Create the queue and send the buckets' notifications there; return the queue's URL."""
        url: str = queues.create_queue(QueueName=QUEUE)["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        functions = {item.function for item in self._by_id.values()}
        for bucket in {item.bucket for item in self._by_id.values()}:
            current = buckets.get_bucket_notification_configuration(Bucket=bucket)
            current.pop("ResponseMetadata", None)
            current["LambdaFunctionConfigurations"] = [
                item
                for item in current.get("LambdaFunctionConfigurations", ())
                if item["LambdaFunctionArn"].split(":")[6] not in functions
            ]
            current["QueueConfigurations"] = [
                item
                for item in current.get("QueueConfigurations", ())
                if not item.get("Id", "").startswith(NOTIFICATION_ID)
            ] + [
                queue_configuration(item, arn)
                for item in self._by_id.values()
                if item.bucket == bucket
            ]
            buckets.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=current
            )
        return url

    def _deliver(self, body: str) -> None:
        """Run the function of a notification to its end, with Lambda's retries."""
        event = json.loads(body)
        for record in event.get("Records", ()):  # a test event has none
            item = self._by_id.get(record["s3"]["configurationId"])
            if item is None:
                continue
            given = rule_event(record) if item.rule else {"Records": [record]}
            with contextlib.suppress(UnknownFunctionError):
                asyncio.run_coroutine_threadsafe(
                    self._invoke(item.function, orjson.dumps(given)), self._loop
                ).result()
                self.delivered += 1

    async def _invoke(self, function: str, payload: bytes) -> bool:
        return await self._asynchronous.submit(function, payload)


def rule_event(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notification of a new object as EventBridge tells of it."""
    bucket, stored = record["s3"]["bucket"], record["s3"]["object"]
    told = {"key": unquote_plus(stored["key"])}
    for name, known in (("size", "size"), ("etag", "eTag"), ("version-id", "versionId")):
        if known in stored:
            told[name] = stored[known]
    kind = record["eventName"].partition(":")[2]
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": record["eventTime"],
        "region": record["awsRegion"],
        "resources": [bucket["arn"]],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket["name"]},
            "object": told,
            "reason": kind if kind == "CompleteMultipartUpload" else f"{kind}Object",
        },
    }


def queue_configuration(item: StorageNotification, arn: str) -> dict[str, Any]:
    """Return a bucket's notification to the queue, with the events and filters of the original."""
    rules = [
        {"Name": name, "Value": value}
        for name, value in (("prefix", item.prefix), ("suffix", item.suffix))
        if value
    ]
    configuration: dict[str, Any] = {
        "Id": item.id,
        "QueueArn": arn,
        "Events": list(item.events),
    }
    if rules:
        configuration["Filter"] = {"Key": {"FilterRules": rules}}
    return configuration
