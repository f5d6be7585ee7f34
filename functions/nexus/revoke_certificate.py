"""DELETE /v1/nexus/certificates/{serial}: refuse a certificate from now on."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.certificates import SERIAL
from datapunk.nexus.certificates import revoke_certificate as revoke

app, handler = http_function("nexus.revoke_certificate", raises=(ForbiddenError, NotFoundError))


@app.delete("/v1/nexus/certificates/<serial>", status_code=204, tags=["nexus"])
def revoke_certificate(serial: Annotated[str, Path(pattern=SERIAL)]) -> Response[str]:
    """Revoke a certificate of the caller's tenant by its serial number, in hex."""
    with transaction() as tx:
        revoke(tx, serial)
    return Response(status_code=204, body="")
