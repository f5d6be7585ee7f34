"""The template as a stack: created, left alone, updated, healed, and failing with a reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.local.control_plane.aws import Clients
from infrastructure.local.control_plane.reading import NotDeployedError
from infrastructure.local.control_plane.stack import DeploymentError, remove
from infrastructure.local.control_plane.translation import TranslationError
from infrastructure.local.paths import PROJECT

from .conftest import STACK, Plane


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project whose template may be changed: the nested storage and one function."""
    folder = tmp_path / "project"
    shutil.copytree(
        PROJECT / "infrastructure",
        folder / "infrastructure",
        ignore=lambda _, names: [name for name in names if not name.endswith(".yaml")],
    )
    (folder / "template.yaml").write_text(
        """
Transform: AWS::Serverless-2016-10-31
Resources:
  Storage:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: infrastructure/storage.yaml }
  PingFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub ${AWS::StackName}-ping
      CodeUri: functions/
      Handler: ping.handler
      Runtime: python3.13
      Environment: { Variables: { COLOUR: blue, BUCKET: !GetAtt Storage.Outputs.BucketName } }
""",
        encoding="utf-8",
    )
    return folder


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _last_update(plane: Plane) -> object:
    stack = Clients(plane.endpoint)("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    return stack.get("LastUpdatedTime", stack["CreationTime"])


def test_the_template_becomes_a_whole_stack(plane: Plane) -> None:
    # Given an empty control plane
    # When
    outcome = plane.deploy()
    # Then
    resources = Clients(plane.endpoint).pages(
        "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=STACK
    )
    assert outcome.changed
    assert {"ApiUrl", "ApiId", "StorageBucket", "MigrateFunctionArn"} <= set(outcome.outputs)
    assert {resource["ResourceStatus"] for resource in resources} == {"CREATE_COMPLETE"}


def test_deploying_without_a_change_touches_nothing(plane: Plane) -> None:
    # Given
    first = plane.deploy()
    updated = _last_update(plane)
    # When
    second = plane.deploy()
    # Then
    assert not second.changed
    assert second.outputs == first.outputs
    assert _last_update(plane) == updated


def test_a_changed_parameter_reaches_the_functions(plane: Plane) -> None:
    # Given
    first = plane.deploy()
    # When
    second = plane.deploy(DatabaseUrl="postgresql://other@127.0.0.1/datapunk", LogLevel="DEBUG")
    # Then the functions have it, and what has not changed is the same thing as before
    environments = [function.environment for function in plane.catalog().functions.values()]
    assert second.changed
    assert {item["DATABASE_URL"] for item in environments} == {
        "postgresql://other@127.0.0.1/datapunk"
    }
    assert {item["AWS_LAMBDA_LOG_LEVEL"] for item in environments} == {"DEBUG"}
    assert second.outputs["StorageBucket"] == first.outputs["StorageBucket"]
    assert second.outputs["ApiId"] == first.outputs["ApiId"]


def test_a_changed_template_updates_the_stack(plane: Plane, project: Path) -> None:
    # Given
    plane.deploy(project)
    # When a variable, a function and the nested template change
    _edit(project / "template.yaml", "COLOUR: blue", "COLOUR: green")
    _edit(project / "template.yaml", "ping.handler", "pong.handler")
    _edit(project / "infrastructure/storage.yaml", "data at rest", "data at last")
    before = plane.catalog(project).functions[f"{STACK}-ping"]
    outcome = plane.deploy(project)
    kms = Clients(plane.endpoint)("kms")
    keys = [kms.describe_key(KeyId=key["KeyId"]) for key in kms.list_keys()["Keys"]]
    # Then all three are deployed, in the same bucket
    after = plane.catalog(project).functions[f"{STACK}-ping"]
    assert outcome.changed
    assert (before.environment["COLOUR"], after.environment["COLOUR"]) == ("blue", "green")
    assert (before.handler, after.handler) == ("ping.handler", "pong.handler")
    assert before.environment["BUCKET"] == after.environment["BUCKET"]
    assert any("data at last" in key["KeyMetadata"]["Description"] for key in keys)


def test_a_removed_function_goes(plane: Plane, project: Path) -> None:
    # Given two functions
    template = project / "template.yaml"
    single = template.read_text(encoding="utf-8")
    template.write_text(
        single
        + "  ExtraFunction:\n    Type: AWS::Serverless::Function\n    Properties:\n"
        + "      { CodeUri: functions/, Handler: extra.handler, Runtime: python3.13 }\n",
        encoding="utf-8",
    )
    plane.deploy(project)
    assert len(plane.catalog(project).functions) == 2
    # When one leaves the template
    template.write_text(single, encoding="utf-8")
    plane.deploy(project)
    # Then
    assert list(plane.catalog(project).functions) == [f"{STACK}-ping"]


@pytest.mark.parametrize("saved", [False, True])
def test_a_crash_of_the_emulator_is_healed_by_deploying_again(plane: Plane, saved: bool) -> None:  # noqa: FBT001 - a parameter of the test
    # Given a deployed stack, which the emulator was told to remember or not
    first = plane.deploy()
    if saved:
        plane.service.save(30)
    # When
    plane.kill()
    second = plane.deploy()
    # Then everything is there; what was saved is the same stack
    assert second.changed is not saved
    assert len(plane.catalog().functions) == _functions_in_the_template()
    assert (second.outputs == first.outputs) is saved


def test_a_clean_stop_keeps_the_stack(plane: Plane) -> None:
    # Given
    plane.deploy()
    before = plane.catalog()
    # When
    plane.service.stop()
    plane.restart()
    # Then nothing has to be done, and the same is deployed
    assert not plane.deploy().changed
    assert plane.catalog() == before


def test_a_failed_deployment_says_which_resource_and_why(plane: Plane, project: Path) -> None:
    # Given a bucket whose name is taken
    clients = Clients(plane.endpoint)
    clients("s3").create_bucket(Bucket="taken-name")
    whole = (project / "template.yaml").read_text(encoding="utf-8")
    broken = "  Copy:\n    Type: AWS::S3::Bucket\n    Properties: { BucketName: taken-name }\n"
    (project / "template.yaml").write_text(whole + broken, encoding="utf-8")
    # When
    with pytest.raises(DeploymentError) as failure:
        plane.deploy(project)
    # Then the reason stands there, and a mended template heals it
    assert "Copy (AWS::S3::Bucket)" in str(failure.value)
    assert "already exists" in str(failure.value)
    (project / "template.yaml").write_text(whole, encoding="utf-8")
    assert plane.deploy(project).changed
    assert list(plane.catalog(project).functions) == [f"{STACK}-ping"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Handler: ping.handler", "Handlers: ping.handler", "PingFunction"),
        ("infrastructure/storage.yaml", "infrastructure/absent.yaml", "absent.yaml"),
    ],
)
def test_a_wrong_template_is_refused_before_anything_changes(
    plane: Plane, project: Path, old: str, new: str, says: str
) -> None:
    # Given
    _edit(project / "template.yaml", old, new)
    # When / Then
    with pytest.raises(TranslationError, match=says):
        plane.deploy(project)
    with pytest.raises(NotDeployedError):
        plane.catalog(project)


def test_a_removed_stack_is_gone(plane: Plane, project: Path) -> None:
    # Given
    plane.deploy(project)
    # When
    remove(plane.endpoint, STACK)
    remove(plane.endpoint, STACK)
    # Then
    with pytest.raises(NotDeployedError, match="make up"):
        plane.catalog(project)


def test_the_emulator_fires_no_schedule(plane: Plane) -> None:
    # Given the template's schedules, which the data plane runs
    plane.deploy()
    # When
    states = {rule["State"] for rule in Clients(plane.endpoint)("events").list_rules()["Rules"]}
    # Then the emulator has them switched off, while the catalog has what the template says
    assert states == {"DISABLED"}
    assert all(schedule.enabled for schedule in plane.catalog().schedules)


def _functions_in_the_template() -> int:
    count: Callable[[str], int] = (PROJECT / "template.yaml").read_text(encoding="utf-8").count
    return count("Type: AWS::Serverless::Function\n")
