"""GET /v1/nexus/health/{probe}: live, ready and startup of nexus."""

from aws_lambda_powertools.event_handler import Response
from datapunk.guard import Guard
from datapunk.health import POSTGRESQL, RABBITMQ, REDIS, Health, Probe, report
from datapunk.http import http_function

app, handler = http_function("nexus.check_health", guard=Guard(limited=False))
DEPENDENCIES = (POSTGRESQL, REDIS, RABBITMQ)


@app.get("/v1/nexus/health/<probe>", tags=["nexus"])
def check_health(probe: Probe) -> Response[Health]:
    """Answer a probe: 200 when the module can serve, 503 when a required dependency is down."""
    health = report("nexus", probe, DEPENDENCIES)
    return Response(
        status_code=503 if health.status == "down" else 200,
        content_type="application/json",
        body=health,
        headers={"Cache-Control": "no-store"},
    )
