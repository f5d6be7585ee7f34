"""GET /v1/nexus/trust-bundle: the roots to verify workloads' certificates against."""

from aws_lambda_powertools.event_handler import Response
from datapunk.http import http_function
from datapunk.nexus.authority import trust_bundle

app, handler = http_function("nexus.get_trust_bundle", produces=("application/x-pem-file",))


@app.get("/v1/nexus/trust-bundle", tags=["nexus"])
def get_trust_bundle() -> Response[str]:
    """Return the root certificates as PEM. A root is in it 30 days before it signs."""
    return Response(
        status_code=200,
        content_type="application/x-pem-file",
        body=trust_bundle(),
        headers={"Cache-Control": "public, max-age=300"},
    )
