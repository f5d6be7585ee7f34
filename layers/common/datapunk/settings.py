"""Typed settings of the platform: where each value comes from is known, secrets print as stars.

An explicit argument beats the environment, which beats the default. An environment value of the form
`secretsmanager:<id>` or `ssm:<name>` is a reference; a secret is looked up when it is first used, since a
function may read only those it needs, anything else when the settings are loaded. Nothing is read at import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_args
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)

from datapunk.errors import ConfigurationError


class Settings(BaseModel):
    """Every setting a function may need. A field's alias is its environment variable."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="forbid")

    stage: str = Field(
        default="local", alias="DATAPUNK_STAGE", description="Name of the environment."
    )
    database_url: SecretStr | None = Field(
        default=None,
        alias="DATABASE_URL",
        description="PostgreSQL URL (`postgresql://user:password@host:port/database`).",
    )
    database_credentials: SecretStr | None = Field(
        default=None,
        alias="DATABASE_CREDENTIALS",
        description="JSON with `username` and `password`, used when the URL has none.",
    )
    redis_url: SecretStr | None = Field(
        default=None, alias="REDIS_URL", description="Redis URL (`redis://` or `rediss://`)."
    )
    redis_credentials: SecretStr | None = Field(
        default=None,
        alias="REDIS_CREDENTIALS",
        description="JSON with `username` and `password`, used when the URL has none.",
    )
    amqp_url: SecretStr | None = Field(
        default=None, alias="AMQP_URL", description="RabbitMQ URL (`amqp://` or `amqps://`)."
    )
    amqp_credentials: SecretStr | None = Field(
        default=None,
        alias="AMQP_CREDENTIALS",
        description="JSON with `username` and `password`, used when the URL has none.",
    )
    storage_bucket: str | None = Field(
        default=None, alias="STORAGE_BUCKET", description="Bucket for objects."
    )
    issuer: str = Field(
        default="http://localhost:8080",
        alias="ISSUER",
        pattern=r"^https?://[^?#]+[^/?#]$",
        description="Public URL of the API, which tokens name as their issuer; no slash at its end.",
    )
    key_ring: str = Field(
        default="",
        alias="KEY_RING",
        description="Signing keys: `file:<path>`, or `kms:alias/<prefix>` for keys in AWS KMS.",
    )
    mutual_tls_domain: str = Field(
        default="",
        alias="MUTUAL_TLS_DOMAIN",
        description="API Gateway's domain that asks for client certificates; empty: there is none.",
    )
    sts_url: str = Field(
        default="",
        alias="AWS_ENDPOINT_URL_STS",
        description="Address of AWS STS, which confirms IAM identities; empty: the region's own.",
    )
    services: str = Field(
        default="",
        alias="SERVICES",
        description="Where services answer calls: `name=url` apart by spaces, `*` for all others, "
        "`{service}` in a URL for the name. `lambda:<function>`, `https://...`, `grpcs://host:port`; after "
        "a comma the URL that answers JSON where the first does not answer.",
    )
    lambda_url: str = Field(
        default="",
        alias="AWS_ENDPOINT_URL_LAMBDA",
        description="Address of AWS Lambda's API; empty: the region's own.",
    )
    region: str = Field(
        default="us-east-1", alias="AWS_REGION", description="The AWS region of the functions."
    )
    mesh_client: SecretStr | None = Field(
        default=None,
        alias="MESH_CLIENT",
        description="JSON with `client_id` and `client_secret`: the OAuth client as which a service "
        "outside of AWS gets tokens for its calls.",
    )
    mesh_certificates: str = Field(
        default="",
        alias="MESH_CERTIFICATES",
        description="Folder with a service's `certificate.pem`, `key.pem` and `authority.pem`, for gRPC.",
    )
    sign_in_providers: SecretStr | None = Field(
        default=None,
        alias="SIGN_IN_PROVIDERS",
        description="JSON object: providers that people sign in with, such as `google` and `github`.",
    )
    admin_networks: str = Field(
        default="",
        alias="ADMIN_NETWORKS",
        description="Networks administration is allowed from (`10.0.0.0/8 2001:db8::/32`); none: any.",
    )
    feature_flags: str = Field(
        default="",
        alias="FEATURE_FLAGS",
        pattern=r"^(|file:.+|appconfig:[^/]+/[^/]+/[^/]+)$",
        description="Rules of feature flags: `file:<path>`, or in AWS AppConfig"
        " `appconfig:<application>/<environment>/<profile>`; empty: every flag has its default.",
    )
    service_networks: str = Field(
        default="",
        alias="SERVICE_NETWORKS",
        description="Networks that registered services are probed and called in (`10.0.0.0/16`); none: any.",
    )
    cloud_map_namespace: str = Field(
        default="",
        alias="CLOUD_MAP_NAMESPACE",
        description="Id of the AWS Cloud Map namespace that mirrors the registry; empty: no mirror.",
    )
    function_name: str = Field(
        default="",
        alias="AWS_LAMBDA_FUNCTION_NAME",
        description="Name of the function at work, which Lambda sets.",
    )
    log_level: str = Field(
        default="INFO", alias="POWERTOOLS_LOG_LEVEL", description="Least severe level logged."
    )
    postgis: bool = Field(
        default=False,
        alias="DATAPUNK_POSTGIS",
        description="Whether migrations make sure of PostGIS, which columns of places need.",
    )
    page_limit: int = Field(
        default=10_000,
        alias="DATAPUNK_PAGE_LIMIT",
        ge=1,
        description="Most items a page of a list or query may have.",
    )

    @field_validator("admin_networks", "service_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        import ipaddress

        for network in value.split():
            ipaddress.ip_network(network)
        return value

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)
    _secrets: dict[str, str] = PrivateAttr(default_factory=dict)
    """Secrets that have been used, looked up where they were references."""

    def source(self, field: str) -> str:
        """Return where the value of `field` came from, e.g. `environment DATABASE_URL`."""
        return self._sources.get(field, "default")

    def trusts(self, address: str) -> bool:
        """Tell whether an IP address is in one of the networks that administration is allowed from."""
        return self._is_in(address, self.admin_networks)

    def serves(self, address: str) -> bool:
        """Tell whether an IP address is in one of the networks that services may be in."""
        return self._is_in(address, self.service_networks)

    @staticmethod
    def _is_in(address: str, listed: str) -> bool:
        import ipaddress

        if not listed:
            return True
        try:
            place = ipaddress.ip_address(address)
        except ValueError:
            return False
        networks = map(ipaddress.ip_network, listed.split())
        return any(place in network for network in networks if network.version == place.version)

    def database(self) -> str:
        """Return the PostgreSQL URL with credentials. Raises ConfigurationError when unset."""
        return self._with_credentials("database")

    def redis(self) -> str:
        """Return the Redis URL with credentials. Raises ConfigurationError when unset."""
        return self._with_credentials("redis")

    def amqp(self) -> str:
        """Return the RabbitMQ URL with credentials. Raises ConfigurationError when unset."""
        return self._with_credentials("amqp")

    def bucket(self) -> str:
        """Return the name of the bucket for objects. Raises ConfigurationError when unset."""
        if self.storage_bucket is None:
            raise ConfigurationError("STORAGE_BUCKET is not set.")
        return self.storage_bucket

    def client(self) -> str | None:
        """Return the JSON of the client for calls from outside of AWS, or None where there is none."""
        return self._secret("mesh_client")

    def providers(self) -> str | None:
        """Return the JSON of the sign-in providers, or None where there are none."""
        return self._secret("sign_in_providers")

    def _with_credentials(self, service: str) -> str:
        url = self._secret(f"{service}_url")
        if url is None:
            raise ConfigurationError(f"{service.upper()}_URL is not set.")
        parts = urlsplit(url)
        credentials = None if parts.username else self._secret(f"{service}_credentials")
        if credentials is None:
            return url
        try:
            pair = _Credentials.model_validate_json(credentials)
        except ValidationError as error:
            name = f"{service.upper()}_CREDENTIALS"
            raise ConfigurationError(f"{name} is not JSON with username and password.") from error
        user, password = quote(pair.username, safe=""), quote(pair.password, safe="")
        return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))

    def _secret(self, field: str) -> str | None:
        """Return the value of a secret setting, following a reference once."""
        given: SecretStr | None = getattr(self, field)
        if given is None:
            return None
        if field not in self._secrets:
            variable = type(self).model_fields[field].alias or field
            self._secrets[field] = _resolve(variable, given.get_secret_value())[0]
        return self._secrets[field]


class _Credentials(BaseModel):
    username: str
    password: str


def _read_secret(identifier: str) -> str:
    import boto3

    answer = boto3.client("secretsmanager").get_secret_value(SecretId=identifier)
    return str(answer["SecretString"])


def _read_parameter(name: str) -> str:
    import boto3

    answer = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
    return str(answer["Parameter"]["Value"])


_REFERENCES: Mapping[str, Callable[[str], str]] = {
    "secretsmanager:": _read_secret,
    "ssm:": _read_parameter,
}


def _resolve(variable: str, value: str) -> tuple[str, str]:
    """Return the value and its source, following a reference."""
    for prefix, read in _REFERENCES.items():
        if value.startswith(prefix):
            try:
                return read(value.removeprefix(prefix)), _source(variable, value)
            except Exception as error:
                raise ConfigurationError(f"{variable} refers to {value}: not readable.") from error
    return value, _source(variable, value)


def _source(variable: str, value: str) -> str:
    """Return where a value comes from: the reference itself, or the variable."""
    return value if value.startswith(tuple(_REFERENCES)) else f"environment {variable}"


def load_settings(environment: Mapping[str, str] | None = None, **explicit: Any) -> Settings:
    """Build settings from explicit values, then `environment` (the process's own by default).

    An empty variable counts as unset, since templates cannot leave one out. Raises
    ConfigurationError naming the variable whose value is wrong.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        variable = field.alias or name
        if name in explicit:
            values[name], sources[name] = explicit[name], "argument"
        elif given := environment.get(variable):
            if SecretStr in (field.annotation, *get_args(field.annotation)):
                values[name], sources[name] = given, _source(variable, given)
            else:
                values[name], sources[name] = _resolve(variable, given)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        known = Settings.model_fields.get(name)
        variable = (known and known.alias) or name
        raise ConfigurationError(f"{variable}: {first['msg']}.") from None
    settings._sources.update(sources)  # noqa: SLF001 -- filled once, by the only constructor
    return settings


@cache
def settings() -> Settings:
    """Return this environment's settings, loaded on first use."""
    return load_settings()


def reload_if_referenced(*fields: str) -> bool:
    """Forget the settings when one of `fields` was looked up by reference; tell whether it was.

    Secrets rotate while an environment lives: a login that fails is tried once more with what the
    reference says now.
    """
    current = settings()
    if not any(current.source(field).startswith(tuple(_REFERENCES)) for field in fields):
        return False
    settings.cache_clear()
    return True
