"""PUT /v1/nexus/workloads/{service}: register a service that gets certificates."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import ConflictError, ForbiddenError
from datapunk.http import http_function
from datapunk.nexus.workloads import SERVICE, RegisteredWorkload, WorkloadRegistration
from datapunk.nexus.workloads import register_workload as register
from datapunk.oauth.answers import json_answer

app, handler = http_function("nexus.register_workload", raises=(ForbiddenError, ConflictError))


@app.put("/v1/nexus/workloads/<service>", tags=["nexus"])
def register_workload(
    service: Annotated[str, Path(pattern=SERVICE)], registration: WorkloadRegistration
) -> Response[RegisteredWorkload]:
    """Register a service, or register it anew; its secret is in this answer and nowhere else."""
    with transaction() as tx:
        workload = register(tx, service, registration)
    return json_answer(workload)
