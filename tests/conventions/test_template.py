"""The template keeps the house's law: one name through everything, least privilege, logs that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datapunk.trust_store import KEY

from tests.support.templates import template

PROJECT = Path(__file__).resolve().parents[2]

REST_SECONDS = 29
"""API Gateway ends a request after 29 s: a function that may run longer answers nobody."""

MAPPING_SECONDS = 900
SCHEDULE_SECONDS = 60
DAILY = "rate(1 day)"
LAMBDA_SECONDS = 900
"""What runs once a day may take as long as Lambda lets it."""
EVENT_SECONDS = 300

SERVES_NO_RESOURCE = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "kms:CreateKey",
    "kms:ListAliases",
    "kms:TagResource",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
    "servicediscovery:ListInstances",
    "servicediscovery:ListServices",
}
"""Actions that may stand with resource `*`: AWS offers nothing narrower, or Lambda needs it so."""

ENVIRONMENT = {
    "DATAPUNK_STAGE",
    "DATABASE_URL",
    "DATABASE_CREDENTIALS",
    "REDIS_URL",
    "REDIS_CREDENTIALS",
    "AMQP_URL",
    "AMQP_CREDENTIALS",
    "SERVICES",
    "SIGN_IN_PROVIDERS",
    "STORAGE_BUCKET",
    "ISSUER",
    "KEY_RING",
    "FEATURE_FLAGS",
    "DATAPUNK_POSTGIS",
    "MUTUAL_TLS_DOMAIN",
    "CLOUD_MAP_NAMESPACE",
    "SERVICE_NETWORKS",
    "POWERTOOLS_METRICS_NAMESPACE",
    "PYDANTIC_DISABLE_PLUGINS",
}


def _resources() -> dict[str, dict[str, Any]]:
    resources: dict[str, dict[str, Any]] = template()["Resources"]
    return resources


def _functions() -> list[tuple[str, dict[str, Any]]]:
    """Logical id and properties, the shared ones included."""
    shared = template()["Globals"]["Function"]
    return [
        (name, {**shared, **resource["Properties"]})
        for name, resource in template()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def _operations() -> set[str]:
    functions = PROJECT / "functions"
    places = [*functions.glob("*/*.py"), *(path.parent for path in functions.glob("*/*/app.py"))]
    return {
        f"{place.parent.name}.{place.stem}" for place in places if not place.stem.startswith("_")
    }


def _operation(properties: dict[str, Any]) -> str:
    """`nexus.consul` of the handler `nexus.consul.app.handler`, which is the face of a protocol."""
    return str(properties["Handler"]).removesuffix(".handler").removesuffix(".app")


def _prefix(operation: str) -> str:
    """`lake.create_dataset` -> `LakeCreateDataset`."""
    return "".join(word.capitalize() for word in operation.replace(".", "_").split("_"))


def _statements(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the statements of a role's or a policy's documents, those under a condition too."""
    properties = resource["Properties"]
    documents = [properties[key] for key in ("PolicyDocument",) if key in properties]
    documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    for document in documents:
        for statement in document["Statement"]:
            if "Fn::If" in statement:
                yield from (item for item in statement["Fn::If"][1:] if "Effect" in item)
            else:
                yield statement


def _actions(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else actions


def _group(name: str) -> str:
    """Return the end of the name of a function's log group."""
    return _operation(dict(_functions())[name]).replace(".", "-", 1)


FUNCTIONS = [pytest.param(name, properties, id=name) for name, properties in _functions()]


def test_every_operation_has_a_function_and_the_other_way_round() -> None:
    # Given the files
    operations = _operations()
    # When
    handlers = {_operation(properties) for _, properties in _functions()}
    # Then
    assert handlers == operations


@pytest.mark.parametrize(("name", "properties"), FUNCTIONS)
def test_one_name_goes_through_everything(name: str, properties: dict[str, Any]) -> None:
    # Given
    operation = _operation(properties)
    module, _, action = operation.partition(".")
    prefix = _prefix(operation)
    # When
    log_group = template("infrastructure/logs.yaml")["Resources"][prefix]["Properties"]
    # Then
    assert name == f"{prefix}Function"
    assert properties["FunctionName"] == {"Fn::Sub": f"${{AWS::StackName}}-{module}-{action}"}
    assert log_group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{Platform}}-{module}-{action}"}
    assert properties["LoggingConfig"]["LogGroup"] == {
        "Fn::Sub": f"${{Logs.Outputs.Prefix}}{module}-{action}"
    }
    assert properties["Role"] == {"Fn::GetAtt": [f"{prefix}Role", "Arn"]}
    assert (PROJECT / "events" / module / f"{action}.json").is_file()


@pytest.mark.parametrize(("name", "properties"), FUNCTIONS)
def test_a_function_and_its_role_stand_together(name: str, properties: dict[str, Any]) -> None:
    # Given
    names = list(_resources())
    prefix = name.removesuffix("Function")
    # When
    place = names.index(name)
    # Then
    assert names[place + 1] == f"{prefix}Role"
    assert properties["Description"]


@pytest.mark.parametrize(("name", "properties"), FUNCTIONS)
def test_a_timeout_fits_its_trigger(name: str, properties: dict[str, Any]) -> None:
    # Given
    events = properties.get("Events", {}).values()
    kinds = {event["Type"] for event in events}
    limits = {
        "Api": REST_SECONDS,
        "MQ": MAPPING_SECONDS,
        "Schedule": SCHEDULE_SECONDS,
        "EventBridgeRule": EVENT_SECONDS,
    }
    # When
    limit = min((limits[kind] for kind in kinds), default=300)
    if any(event["Properties"].get("Schedule") == DAILY for event in events):
        limit = LAMBDA_SECONDS
    # Then
    assert properties["Timeout"] <= limit, name


@pytest.mark.parametrize(("name", "properties"), FUNCTIONS)
def test_a_role_serves_one_function_with_named_actions(
    name: str, properties: dict[str, Any]
) -> None:
    # Given
    prefix = name.removesuffix("Function")
    role = _resources()[f"{prefix}Role"]
    users = [other for other, item in _functions() if item["Role"] == properties["Role"]]
    # When
    statements = list(_statements(role))
    # Then it is this function's alone, it may write its own log group, and nothing of AWS' own is attached
    assert users == [name]
    assert statements == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"Fn::Sub": f"${{Logs.Outputs.Arns}}{_group(name)}:*"},
        }
    ]
    assert "arn:aws" not in str(role["Properties"]["ManagedPolicyArns"])
    assert {"Ref": "FunctionPolicy"} in role["Properties"]["ManagedPolicyArns"]


def test_functions_share_one_environment() -> None:
    # Given
    shared = template()["Globals"]["Function"]["Environment"]["Variables"]
    # When / Then
    assert set(shared) == ENVIRONMENT
    for name, resource in _resources().items():
        if resource["Type"] == "AWS::Serverless::Function":
            assert "Environment" not in resource["Properties"], name


def test_no_policy_has_a_wildcard_without_need() -> None:
    # Given every statement of the template
    kinds = ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")
    for name, resource in _resources().items():
        if resource["Type"] not in kinds:
            continue
        for statement in _statements(resource):
            # When
            actions = _actions(statement)
            # Then
            assert not any("*" in action for action in actions), name
            if statement["Resource"] == "*":
                assert set(actions) <= SERVES_NO_RESOURCE, name


def test_every_log_group_ends() -> None:
    # Given
    logs = template("infrastructure/logs.yaml")["Resources"]
    groups = [resource["Properties"] for resource in logs.values()]
    # When / Then
    assert sorted(logs) == sorted(name.removesuffix("Function") for name, _ in _functions())
    assert all(group["RetentionInDays"] == {"Ref": "RetentionInDays"} for group in groups)
    assert _resources()["Logs"]["Properties"]["Parameters"] == {
        "Platform": {"Ref": "AWS::StackName"},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
    }
    ends = _resources()["ApiLogGroup"]["Properties"]["RetentionInDays"]
    assert ends == {"Ref": "LogRetentionDays"}


def test_the_api_validates_traces_logs_and_answers_in_one_shape() -> None:
    # Given
    api = _resources()["Api"]["Properties"]
    # When
    responses = api["GatewayResponses"]
    log_format = api["AccessLogSetting"]["Format"]
    # Then
    assert api["TracingEnabled"]
    assert api["Models"]
    for field in ("timestamp", "level", "service", "message", "trace_id", "span_id"):
        assert f'"{field}":' in log_format
    assert '"correlation_id":' in log_format
    for kind, response in responses.items():
        headers = response["ResponseParameters"]["Headers"]
        body = response["ResponseTemplates"]["application/json"]
        assert headers["Content-Type"] == "'application/problem+json'", kind
        for field in ("type", "title", "detail", "instance", "code", "trace_id", "errors"):
            assert f'"{field}":' in body, kind
        if "StatusCode" in response:
            assert f'"status":{response["StatusCode"]},' in body, kind


def test_secrets_are_parameters_that_do_not_echo() -> None:
    # Given
    parameters = template()["Parameters"]
    # When / Then
    for name in ("DatabaseUrl", "RedisUrl", "AmqpUrl"):
        assert parameters[name]["NoEcho"] is True, name
    for name, parameter in parameters.items():
        assert parameter["Description"], name
        assert "Default" in parameter, name


def test_the_managed_data_plane_stands_or_falls_with_its_url() -> None:
    # Given
    resources = _resources()
    # When
    conditions = {
        name: resources[name].get("Condition")
        for name in ("Network", "Database", "Cache", "Broker", "Storage", "Flags")
    }
    # Then
    assert conditions == {
        "Network": "ManagedNetwork",
        "Database": "ManagedDatabase",
        "Cache": "ManagedCache",
        "Broker": "ManagedBroker",
        "Storage": None,
        "Flags": "HostsFlags",
    }


def test_the_domain_of_mutual_tls_trusts_what_the_rotation_writes() -> None:
    # Given
    resources, outputs = _resources(), template()["Outputs"]
    domain, mapping = resources["MutualTlsDomain"], resources["MutualTlsMapping"]
    # When
    trusted = domain["Properties"]["MutualTlsAuthentication"]
    (written, _) = _statements(resources["TrustStorePolicy"])
    # Then it names the object that the function may write, and no version, which the function changes
    assert trusted == {"TruststoreUri": outputs["TrustStore"]["Value"]}
    uri = trusted["TruststoreUri"]["Fn::Sub"]
    assert uri.endswith(f"/{KEY}")
    assert written["Resource"]["Fn::Sub"].endswith(uri.removeprefix("s3://"))
    # And is there only where it is asked for, after the first roots
    assert domain["DependsOn"] == "NexusAuthority"
    conditional = (domain, mapping, resources["TrustStoreUsePolicy"])
    assert {item["Condition"] for item in conditional} == {"HasMutualTls"}
    assert domain["Properties"]["SecurityPolicy"] == "TLS_1_2"


def test_deployment_functions_run_at_every_change_of_the_layer() -> None:
    # Given what CloudFormation runs on AWS
    resources = _resources()
    for name, function in (
        ("NexusMigration", "NexusMigrateFunction"),
        ("NexusSigningKeys", "NexusRotateKeysFunction"),
        ("NexusAuthority", "NexusRotateAuthorityFunction"),
        ("StreamTopology", "StreamDeclareTopologyFunction"),
        ("NexusServices", "NexusRegisterServicesFunction"),
    ):
        # When
        resource = resources[name]
        # Then
        assert resource["Condition"] == "RunsOnAws"
        assert resource["Properties"]["ServiceToken"] == {"Fn::GetAtt": [function, "Arn"]}
        assert resource["Properties"]["Layer"] == {"Ref": "CommonLayer"}
