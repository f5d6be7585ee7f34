"""POST /v1/nexus/oauth/clients: register an OAuth client of the caller's tenant."""

from aws_lambda_powertools.event_handler import Response
from datapunk.database import transaction
from datapunk.errors import ForbiddenError
from datapunk.http import http_function
from datapunk.nexus.oauth.clients import ClientRegistration, RegisteredClient
from datapunk.nexus.oauth.clients import register_client as register
from datapunk.oauth.answers import json_answer

app, handler = http_function("nexus.register_client", raises=(ForbiddenError,))


@app.post("/v1/nexus/oauth/clients", status_code=201, tags=["nexus"])
def register_client(registration: ClientRegistration) -> Response[RegisteredClient]:
    """Register a client; its secret is in this answer and nowhere else."""
    with transaction() as tx:
        client = register(tx, registration)
    return json_answer(client, 201)
