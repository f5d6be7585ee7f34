"""The edge of functions that operators run: at deployment, or by hand with what they want.

What runs at deployment is invoked by `make up` directly and on AWS as a custom resource.

CloudFormation waits for an answer at a pre-signed address; leaving it out would hang the deployment for an
hour, so the answer is sent whatever happens.
"""

from __future__ import annotations

import functools
import json
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ValidationError

from datapunk.context import WorkContext, continue_correlation, continue_trace, deadline_of, working
from datapunk.errors import DatapunkError, InvalidInputError
from datapunk.identity import SYSTEM, Caller
from datapunk.telemetry import logger
from datapunk.validation import field_errors

_ANSWER_TIMEOUT = 10.0

Run = Callable[[], dict[str, Any]]
LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]
Wanted = TypeVar("Wanted", bound=BaseModel)


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


def operator_function(
    operation: str,
) -> Callable[[Callable[[Wanted], BaseModel]], LambdaHandler]:
    """Turn `run(wanted)` into a Lambda handler for whoever may invoke the function itself.

    The payload is validated as the model that `run` asks for; the outcome is what `run` returns. It runs in
    the platform's own name, so the right to invoke it (IAM) is the right to do what it does.
    """

    def decorate(run: Callable[[Wanted], BaseModel]) -> LambdaHandler:
        model: type[Wanted] = next(iter(get_type_hints(run).values()))

        @functools.wraps(run)
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            work = WorkContext(
                operation=operation,
                correlation_id=continue_correlation(None),
                trace=continue_trace(None, None),
                deadline=deadline_of(context),
                caller=SYSTEM,
            )
            with working(work):
                return run(_wanted(model, event)).model_dump(mode="json")

        return handler

    return decorate


def _wanted(model: type[Wanted], event: dict[str, Any]) -> Wanted:
    try:
        return model.model_validate(event)
    except ValidationError as error:
        found = field_errors(error.errors(include_input=False, include_url=False))
        told = "; ".join(f"{item.field}: {item.message}" for item in found)
        # Not chained: the validator's own message repeats what was sent, passwords too.
        raise InvalidInputError(f"Not valid: {told}.", errors=found) from None


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
