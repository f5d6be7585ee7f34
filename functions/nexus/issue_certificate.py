"""POST /v1/nexus/certificates: a client certificate for a service that proves which one it is."""

from aws_lambda_powertools.event_handler import Response
from datapunk.errors import UnauthenticatedError
from datapunk.http import http_function
from datapunk.nexus.certificates import CertificateRequest, IssuedCertificate
from datapunk.nexus.certificates import issue_certificate as issue
from datapunk.oauth.answers import json_answer

app, handler = http_function("nexus.issue_certificate", raises=(UnauthenticatedError,))


@app.post("/v1/nexus/certificates", status_code=201, tags=["nexus"])
def issue_certificate(request: CertificateRequest) -> Response[IssuedCertificate]:
    """Issue a certificate of seven days; the same request, with a new key, renews it."""
    return json_answer(issue(request), 201)
