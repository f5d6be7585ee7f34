"""The catalog of what is deployed, read back from the control plane.

Settings are those of the created resources, with every reference resolved. What an emulator does not keep
(queues of a mapping, required parameters of a method, the gateway's own answers) comes from the translated
template that the stack was created from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.catalog import Catalog, Function
from infrastructure.local.control_plane import aws
from infrastructure.local.control_plane.aws import Clients
from infrastructure.local.control_plane.packages import source_of
from infrastructure.local.control_plane.reading_api import read_rest_api, read_websocket_api
from infrastructure.local.control_plane.reading_events import (
    read_queues,
    read_schedules,
    read_storage_notifications,
)
from infrastructure.local.control_plane.translation import read_translated


class NotDeployedError(Exception):
    """The stack is not there or not whole; the message says what to run."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack's resources: the template's, and what became of each."""

    template: Mapping[str, Any]
    created: tuple[Mapping[str, Any], ...]
    """`type`, `logical` id and `physical` id, nested stacks included."""

    def physical(self, logical: str) -> str | None:
        """Return the physical id of a resource of the root template."""
        for resource in self.created:
            if resource["logical"] == logical and resource["nested"] is False:
                return str(resource["physical"])
        return None

    def of_type(self, *types: str) -> list[str]:
        """Return the physical ids of all resources of these types."""
        return [str(item["physical"]) for item in self.created if item["type"] in types]

    def definition(self, physical: str, *types: str) -> Mapping[str, Any]:
        """Return the root template's properties of a created resource; empty for a nested one."""
        for resource in self.created:
            if resource["physical"] == physical and resource["type"] in types:
                found = self.template["Resources"].get(resource["logical"], {})
                return dict(found) if resource["nested"] is False else {}
        return {}


def read_catalog(aws_endpoint: str, stack_name: str, template: Path, project: Path) -> Catalog:
    """Read everything that the stack deployed.

    `template` is the translated template as `deploy` left it, `project` the folder whose `functions/` and
    `layers/` the functions run from. Raises `NotDeployedError` when there is no such stack.
    """
    clients = Clients(aws_endpoint)
    deployed = Deployed(_template(template), tuple(_resources(clients, stack_name)))
    functions = {function.name: function for function in _functions(clients, deployed, project)}
    return Catalog(
        region=aws.REGION,
        account=aws.ACCOUNT,
        functions=functions,
        rest_api=read_rest_api(clients, deployed),
        websocket_api=read_websocket_api(clients, deployed),
        queues=read_queues(clients, deployed),
        schedules=read_schedules(clients, deployed),
        storage=read_storage_notifications(clients, deployed),
        trust_store=_trust_store(clients, stack_name),
    )


def _template(path: Path) -> dict[str, Any]:
    try:
        return read_translated(path)
    except FileNotFoundError:
        raise NotDeployedError(
            f"{path} is missing: run `make up`, it deploys the template"
        ) from None


def _resources(clients: Clients, stack: str, *, nested: bool = False) -> list[dict[str, Any]]:
    from botocore.exceptions import ClientError

    try:
        summaries = clients.pages(
            "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack
        )
    except ClientError as error:
        raise NotDeployedError(f"stack {stack} is not there ({error}): run `make up`") from error
    summaries = [item for item in summaries if item["ResourceStatus"] != "DELETE_COMPLETE"]
    if not summaries:
        raise NotDeployedError(f"stack {stack} is gone: run `make up`, it deploys the template")
    resources = []
    for summary in summaries:
        physical = summary.get("PhysicalResourceId", "")
        resources.append(
            {
                "type": summary["ResourceType"],
                "logical": summary["LogicalResourceId"],
                "physical": physical,
                "nested": nested,
            }
        )
        if summary["ResourceType"] == "AWS::CloudFormation::Stack" and physical:
            resources += _resources(clients, physical, nested=True)
    return resources


def _trust_store(clients: Clients, stack: str) -> str | None:
    """Return what the stack's output names; a domain, whose it is on AWS, needs a public name."""
    (found,) = clients("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {item["OutputKey"]: str(item["OutputValue"]) for item in found.get("Outputs", [])}
    return outputs.get("TrustStore")


def _functions(clients: Clients, deployed: Deployed, project: Path) -> list[Function]:
    kind = "AWS::Lambda::Function"
    names = set(deployed.of_type(kind))
    layers = _layer_folders(deployed, project)
    functions = []
    for settings in clients.pages("lambda", "list_functions", "Functions"):
        name = settings["FunctionName"]
        if name not in names:
            continue
        properties = deployed.definition(name, kind).get("Properties", {})
        logging = settings.get("LoggingConfig", {})
        functions.append(
            Function(
                name=name,
                arn=settings["FunctionArn"],
                handler=settings["Handler"],
                timeout=float(settings["Timeout"]),
                memory=settings["MemorySize"],
                environment=_environment(settings, logging),
                code=str(project / source_of(properties["Code"]["S3Key"])),
                layers=tuple(layers[layer["Arn"]] for layer in settings.get("Layers", [])),
                reserved_concurrency=_reserved(clients, name, properties),
                log_group=logging.get("LogGroup", f"/aws/lambda/{name}"),
            )
        )
    return functions


def _environment(settings: Mapping[str, Any], logging: Mapping[str, Any]) -> dict[str, str]:
    """Return the function's variables, and the log level as Lambda sets it from the logging settings."""
    variables: dict[str, str] = dict(settings.get("Environment", {}).get("Variables", {}))
    if "ApplicationLogLevel" in logging:
        variables.setdefault("AWS_LAMBDA_LOG_LEVEL", logging["ApplicationLogLevel"])
    return variables


def _reserved(clients: Clients, name: str, properties: Mapping[str, Any]) -> int | None:
    reserved = properties.get("ReservedConcurrentExecutions")
    if reserved is None or isinstance(reserved, int):
        return reserved
    settings = clients("lambda").get_function_concurrency(FunctionName=name)
    found: int | None = settings.get("ReservedConcurrentExecutions")
    return found


def _layer_folders(deployed: Deployed, project: Path) -> dict[str, str]:
    """Return each layer version's folder in the working tree by the version's ARN."""
    kind = "AWS::Lambda::LayerVersion"
    folders = {}
    for arn in deployed.of_type(kind):
        content = deployed.definition(arn, kind)["Properties"]["Content"]
        folders[arn] = str(project / source_of(content["S3Key"]))
    return folders
