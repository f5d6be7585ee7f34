"""Settings: where a value comes from, what is secret, which variable an error names."""

from __future__ import annotations

import json

import boto3
import pytest
from datapunk.errors import ConfigurationError
from datapunk.settings import Settings, load_settings
from moto import mock_aws

URL = "postgresql://reader:plain-text-password@db.example.com:5432/lake"


def test_an_argument_beats_the_environment_which_beats_the_default() -> None:
    # Given
    environment = {"DATAPUNK_STAGE": "dev", "STORAGE_BUCKET": "objects"}
    # When
    loaded = load_settings(environment, stage="prod")
    # Then
    assert (loaded.stage, loaded.source("stage")) == ("prod", "argument")
    assert (loaded.storage_bucket, loaded.source("storage_bucket")) == (
        "objects",
        "environment STORAGE_BUCKET",
    )
    assert (loaded.log_level, loaded.source("log_level")) == ("INFO", "default")


def test_an_empty_variable_is_unset() -> None:
    # Given
    environment = {"DATABASE_URL": "", "DATAPUNK_STAGE": "", "DATAPUNK_PAGE_LIMIT": ""}
    # When
    loaded = load_settings(environment)
    # Then
    assert (loaded.database_url, loaded.stage, loaded.page_limit) == (None, "local", 10_000)


def test_secrets_print_as_stars() -> None:
    # Given
    credentials = json.dumps({"username": "u", "password": "hidden-password"})
    loaded = load_settings({"DATABASE_URL": URL, "DATABASE_CREDENTIALS": credentials})
    # When
    shown = f"{loaded!r} {loaded} {loaded.model_dump()} {loaded.model_dump_json()}"
    # Then
    assert "password@" not in shown
    assert "hidden-password" not in shown
    assert "**********" in shown


@pytest.mark.parametrize(
    ("read", "variable"),
    [("database", "DATABASE_URL"), ("redis", "REDIS_URL"), ("amqp", "AMQP_URL")],
)
def test_a_missing_url_is_named(read: str, variable: str) -> None:
    # Given
    loaded = load_settings({})
    # When
    with pytest.raises(ConfigurationError) as raised:
        getattr(loaded, read)()
    # Then
    assert variable in raised.value.detail


def test_a_wrong_value_names_its_variable_and_not_itself() -> None:
    # Given
    environment = {"DATAPUNK_PAGE_LIMIT": "many-of-them"}
    # When
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environment)
    # Then
    assert "DATAPUNK_PAGE_LIMIT" in raised.value.detail
    assert "many-of-them" not in raised.value.detail


def test_credentials_join_a_url_that_has_none() -> None:
    # Given
    credentials = json.dumps({"username": "user@corp", "password": "p:/?#[]@ss"})
    loaded = load_settings(
        {
            "DATABASE_URL": "postgresql://proxy.example.com:5432/lake?sslmode=require",
            "DATABASE_CREDENTIALS": credentials,
        }
    )
    # When
    url = loaded.database()
    # Then
    assert url == (
        "postgresql://user%40corp:p%3A%2F%3F%23%5B%5D%40ss@proxy.example.com:5432/lake"
        "?sslmode=require"
    )


def test_credentials_in_the_url_win() -> None:
    # Given
    environment = {
        "DATABASE_URL": URL,
        "DATABASE_CREDENTIALS": '{"username": "other", "password": "x"}',
    }
    # When
    url = load_settings(environment).database()
    # Then
    assert url == URL


def test_unreadable_credentials_are_named() -> None:
    # Given
    environment = {"AMQP_URL": "amqps://broker.example.com", "AMQP_CREDENTIALS": "not-json-at-all"}
    # When
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environment).amqp()
    # Then
    assert "AMQP_CREDENTIALS" in raised.value.detail
    assert "not-json-at-all" not in raised.value.detail


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def test_references_are_followed(region: None) -> None:
    with mock_aws():
        # Given
        secrets, parameters = boto3.client("secretsmanager"), boto3.client("ssm")
        pair = json.dumps({"username": "u", "password": "p"})
        arn = secrets.create_secret(Name="broker", SecretString=pair)["ARN"]
        parameters.put_parameter(Name="/datapunk/bucket", Value="kept", Type="SecureString")
        # When
        loaded = load_settings(
            {
                "AMQP_URL": "amqps://broker.example.com:5671",
                "AMQP_CREDENTIALS": f"secretsmanager:{arn}",
                "STORAGE_BUCKET": "ssm:/datapunk/bucket",
            }
        )
        url = loaded.amqp()
    # Then
    assert url == "amqps://u:p@broker.example.com:5671"
    assert loaded.source("amqp_credentials") == f"secretsmanager:{arn}"
    assert loaded.storage_bucket == "kept"


@pytest.mark.parametrize("reference", ["secretsmanager:absent", "ssm:/absent"])
def test_a_reference_that_leads_nowhere_names_its_variable(region: None, reference: str) -> None:
    # Given / When
    with mock_aws(), pytest.raises(ConfigurationError) as raised:
        load_settings({"STORAGE_BUCKET": reference})
    # Then
    assert "STORAGE_BUCKET" in raised.value.detail
    assert reference in raised.value.detail


def test_a_secret_that_is_not_used_is_not_looked_up(region: None) -> None:
    # Given a function that may not read the providers' secret
    loaded = load_settings({"SIGN_IN_PROVIDERS": "secretsmanager:absent"})
    # When / Then
    assert loaded.stage == "local"
    with mock_aws(), pytest.raises(ConfigurationError, match="SIGN_IN_PROVIDERS"):
        loaded.providers()


def test_every_setting_is_described_and_has_its_variable() -> None:
    # Given
    fields = Settings.model_fields.values()
    # When
    variables = [field.alias for field in fields]
    # Then
    assert len(set(variables)) == len(variables)
    assert all(field.description for field in fields)
    assert all(variable and variable.isupper() for variable in variables)


@pytest.mark.parametrize("networks", ["everywhere", "10.0.0.1/8", "10.0.0.0/8,192.0.2.0/24"])
def test_a_wrong_network_is_named(networks: str) -> None:
    # Given / When / Then
    with pytest.raises(ConfigurationError, match="ADMIN_NETWORKS"):
        load_settings({"ADMIN_NETWORKS": networks})


def test_without_networks_every_address_is_trusted() -> None:
    # Given
    anywhere, somewhere = load_settings({}), load_settings({"ADMIN_NETWORKS": "10.0.0.0/8"})
    # When / Then
    assert anywhere.trusts("198.51.100.1")
    assert anywhere.trusts("")
    assert somewhere.trusts("10.1.2.3")
    assert not somewhere.trusts("198.51.100.1")
    assert not somewhere.trusts("")
