"""What scales is there only where it is asked for, and the template stays within CloudFormation's size."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from infrastructure.local.control_plane.translation import translate
from infrastructure.scaling.forecast import UTILIZATION
from tests.support.templates import template

PROJECT = Path(__file__).resolve().parents[2]
MOST_RESOURCES = 480
"""CloudFormation takes 500 resources; the rest is room to notice."""

BACKGROUND = ("Schedule", "MQ", "EventBridgeRule")
MODULES = ("nexus", "lake", "stream")
ASYNCHRONOUS = {"NexusRunRequestFunction"}
"""Invoked by another function that does not wait."""


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    return copy.deepcopy(translate(PROJECT / "template.yaml", {"Stage": "prod"}).template)


def test_the_stack_fits_into_cloudformation(translated: dict[str, Any]) -> None:
    # Given / When
    count = len(translated["Resources"])
    # Then
    assert count <= MOST_RESOURCES, (
        f"the transformed template has {count} resources, and CloudFormation takes 500: move the resources "
        "of a module's shared parts (policies, log groups) into a nested template of infrastructure/"
    )


def test_nothing_is_warm_or_reserved_by_default() -> None:
    # Given / When
    parameters, conditions = template()["Parameters"], template()["Conditions"]
    # Then
    off = ["AuthorizerWarmMaximum", "AuthorizerPeakMinimum"]
    off += [f"{module.capitalize()}BackgroundConcurrency" for module in MODULES]
    assert {parameters[name]["Default"] for name in off} == {0}
    for module in MODULES:
        name = module.capitalize()
        unset = {"Fn::Equals": [{"Ref": f"{name}BackgroundConcurrency"}, 0]}
        assert conditions[f"Reserves{name}"] == {"Fn::Not": [unset]}
    assert template()["Resources"]["Scaling"]["Condition"] == "ScalesAuthorizer"
    for name, resource in template()["Resources"].items():
        assert "ProvisionedConcurrencyConfig" not in resource.get("Properties", {}), name


def test_what_runs_in_the_background_takes_the_reservation_of_its_module() -> None:
    for name, resource in template()["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        # Given
        properties = resource["Properties"]
        kinds = {event["Type"] for event in properties.get("Events", {}).values()}
        module = properties["Handler"].partition(".")[0].capitalize()
        # When
        reserved = properties.get("ReservedConcurrentExecutions")
        # Then
        if kinds & set(BACKGROUND) or name in ASYNCHRONOUS:
            assert reserved == {
                "Fn::If": [
                    f"Reserves{module}",
                    {"Ref": f"{module}BackgroundConcurrency"},
                    {"Ref": "AWS::NoValue"},
                ]
            }, name
        else:
            assert reserved is None, name


def test_the_warm_alias_follows_the_layer() -> None:
    # Given / When
    resources = template()["Resources"]
    # Then a new layer makes a new version, or the alias would stay with the old one
    assert (
        resources["NexusAuthorizeFunction"]["Properties"]["AutoPublishAliasAllProperties"] is True
    )
    assert resources["CommonLayer"]["Properties"]["PublishLambdaVersion"] is True


def test_the_forecast_and_target_tracking_mean_the_same_utilization() -> None:
    # Given
    policy = template("infrastructure/scaling.yaml")["Resources"]["Policy"]["Properties"]
    # When
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    # Then
    assert tracking["TargetValue"] == UTILIZATION
    assert tracking["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"
    }
