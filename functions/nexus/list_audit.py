"""GET /v1/nexus/audit: who did what in the caller's tenant, newest first, page by page."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from datapunk.audit import Outcome
from datapunk.audit_chain import AuditRecord
from datapunk.audit_chain import list_audit as list_page
from datapunk.database import transaction
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.paging import DEFAULT_LIMIT, Page

app, handler = http_function("nexus.list_audit", guard=Guard(administrative=True))


@app.get("/v1/nexus/audit", tags=["nexus"])
def list_audit(
    limit: Annotated[int, Query(ge=1, le=1000)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    principal: Annotated[str | None, Query(max_length=1024)] = None,
    action: Annotated[str | None, Query(max_length=128)] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
) -> Page[AuditRecord]:
    """Return a page of records, all or those of a principal, an operation or an outcome."""
    with transaction() as tx:
        return list_page(
            tx, limit=limit, cursor=cursor, principal=principal, action=action, outcome=outcome
        )
