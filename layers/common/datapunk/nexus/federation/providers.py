"""The providers people can sign in with: configured, none by default.

The setting `SIGN_IN_PROVIDERS` is a JSON object by provider name. `google` and `github` need `client_id` and
`client_secret` only; any other name needs the `issuer` of an OpenID Connect provider too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from datapunk.errors import ConfigurationError, FieldError, NotFoundError
from datapunk.nexus.roles import Role
from datapunk.settings import settings

NAME = r"^[a-z][a-z0-9-]{0,31}$"
_VARIABLE = "SIGN_IN_PROVIDERS"
# Plain HTTP is for a provider on the developer's own machine.
Address = Annotated[
    str, Field(pattern=r"^(https://[^\s?#]+|http://(localhost|127\.0\.0\.1)(:\d+)?(/[^\s?#]*)?)$")
]
_KNOWN: dict[str, dict[str, Any]] = {
    "google": {"label": "Google", "issuer": "https://accounts.google.com"},
    "github": {
        "label": "GitHub",
        "dialect": "github",
        "issuer": "https://github.com",
        "api": "https://api.github.com",
    },
}


class Provider(BaseModel):
    """A provider, and we as its client. The dialect `github` is OAuth 2.0 without an ID token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    label: str = Field(max_length=50)
    dialect: Literal["oidc", "github"] = "oidc"
    issuer: Address
    api: Address | None = None
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    scopes: tuple[str, ...] = ()
    tenant: str | None = Field(
        default=None,
        description="Tenant of people who have no user yet; without it they are turned away.",
    )
    roles: tuple[Role, ...] = Field(default=(), description="Roles of such people.")

    @property
    def scope(self) -> str:
        """What is asked of the provider: who someone is, and the e-mail address."""
        own = (
            ("read:user", "user:email")
            if self.dialect == "github"
            else ("openid", "email", "profile")
        )
        return " ".join(self.scopes or own)

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to, as it must be registered there."""
        return f"{settings().issuer}/v1/nexus/sign-in/{self.name}/callback"

    @model_validator(mode="after")
    def _github_has_an_api(self) -> Provider:
        if self.dialect == "github" and self.api is None:
            raise ValueError("a provider of the dialect github needs an api")
        return self


def find_provider(name: str) -> Provider:
    """Return a provider. Raises NotFoundError when it is not configured, ConfigurationError when badly."""
    found = next((provider for provider in _providers() if provider.name == name), None)
    if found is None:
        raise NotFoundError(
            f"Nobody signs in with {name} here.",
            errors=[FieldError("provider", "is not configured", "not_found")],
        )
    return found


def provider_labels() -> list[tuple[str, str]]:
    """Return name and label of every provider. Raises ConfigurationError for a bad setting."""
    return [(provider.name, provider.label) for provider in _providers()]


def _providers() -> list[Provider]:
    configured = settings().providers()
    if configured is None:
        return []
    try:
        entries = orjson.loads(configured)
        return [
            Provider.model_validate({"label": name, **_KNOWN.get(name, {}), **entry, "name": name})
            for name, entry in entries.items()
        ]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{_VARIABLE}: {place}: {first['msg']}.") from None
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(f"{_VARIABLE} is not a JSON object of providers.") from None
