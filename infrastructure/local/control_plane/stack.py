"""The stack on the control plane: created, or updated to what the template says now."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.control_plane.aws import Clients
from infrastructure.local.control_plane.packages import BUCKET, Artifact
from infrastructure.local.control_plane.remembered import digest_of_sources, translate_once
from infrastructure.local.control_plane.translation import write_translated

_FINGERPRINT = "DeployedFingerprint"
"""Output that tells what was deployed. A tag would do too, but tags spread to every resource: each deployment
would update them all."""

_TRANSLATED_FOR = "Stage"
"""The only parameter the translator is told: URLs and passwords are for CloudFormation to fill in."""

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_WHOLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
_UPDATABLE = _WHOLE | {"UPDATE_ROLLBACK_COMPLETE"}
_NOT_FOUND = "does not exist"
_NOTHING_TO_DO = "No updates are to be performed"


class DeploymentError(Exception):
    """The stack could not be created or updated; the message gives each failed resource's reason."""


@dataclass(frozen=True, slots=True)
class StackOutputs:
    """Outcome of a deployment. `changed` is false when there was nothing to do."""

    stack_id: str
    outputs: Mapping[str, str]
    changed: bool


def deploy(
    aws_endpoint: str,
    stack_name: str,
    template: Path,
    parameters: Mapping[str, str],
    project: Path,
    translations: Path,
    timeout: float = 120,
) -> StackOutputs:
    """Bring the stack to what `template.yaml` of the project says, with these parameters.

    The plain CloudFormation that was deployed is written to `template` for the data plane; `translations` is
    the folder where translations are kept. Without a change since the last deployment nothing but one
    look-up happens. A stack left behind by a failed creation is
    deleted and created again. Raises `DeploymentError` with the reasons of all failed resources, or after
    `timeout` seconds; `TranslationError` for a template that SAM refuses.
    """
    clients = Clients(aws_endpoint)
    formation = clients("cloudformation")
    fingerprint = _fingerprint(project, parameters)
    deadline = time.monotonic() + timeout
    stack = _settled(formation, stack_name, deadline)
    if stack and template.is_file() and _is_current(stack, fingerprint):
        return _outcome(stack, changed=False)

    stage = {name: value for name, value in parameters.items() if name == _TRANSLATED_FOR}
    translation = translate_once(project, stage, translations)
    translation.template.setdefault("Outputs", {})[_FINGERPRINT] = {"Value": fingerprint}
    document = Artifact(
        f"stacks/{stack_name}-{fingerprint}.json", json.dumps(translation.template).encode()
    )
    _upload(clients, (*translation.artifacts, document))
    if stack and stack["StackStatus"] not in _UPDATABLE:
        formation.delete_stack(StackName=stack_name)
        _gone(formation, stack_name, deadline)
        stack = None
    request = {
        "StackName": stack_name,
        "TemplateURL": document.url,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
        "Capabilities": _CAPABILITIES,
    }
    changed = _update(formation, request) if stack else _create(formation, request)
    stack = _settled(formation, stack_name, deadline)
    if stack is None or stack["StackStatus"] not in _WHOLE:
        raise DeploymentError(_reasons(formation, stack_name, stack))
    # Only now: while the stack still is the old one, so is the template beside it.
    write_translated(translation, template)
    return _outcome(stack, changed=changed)


def remove(aws_endpoint: str, stack_name: str, timeout: float = 120) -> None:
    """Delete the stack and wait until it is gone. A stack that is not there is fine."""
    formation = Clients(aws_endpoint)("cloudformation")
    formation.delete_stack(StackName=stack_name)
    _gone(formation, stack_name, time.monotonic() + timeout)


def _fingerprint(project: Path, parameters: Mapping[str, str]) -> str:
    """Digest of everything a deployment depends on: what is translated, and parameters."""
    digest = hashlib.sha256(digest_of_sources(project).encode())
    digest.update(json.dumps(dict(parameters), sort_keys=True).encode())
    return digest.hexdigest()[:32]


def _is_current(stack: Mapping[str, Any], fingerprint: str) -> bool:
    return stack["StackStatus"] in _WHOLE and _outputs(stack).get(_FINGERPRINT) == fingerprint


def _outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _outcome(stack: Mapping[str, Any], *, changed: bool) -> StackOutputs:
    outputs = {name: value for name, value in _outputs(stack).items() if name != _FINGERPRINT}
    return StackOutputs(stack_id=stack["StackId"], outputs=outputs, changed=changed)


def _upload(clients: Clients, artifacts: tuple[Artifact, ...]) -> None:
    storage = clients("s3")
    # Asked first: creating one's own bucket again is an error here, and none in AWS' first region.
    if BUCKET not in (bucket["Name"] for bucket in storage.list_buckets()["Buckets"]):
        storage.create_bucket(Bucket=BUCKET)
    with ThreadPoolExecutor(max_workers=8) as threads:
        uploads = [
            threads.submit(storage.put_object, Bucket=BUCKET, Key=artifact.key, Body=artifact.body)
            for artifact in artifacts
        ]
        for upload in uploads:
            upload.result()


def _create(formation: Any, request: Mapping[str, Any]) -> bool:
    formation.create_stack(**request)
    return True


def _update(formation: Any, request: Mapping[str, Any]) -> bool:
    from botocore.exceptions import ClientError

    try:
        formation.update_stack(**request)
    except ClientError as error:
        if _NOTHING_TO_DO in str(error):
            return False
        raise
    return True


def _find(formation: Any, stack_name: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        stacks = formation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if _NOT_FOUND in str(error):
            return None
        raise
    stack: dict[str, Any] = stacks[0]
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def _settled(formation: Any, stack_name: str, deadline: float) -> dict[str, Any] | None:
    """Wait until nothing is in progress, and return the stack or None."""
    pause = 0.05
    while True:
        stack = _find(formation, stack_name)
        if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        if time.monotonic() > deadline:
            raise DeploymentError(f"{stack_name} is still {stack['StackStatus']}; see its events")
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def _gone(formation: Any, stack_name: str, deadline: float) -> None:
    stack = _settled(formation, stack_name, deadline)
    if stack is not None:
        raise DeploymentError(_reasons(formation, stack_name, stack))


def _reasons(formation: Any, stack_name: str, stack: Mapping[str, Any] | None) -> str:
    """Return what failed and why, first failure first, nested stacks included."""
    status = stack["StackStatus"] if stack else "gone"
    reasons = _failures(formation, stack["StackId"]) if stack else []
    if stack and not reasons:
        reasons = _refusals(formation, stack["StackId"])
    if not reasons:
        reasons = [str((stack or {}).get("StackStatusReason") or "no reason was given")]
    return f"stack {stack_name} is {status}:\n  " + "\n  ".join(reasons)


def _failures(formation: Any, stack_id: str) -> list[str]:
    reasons: list[str] = []
    pages = formation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    for event in (event for page in pages for event in page["StackEvents"]):
        failed = event["ResourceStatus"].endswith("_FAILED")
        if not failed or event.get("PhysicalResourceId") == stack_id:
            continue
        if event["ResourceType"] == "AWS::CloudFormation::Stack" and event.get(
            "PhysicalResourceId"
        ):
            reasons += [
                f"{event['LogicalResourceId']}.{inner}" for inner in _inner(formation, event)
            ]
        reason = event.get("ResourceStatusReason", "no reason was given")
        reasons.append(f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}")
    # Events come latest first; the first failure is the cause, the others follow from it.
    return list(dict.fromkeys(reversed(reasons)))


def _refusals(formation: Any, stack_id: str) -> list[str]:
    """Return why CloudFormation refused the template before it touched any resource."""
    pages = formation.get_paginator("describe_events").paginate(StackName=stack_id)
    events = [event for page in pages for event in page["OperationEvents"]]
    return [
        f"{event.get('LogicalResourceId')} ({event.get('ResourceType')}): "
        f"{event.get('ValidationStatusReason')}"
        for event in events
        if event.get("ValidationStatus") == "FAILED"
    ]


def _inner(formation: Any, event: Mapping[str, Any]) -> list[str]:
    from botocore.exceptions import ClientError

    try:
        return _failures(formation, event["PhysicalResourceId"])
    except ClientError:
        # A nested stack that failed is deleted on the way back; its parent's event still has the reason.
        return []
