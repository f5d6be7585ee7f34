"""SAM to plain CloudFormation, with what a machine without uploads needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infrastructure.local.control_plane.translation import (
    DECLARED_STATE,
    Translation,
    TranslationError,
    read_translated,
    resources_of_type,
    translate,
    write_translated,
)

HEAD = "Transform: AWS::Serverless-2016-10-31\nResources:\n"
STORED = "{ source: [aws.s3], detail-type: [Object Created] }"
FUNCTION = """
  PingFunction:
    Type: AWS::Serverless::Function
    Properties:
      { CodeUri: functions/, Handler: ping.handler, Runtime: python3.13, Events: { %s } }
"""


def _translate(folder: Path, body: str, **files: str) -> Translation:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "template.yaml").write_text(HEAD + body, encoding="utf-8")
    return translate(folder / "template.yaml", {})


def _one(template: dict[str, Any], kind: str) -> dict[str, Any]:
    ((_, resource),) = resources_of_type(template, kind)
    return resource


def test_local_code_becomes_an_object_of_the_bucket(tmp_path: Path) -> None:
    # Given / When
    translation = _translate(tmp_path, FUNCTION % "")
    # Then
    code = _one(translation.template, "AWS::Lambda::Function")["Properties"]["Code"]
    (package,) = translation.artifacts
    assert code == {"S3Bucket": "datapunk-local-packages", "S3Key": package.key}
    assert "Transform" not in translation.template


@pytest.mark.parametrize(
    ("event", "kind", "state"),
    [
        (
            "Tick: { Type: Schedule, Properties: { Schedule: rate(1 minute) } }",
            "AWS::Events::Rule",
            "ENABLED",
        ),
        (
            "Tick: { Type: Schedule, Properties: { Schedule: rate(1 minute), Enabled: false } }",
            "AWS::Events::Rule",
            "DISABLED",
        ),
        (
            "Tick: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 minute) } }",
            "AWS::Scheduler::Schedule",
            "ENABLED",
        ),
        (
            f"Put: {{ Type: EventBridgeRule, Properties: {{ Pattern: {STORED} }} }}",
            "AWS::Events::Rule",
            "ENABLED",
        ),
    ],
)
def test_schedules_are_created_off_and_remember_what_they_were(
    tmp_path: Path, event: str, kind: str, state: str
) -> None:
    # Given / When
    schedule = _one(_translate(tmp_path, FUNCTION % event).template, kind)
    # Then
    assert schedule["Properties"]["State"] == "DISABLED"
    assert schedule["Metadata"][DECLARED_STATE] == state


def test_any_method_is_every_method_by_name(tmp_path: Path) -> None:
    # Given
    event = "Any: { Type: Api, Properties: { Method: any, Path: '/a/{path+}' } }"
    # When
    api = _one(_translate(tmp_path, FUNCTION % event).template, "AWS::ApiGateway::RestApi")
    # Then
    methods = api["Properties"]["Body"]["paths"]["/a/{path+}"]
    assert set(methods) == {"delete", "get", "head", "options", "patch", "post", "put"}
    assert len({str(method) for method in methods.values()}) == 1


def test_a_nested_sam_template_is_translated_too(tmp_path: Path) -> None:
    # Given
    body = "  Child: { Type: AWS::Serverless::Application, Properties: { Location: child.yaml } }\n"
    # When
    translation = _translate(tmp_path, body, child=HEAD + FUNCTION % "")
    # Then
    stack = _one(translation.template, "AWS::CloudFormation::Stack")
    documents = [
        item for item in translation.artifacts if item.url == stack["Properties"]["TemplateURL"]
    ]
    assert len(documents) == 1
    assert b"AWS::Lambda::Function" in documents[0].body
    assert any(artifact.key.endswith(".zip") for artifact in translation.artifacts)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (FUNCTION.replace("CodeUri: functions/, ", "") % "", "PingFunction needs a CodeUri"),
        (FUNCTION.replace("Handler: ping.handler, ", "") % "", "PingFunction needs a Handler"),
        (FUNCTION % "Tick: { Type: Nonsense, Properties: {} }", "PingFunction"),
        (
            "  Child: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: no.yaml } }\n",
            "no.yaml, which does not exist",
        ),
    ],
)
def test_a_wrong_template_is_refused_by_name(tmp_path: Path, body: str, says: str) -> None:
    # Given / When / Then
    with pytest.raises(TranslationError, match=says):
        _translate(tmp_path, body)


def test_a_translated_template_is_read_back_as_written(tmp_path: Path) -> None:
    # Given
    translation = _translate(tmp_path, FUNCTION % "")
    target = tmp_path / "run" / "template.json"
    # When
    write_translated(translation, target)
    # Then
    assert read_translated(target) == translation.template
    assert [path.name for path in target.parent.iterdir()] == ["template.json"]
