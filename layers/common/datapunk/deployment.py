"""The edge of a function run at deployment: by `make up` directly, on AWS as a custom resource.

CloudFormation waits for an answer at a pre-signed address; leaving it out would hang the deployment for an
hour, so the answer is sent whatever happens.
"""

from __future__ import annotations

import functools
import json
import urllib.request
from collections.abc import Callable
from typing import Any

from datapunk.context import WorkContext, continue_correlation, continue_trace, deadline_of, working
from datapunk.errors import DatapunkError
from datapunk.identity import Caller
from datapunk.telemetry import logger

_ANSWER_TIMEOUT = 10.0

Run = Callable[[], dict[str, Any]]
LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def deployment_function(operation: str) -> Callable[[Run], LambdaHandler]:
    """Turn `run()` into a Lambda handler that also answers CloudFormation's custom resource requests.

    A deletion runs nothing: data outlives the stack that made it.
    """

    def decorate(run: Run) -> LambdaHandler:
        @functools.wraps(run)
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            work = WorkContext(
                operation=operation,
                correlation_id=continue_correlation(event.get("RequestId")),
                trace=continue_trace(None, None),
                deadline=deadline_of(context),
                caller=Caller(principal=operation),
            )
            with working(work):
                if "ResponseURL" not in event:
                    return run()
                return _as_custom_resource(run, event, context)

        return handler

    return decorate


def _as_custom_resource(run: Run, event: dict[str, Any], context: Any) -> dict[str, Any]:
    status, reason, outcome = "SUCCESS", "", {}
    try:
        if event.get("RequestType") != "Delete":
            outcome = run()
    except Exception as error:  # noqa: BLE001 -- CloudFormation must hear of any failure
        logger().exception("deployment step failed")
        status = "FAILED"
        reason = error.detail if isinstance(error, DatapunkError) else type(error).__name__
    _answer(
        event["ResponseURL"],
        {
            "Status": status,
            "Reason": reason or f"See the log stream {context.log_stream_name}",
            "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
        },
    )
    return outcome


def _answer(url: str, document: dict[str, Any]) -> None:
    if not url.startswith("https://"):
        raise DatapunkError("The custom resource's answer address is not HTTPS.")
    request = urllib.request.Request(  # noqa: S310 -- checked above
        url, data=json.dumps(document).encode(), headers={"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=_ANSWER_TIMEOUT):  # noqa: S310
        return
