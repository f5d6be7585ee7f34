"""`template.yaml` as plain CloudFormation, for a control plane that knows no SAM.

The translation is AWS' own (`aws-sam-translator`); added is only what a machine without S3 uploads and with a
data plane of its own needs, each with its reason.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.control_plane import aws
from infrastructure.local.control_plane.packages import (
    Artifact,
    code_package,
    layer_package,
    template_document,
)

DECLARED_STATE = "DatapunkDeclaredState"
"""Metadata key that keeps a schedule's own state, see `_leave_firing_to_the_data_plane`."""

_ANY = "x-amazon-apigateway-any-method"
_METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
_SCHEDULES = ("AWS::Events::Rule", "AWS::Scheduler::Schedule")
_NESTED = {"AWS::CloudFormation::Stack": "TemplateURL", "AWS::Serverless::Application": "Location"}


class TranslationError(Exception):
    """The template cannot be translated; the message names the resource and what is wrong."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A plain template and the objects it refers to."""

    template: dict[str, Any]
    artifacts: tuple[Artifact, ...]


def local_parameters(
    *, database_url: str, redis_url: str, amqp_url: str, issuer: str, key_ring: Path, flags: Path
) -> dict[str, str]:
    """Return the template's parameters for one machine, where all services are given by URL.

    An event source mapping names its broker by ARN and its credentials by secret. Neither exists here: the
    data plane connects by URL, so these are names only.
    """
    prefix = f"{aws.REGION}:{aws.ACCOUNT}"
    return {
        "Stage": "local",
        "DatabaseUrl": database_url,
        "RedisUrl": redis_url,
        "AmqpUrl": amqp_url,
        "Issuer": issuer,
        "KeyRing": f"file:{key_ring}",
        "FeatureFlags": f"file:{flags}",
        "BrokerArn": f"arn:aws:mq:{prefix}:broker:local:b-00000000-0000-0000-0000-000000000000",
        "BrokerSecretArn": f"arn:aws:secretsmanager:{prefix}:secret:local-broker",
    }


def translate(source: Path, parameters: Mapping[str, str]) -> Translation:
    """Translate a SAM template; its folder is the project that relative paths start from.

    Raises `TranslationError` when SAM refuses the template, or when it names a nested template that is not
    there.
    """
    from samtranslator.yaml_helper import yaml_parse

    project = source.parent
    template = yaml_parse(source.read_text(encoding="utf-8"))
    artifacts = _point_to_packages(template, project)
    translated = _translate(template, parameters)
    _leave_firing_to_the_data_plane(translated)
    _spell_out_any_method(translated)
    return Translation(translated, artifacts)


def read_translated(path: Path) -> dict[str, Any]:
    """Read a translated template as `write_translated` left it."""
    template: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return template


def write_translated(translation: Translation, path: Path) -> None:
    """Write the template whole or not at all: the data plane may read it at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(translation.template, indent=1), encoding="utf-8")
    temporary.replace(path)


def resources_of_type(
    template: Mapping[str, Any], *types: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield logical id and resource for each resource of these types."""
    for name, resource in template.get("Resources", {}).items():
        if resource.get("Type") in types:
            yield name, resource


def _point_to_packages(template: dict[str, Any], project: Path) -> tuple[Artifact, ...]:
    """Replace local paths by objects of the package bucket, as `sam package` does; return the objects."""
    artifacts = [
        *_point_functions(template),
        *_point_layers(template),
        *_point_nested(template, project),
    ]
    return tuple({artifact.key: artifact for artifact in artifacts}.values())


def _point_functions(template: dict[str, Any]) -> Iterator[Artifact]:
    shared = template.get("Globals", {}).get("Function", {})
    sources: dict[str, list[dict[str, Any]]] = {}
    for name, function in resources_of_type(template, "AWS::Serverless::Function"):
        settings = {**shared, **function["Properties"]}
        for needed in ("CodeUri", "Handler"):
            if not isinstance(settings.get(needed), str):
                raise TranslationError(f"{name} needs a {needed}")
        sources.setdefault(settings["CodeUri"], []).append(function["Properties"])
    for source, functions in sources.items():
        handlers = [properties.get("Handler", shared.get("Handler")) for properties in functions]
        package = code_package(source, handlers)
        for properties in functions:
            properties["CodeUri"] = package.uri
        yield package


def _point_layers(template: dict[str, Any]) -> Iterator[Artifact]:
    for _, layer in resources_of_type(template, "AWS::Serverless::LayerVersion"):
        package = layer_package(layer["Properties"]["ContentUri"])
        layer["Properties"]["ContentUri"] = package.uri
        yield package


def _point_nested(template: dict[str, Any], project: Path) -> Iterator[Artifact]:
    for name, stack in resources_of_type(template, *_NESTED):
        place = _NESTED[stack["Type"]]
        path = project / stack["Properties"][place]
        if not path.is_file():
            raise TranslationError(f"{name}: {place} names {path}, which does not exist")
        artifacts = _nested(path, project)
        stack["Properties"][place] = artifacts[-1].url
        yield from artifacts


def _nested(path: Path, project: Path) -> tuple[Artifact, ...]:
    """Return a nested template, translated when it is SAM, behind the objects it refers to."""
    from samtranslator.yaml_helper import yaml_parse

    body = path.read_bytes()
    artifacts: tuple[Artifact, ...] = ()
    if "Transform" in yaml_parse(body.decode()):
        translation = translate(path, {})
        artifacts = translation.artifacts
        body = json.dumps(translation.template).encode()
    name = path.relative_to(project).with_suffix("").as_posix()
    return (*artifacts, template_document(name, body))


def _translate(template: dict[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    import boto3
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    # The session only tells the region and with it the partition; no call is made.
    session = boto3.Session(
        aws_access_key_id=aws.ACCESS_KEY,
        aws_secret_access_key=aws.SECRET_KEY,
        region_name=aws.REGION,
    )
    # The translator warns of features of AWS' own deployment, which is nothing to this machine's user.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    translator = Translator({}, Parser(), boto_session=session)
    try:
        translated: dict[str, Any] = translator.translate(copy.deepcopy(template), dict(parameters))
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes) or error.message
        raise TranslationError(f"SAM refuses the template: {causes}") from error
    translated.pop("Transform", None)
    return translated


def is_of_storage(pattern: Mapping[str, Any] | None) -> bool:
    """Tell whether a rule's pattern is for objects that come into a bucket."""
    return (
        pattern is not None
        and pattern.get("source") == ["aws.s3"]
        and pattern.get("detail-type") == ["Object Created"]
    )


def _leave_firing_to_the_data_plane(template: dict[str, Any]) -> None:
    """Create schedules disabled, and note in their metadata what the template says.

    The emulator fires enabled schedules by itself, and rules for what happens in buckets. So does the data
    plane, exactly; both together would run every function twice.
    """
    for _, resource in resources_of_type(template, *_SCHEDULES):
        properties = resource["Properties"]
        if "ScheduleExpression" in properties or is_of_storage(properties.get("EventPattern")):
            declared = properties.get("State", "ENABLED")
            resource.setdefault("Metadata", {})[DECLARED_STATE] = declared
            properties["State"] = "DISABLED"


def _spell_out_any_method(template: dict[str, Any]) -> None:
    """Give a path that takes any method each of them by name: the emulator makes no method of `ANY`."""
    for _, api in resources_of_type(template, "AWS::ApiGateway::RestApi"):
        for methods in api["Properties"].get("Body", {}).get("paths", {}).values():
            every = methods.pop(_ANY, None)
            if every is not None:
                for method in _METHODS:
                    methods.setdefault(method, copy.deepcopy(every))
