"""GET /v1/nexus/audit/verification: whether the audit trail of the caller's tenant is whole."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.audit_chain import Verification
from datapunk.audit_chain import verify_audit as verify
from datapunk.database import transaction
from datapunk.guard import Guard
from datapunk.http import http_function

app, handler = http_function("nexus.verify_audit", guard=Guard(administrative=True))


@app.get("/v1/nexus/audit/verification", tags=["nexus"])
def verify_audit(after: Annotated[int, Query(ge=0, le=2**62)] = 0) -> Verification:
    """Check the chain and name the records that were changed, removed or put in between."""
    with transaction() as tx:
        return verify(tx, tx.caller.tenant, after=after)
