"""GET /v1/lake/health/{probe}: live, ready and startup of lake."""

from aws_lambda_powertools.event_handler import Response
from datapunk.guard import Guard
from datapunk.health import POSTGRESQL, Health, Probe, report
from datapunk.http import http_function

app, handler = http_function("lake.check_health", guard=Guard(limited=False))
DEPENDENCIES = (POSTGRESQL,)


@app.get("/v1/lake/health/<probe>", tags=["lake"])
def check_health(probe: Probe) -> Response[Health]:
    """Answer a probe: 200 when the module can serve, 503 when a required dependency is down."""
    health = report("lake", probe, DEPENDENCIES)
    return Response(
        status_code=503 if health.status == "down" else 200,
        content_type="application/json",
        body=health,
        headers={"Cache-Control": "no-store"},
    )
