"""The managed data plane is private, encrypted, backed up, and protected from deletion where it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.templates import template

PROJECT = Path(__file__).resolve().parents[2]
NESTED = sorted((PROJECT / "infrastructure").glob("*.yaml"))

KEEPS_DATA = {
    "AWS::RDS::DBInstance": "Snapshot",
    "AWS::S3::Bucket": "Retain",
    "AWS::KMS::Key": "Retain",
}
LIMITS = 200
"""CloudFormation takes 200 parameters and outputs, and 51,200 bytes where there is no bucket."""


def _template(name: str) -> dict[str, Any]:
    return template(f"infrastructure/{name}.yaml")


def _properties(name: str, kind: str) -> dict[str, Any]:
    (found,) = (
        resource["Properties"]
        for resource in _template(name)["Resources"].values()
        if resource["Type"] == kind
    )
    properties: dict[str, Any] = found
    return properties


def test_every_nested_template_is_used_and_the_other_way_round() -> None:
    # Given
    root = template()
    # When
    used = {
        resource["Properties"]["TemplateURL"]
        for resource in root["Resources"].values()
        if resource["Type"] == "AWS::CloudFormation::Stack"
    }
    # Then
    assert used == {path.relative_to(PROJECT).as_posix() for path in NESTED}


@pytest.mark.parametrize("path", NESTED, ids=lambda path: path.stem)
def test_a_nested_template_explains_itself(path: Path) -> None:
    # Given
    nested = _template(path.stem)
    # When / Then
    assert nested["Description"].startswith("Datapunk")
    assert len(nested["Outputs"]) < LIMITS
    for name, item in {**nested.get("Parameters", {}), **nested["Outputs"]}.items():
        assert item["Description"], name


@pytest.mark.parametrize("path", NESTED, ids=lambda path: path.stem)
def test_what_keeps_data_outlives_the_stack(path: Path) -> None:
    # Given
    nested = _template(path.stem)
    for name, resource in nested["Resources"].items():
        # When
        policy = KEEPS_DATA.get(resource["Type"])
        # Then
        if policy:
            assert resource["DeletionPolicy"] == policy, name
            assert resource["UpdateReplacePolicy"] == policy, name


def test_the_database_is_private_encrypted_and_backed_up() -> None:
    # Given / When
    database = _properties("database", "AWS::RDS::DBInstance")
    parameters = _properties("database", "AWS::RDS::DBParameterGroup")["Parameters"]
    # Then
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert database["KmsKeyId"]
    assert database["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in database
    assert database["EngineVersion"].startswith("17")
    assert database["DeletionProtection"] == {"Fn::If": ["IsProd", True, False]}
    assert database["MultiAZ"] == {"Fn::If": ["IsProd", True, False]}
    assert min(database["BackupRetentionPeriod"]["Fn::If"][1:]) >= 7
    assert parameters["rds.logical_replication"] == "1"
    assert parameters["rds.force_ssl"] == "1"
    assert _properties("database", "AWS::RDS::DBProxy")["RequireTLS"] is True


def test_the_cache_is_a_private_cluster_encrypted_both_ways() -> None:
    # Given / When
    cluster = _properties("cache", "AWS::ElastiCache::ReplicationGroup")
    group = _properties("cache", "AWS::ElastiCache::ParameterGroup")["Properties"]
    # Then
    assert cluster["AtRestEncryptionEnabled"] is True
    assert cluster["TransitEncryptionEnabled"] is True
    assert cluster["TransitEncryptionMode"] == "required"
    assert cluster["UserGroupIds"]
    assert cluster["KmsKeyId"]
    assert group["cluster-enabled"] == "yes"


def test_the_broker_is_private_and_a_cluster_in_prod() -> None:
    # Given / When
    broker = _properties("broker", "AWS::AmazonMQ::Broker")
    # Then
    assert broker["PubliclyAccessible"] is False
    assert broker["EngineType"] == "RABBITMQ"
    assert broker["DeploymentMode"] == {"Fn::If": ["IsProd", "CLUSTER_MULTI_AZ", "SINGLE_INSTANCE"]}
    assert broker["Logs"] == {"General": True}
    (user,) = broker["Users"]
    assert "{{resolve:secretsmanager:" in user["Password"]["Fn::Sub"]


def test_storage_is_private_encrypted_versioned_and_tls_only() -> None:
    # Given / When
    bucket = _properties("storage", "AWS::S3::Bucket")
    key = _properties("storage", "AWS::KMS::Key")
    (statement,) = _properties("storage", "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    # Then
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert key["EnableKeyRotation"] is True
    assert key["RotationPeriodInDays"] == 90
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_no_subnet_hands_out_public_addresses_and_no_group_is_open() -> None:
    # Given
    resources = _template("network")["Resources"]
    for name, resource in resources.items():
        # When
        properties = resource["Properties"]
        # Then
        if resource["Type"] == "AWS::EC2::Subnet":
            assert properties["MapPublicIpOnLaunch"] is False, name
        for rule in properties.get("SecurityGroupIngress", []):
            assert rule.get("CidrIp") != "0.0.0.0/0", name
        if resource["Type"] == "AWS::EC2::SecurityGroupIngress":
            assert "CidrIp" not in properties, name
