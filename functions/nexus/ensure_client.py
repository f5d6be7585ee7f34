"""Invoked by an operator: make sure that an OAuth client exists, such as the launcher's own."""

from typing import Annotated

from datapunk.database import transaction
from datapunk.deployment import operator_function
from datapunk.nexus.oauth.clients import (
    ClientRegistration,
    OAuthClient,
    find_client,
    register_client,
)
from pydantic import Field


class WantedClient(ClientRegistration):
    """The client to be, under an id that is known beforehand."""

    id: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    tenant: str = Field(default="public", description="An existing tenant.")
    public: bool = Field(default=True, description="Without a secret; it proves itself by PKCE.")


@operator_function("nexus.ensure_client")
def handler(wanted: WantedClient) -> OAuthClient:
    """Register the client unless there is one with its id, and return what there is."""
    registration = ClientRegistration(**wanted.model_dump(exclude={"id", "tenant"}))
    with transaction() as tx:
        found = find_client(tx, wanted.id)
        if found is not None:
            return found
        made = register_client(tx, registration, client_id=wanted.id, tenant=wanted.tenant)
    return OAuthClient(**made.model_dump(include=set(OAuthClient.model_fields)))
